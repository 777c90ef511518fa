"""What groups 12 and 13 compress, in place of the suite's files, which are not ours: made anew, always the same.

Of the same five kinds, from what nearly vanishes to what hardly shrinks: a JSON file, a picture, prose, a page of HTML
and a PDF, which is compressed already for the most part.
"""

from __future__ import annotations

import json
import math
import random
from functools import cache

_SIZE = 160_000  # more than the largest message, so that each message of a case begins elsewhere
_WORDS = [
    "Geist", "Natur", "Wissen", "schöner", "Lärm", "träumt", "Größe", "Mühe", "fühlt", "süß", "Straße", "Eis", "und",
    "Hexenküche", "Walpurgisnacht", "Osterspaziergang", "Strom", "Bäche", "befreit", "Glück", "ist", "der",
]  # fmt: skip


def _draw(kind: str) -> random.Random:
    return random.Random(kind)


def _sentence(draw: random.Random) -> str:
    return " ".join(draw.choices(_WORDS, k=draw.randint(4, 12))) + ".\n"


@cache
def prose() -> str:
    """Text with umlauts."""
    draw = _draw("prose")
    return "".join(_sentence(draw) for _ in range(_SIZE // 40))


@cache
def json_file() -> str:
    """Records."""
    draw = _draw("json")
    records = [
        {"id": number, "name": draw.choice(_WORDS), "score": draw.random(), "tags": draw.choices(_WORDS, k=3)}
        for number in range(_SIZE // 80)
    ]
    return json.dumps(records, ensure_ascii=False, indent=1)


@cache
def html_file() -> str:
    """A table."""
    draw = _draw("html")
    rows = (
        f'<tr class="row-{row % 7}"><td>{row}</td><td><a href="/item?id={row}&amp;v">{_sentence(draw)}</a></td></tr>\n'
        for row in range(_SIZE // 100)
    )
    return "<!doctype html>\n<table>\n" + "".join(rows) + "</table>\n"


@cache
def picture() -> bytes:
    """Grey levels with a little noise, line by line."""
    draw = _draw("picture")
    return bytes(
        round(127 + 100 * math.sin(column / 40) * math.cos(row / 25)) + draw.randint(0, 6)
        for row in range(_SIZE // 400)
        for column in range(400)
    )


@cache
def document() -> bytes:
    """Short texts between long streams that look random."""
    draw = _draw("document")
    parts = (
        b"%d 0 obj << /Length 3000 /Filter /FlateDecode >> stream\n%b\nendstream endobj\n"
        % (part, draw.randbytes(3000))
        for part in range(_SIZE // 3000)
    )
    return b"".join(parts)
