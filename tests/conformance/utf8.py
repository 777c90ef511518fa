"""Group 6: UTF-8, whole, in fragments, and wrong in every way of Markus Kuhn's decoder test.

Valid text is sent twice: as it stands, which is no JSON and is answered with 400, and in the string of an envelope,
from which it comes back. JSON forbids control characters there. Invalid text closes with 1007.
"""

from __future__ import annotations

from .cases import CONT, PING, TEXT, Answer, Case, Hear, Pong, Refused, Say, bad, envelope, fragments, frame, good

GREEK = b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5"  # with the letter of three bytes, not its twin of two
_MIXED = "Hello-µ@ßöäüàá-UTF-8!!"
_CUT = GREEK + b"\xf4\x90\x80\x80" + b"edited"  # U+110000; wrong from its second byte on
_INVALID = GREEK + b"\xed\xa0\x80" + b"edited"

_MISSING = [
    b"\xc0", b"\xe0\x80", b"\xf0\x80\x80", b"\xf8\x80\x80\x80", b"\xfc\x80\x80\x80\x80",
    b"\xdf", b"\xef\xbf", b"\xf7\xbf\xbf", b"\xfb\xbf\xbf\xbf", b"\xfd\xbf\xbf\xbf\xbf",
]  # fmt: skip
_HIGH, _LOW = [b"\xed\xa0\x80", b"\xed\xad\xbf", b"\xed\xae\x80", b"\xed\xaf\xbf"], [b"\xed\xb0\x80", b"\xed\xbf\xbf"]
_NONCHARACTERS = [chr(plane << 16 | last).encode() for plane in range(17) for last in (0xFFFE, 0xFFFF)]

# 6.5 and on, a list for each: the bytes of each case. What is valid is told by Python's decoder, which is not what the
# gateway is asked to be, but the same standard.
SEQUENCES = [
    [b"hello$world", "hello¢world".encode(), "hello€world".encode(), "hello\U00024b62world".encode(), GREEK],
    [GREEK[:size] for size in range(1, len(GREEK) + 1)],
    [b"\x00", b"\xc2\x80", b"\xe0\xa0\x80", b"\xf0\x90\x80\x80"],
    [b"\xf8\x88\x80\x80\x80", b"\xfc\x84\x80\x80\x80\x80"],
    [b"\x7f", b"\xdf\xbf", b"\xef\xbf\xbf", b"\xf4\x8f\xbf\xbf"],
    [b"\xf7\xbf\xbf\xbf", b"\xfb\xbf\xbf\xbf\xbf", b"\xfd\xbf\xbf\xbf\xbf\xbf"],
    [b"\xed\x9f\xbf", b"\xee\x80\x80", b"\xef\xbf\xbd", b"\xf4\x8f\xbf\xbf", b"\xf4\x90\x80\x80"],
    [b"\x80", b"\xbf", *((b"\x80\xbf" * 3)[:size] for size in range(2, 7)), bytes(range(0x80, 0xBF))],
    [
        b"".join(bytes((start, 0x20)) for start in range(first, last))
        for first, last in ((0xC0, 0xDF), (0xE0, 0xEF), (0xF0, 0xF7), (0xF8, 0xFB), (0xFC, 0xFD))
    ],
    _MISSING,
    [b"".join(_MISSING)],
    [b"\xfe", b"\xff", b"\xfe\xfe\xff\xff"],
    [b"\xc0\xaf", b"\xe0\x80\xaf", b"\xf0\x80\x80\xaf", b"\xf8\x80\x80\x80\xaf", b"\xfc\x80\x80\x80\x80\xaf"],
    [b"\xc1\xbf", b"\xe0\x9f\xbf", b"\xf0\x8f\xbf\xbf", b"\xf8\x87\xbf\xbf\xbf", b"\xfc\x83\xbf\xbf\xbf\xbf"],
    [b"\xc0\x80", b"\xe0\x80\x80", b"\xf0\x80\x80\x80", b"\xf8\x80\x80\x80\x80", b"\xfc\x80\x80\x80\x80\x80"],
    [*_HIGH, b"\xed\xb0\x80", b"\xed\xbe\x80", b"\xed\xbf\xbf"],
    [high + low for high in _HIGH for low in _LOW],
    _NONCHARACTERS,
    [chr(code).encode() for code in range(0xFFF9, 0x10000)],
]


def _sequence(number: str, text: bytes) -> Case:
    try:
        decoded = text.decode()
    except UnicodeDecodeError:
        return bad(number, Say(frame(TEXT, text)), code=1007)
    quoted = b'{"type":"echo.any","id":1,"data":"' + text + b'"}'
    control = any(character < " " for character in decoded)
    heard = Refused() if control else Answer(decoded)
    return good(number, Say(frame(TEXT, text)), Hear((Refused(),)), Say(frame(TEXT, quoted)), Hear((heard,)))


def _octets(number: str, text: str) -> Case:
    """In fragments of one byte, none of which needs to be a character."""
    return good(
        number,
        Say(fragments(TEXT, text.encode(), 1)), Hear((Refused(),)),
        Say(fragments(TEXT, envelope(text), 1)), Hear((Answer(text),)),
    )  # fmt: skip


def _early(number: str, at: int, end: int, whole: bool) -> Case:
    """Wrong in the second of three parts, which are frames, or pieces of one frame."""
    parts = _CUT[:at], _CUT[at:end], _CUT[end:]
    if whole:
        sent = frame(TEXT, _CUT)
        head = len(sent) - len(_CUT)
        return bad(
            number, Say(sent[: head + at]), Say(sent[head + at : head + end]), Say(sent[head + end :]), code=1007
        )
    return bad(
        number,
        # The ping stands for the suite's second of waiting: the first part has been read, and taken.
        Say(frame(TEXT, parts[0], fin=False) + frame(PING)), Hear((Pong(b""),)),
        Say(frame(CONT, parts[1], fin=False)), Say(frame(CONT, parts[2])),
        code=1007,
    )  # fmt: skip


_HALF = envelope("Hello-µ@ßöäüàá-").index(b"-", 40) + 1
_BODY = envelope(_MIXED)
_EMPTY = frame(TEXT, fin=False)

CASES = [
    good("6.1.1", Say(frame(TEXT)), Hear((Refused(),))),
    good("6.1.2", Say(_EMPTY + frame(CONT, fin=False) + frame(CONT)), Hear((Refused(),))),
    good("6.1.3", Say(_EMPTY + frame(CONT, _BODY, fin=False) + frame(CONT)), Hear((Answer(_MIXED),))),
    good("6.2.1", Say(frame(TEXT, _MIXED.encode()) + frame(TEXT, _BODY)), Hear((Refused(), Answer(_MIXED)))),
    good("6.2.2", Say(frame(TEXT, _BODY[:_HALF], fin=False) + frame(CONT, _BODY[_HALF:])), Hear((Answer(_MIXED),))),
    _octets("6.2.3", _MIXED),
    _octets("6.2.4", GREEK.decode()),
    bad("6.3.1", Say(frame(TEXT, _INVALID)), code=1007),
    bad("6.3.2", Say(fragments(TEXT, _INVALID, 1)), code=1007),
    _early("6.4.1", len(GREEK), len(GREEK) + 4, False),
    _early("6.4.2", len(GREEK) + 1, len(GREEK) + 2, False),
    _early("6.4.3", len(GREEK), len(GREEK) + 4, True),
    _early("6.4.4", len(GREEK) + 1, len(GREEK) + 2, True),
    *(
        _sequence(f"6.{group}.{index}", text)
        for group, texts in enumerate(SEQUENCES, 5)
        for index, text in enumerate(texts, 1)
    ),
]
