"""Clean text: what people typed, freed of characters that nobody sees and that do harm, and made safe for HTML.

A service applies the same rules to all that comes in (``TextPolicy``, sdk/text.py). ``clean`` is for one text at a
time, where more is wanted: limits, one line, one spelling.
"""

from __future__ import annotations

import html
import itertools
import re
import unicodedata
from typing import Any, Literal

from .protocol.errors import ValidationError

Controls = Literal["refuse", "strip", "keep"]
"""What becomes of control characters."""

# C0 and C1 with DEL between them; U+2028 and U+2029, which end a line where nobody expects it; the overrides,
# embeddings and isolates of direction, by which a text looks like another one. Tab, newline and return stand apart.
_INVISIBLE = "\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069"
CONTROLS = re.compile(f"[{_INVISIBLE}]")
_CONTROLS_AND_LINES = re.compile(f"[{_INVISIBLE}\t\n\r]")
_SURROGATES = re.compile("[\ud800-\udfff]")

_MOST_MARKS = 30
"""Most combining marks in a row of a text that is normalized: the Stream-Safe Text Format (UAX #15 §13)."""


def clean(
    text: str,
    *,
    max_length: int | None = None,
    max_bytes: int | None = None,
    controls: Controls = "refuse",
    newlines: bool = True,
    normalize: bool = False,
) -> str:
    """The text without harmful characters and within its limits; what is refused is named by its rule, never repeated.

    Lone surrogates are always refused. Control characters are those of C0, DEL and C1, the overrides, embeddings and
    isolates of direction (U+202A to U+202E, U+2066 to U+2069), and U+2028 and U+2029.

    Args:
        text: Any text.
        max_length: Most characters of the result; ``None``: any number.
        max_bytes: Most bytes of the result in UTF-8; ``None``: any number.
        controls: Whether control characters are refused, taken out, or let be.
        newlines: Whether newline, return and tab are text; ``False``: they are control characters.
        normalize: Whether to compose it (NFC), so that what looks the same is the same. Then more than 30 combining
            marks in a row are refused where they are not composed already: the time would grow with their square.

    Raises:
        ValidationError: If a rule forbids it; ``details`` has ``rule`` (``surrogate``, ``control``, ``marks``,
            ``max_length`` or ``max_bytes``), ``reason``, and for the last two ``limit``.
    """
    if not text.isprintable():  # no surrogate and no control character is printable
        if _SURROGATES.search(text):
            raise _broken("surrogate", "half of a surrogate pair is no character")
        forbidden = CONTROLS if newlines else _CONTROLS_AND_LINES
        if controls == "strip":
            text = forbidden.sub("", text)
        elif controls != "keep" and forbidden.search(text):
            raise _broken("control", "control characters are not allowed")
    if normalize:
        text = _composed(text)
    if max_length is not None and len(text) > max_length:
        raise _broken("max_length", f"at most {max_length} characters are allowed", limit=max_length)
    if max_bytes is not None and len(text.encode()) > max_bytes:
        raise _broken("max_bytes", f"at most {max_bytes} bytes in UTF-8 are allowed", limit=max_bytes)
    return text


def escape_html(text: str) -> str:
    """The text as it is written in an element or in an attribute between quotes; anywhere else it is not safe."""
    return html.escape(text, quote=True)


def _composed(text: str) -> str:
    if unicodedata.is_normalized("NFC", text):
        return text
    # By category, not by combining class: three marks of class 0 (U+0F73, U+0F75, U+0F81) come apart into others.
    marks = (unicodedata.category(character)[0] == "M" for character in text)
    if any(is_mark and sum(1 for _ in run) > _MOST_MARKS for is_mark, run in itertools.groupby(marks)):
        raise _broken("marks", f"at most {_MOST_MARKS} combining marks may follow each other")
    return unicodedata.normalize("NFC", text)


def _broken(rule: str, reason: str, **facts: Any) -> ValidationError:
    return ValidationError(f"The text is refused: {reason}.", details={"rule": rule, "reason": reason, **facts})


__all__ = ["clean", "escape_html"]
