"""What came from a server, as text for a terminal: coloured, of bounded length, and never raw.

A terminal obeys control characters: they can hide text, set the title of the window, or have the terminal type an
answer. So whatever is not printable is shown as JSON escapes it.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any, Literal

import msgspec
from rich.console import Console
from rich.highlighter import JSONHighlighter
from rich.text import Text

_MOST = 16 * 1024  # characters of one value that are shown
_JOINERS = "\u200c\u200d"  # within words of some scripts, and within emoji
_ONE_LINE = 100  # characters

Kind = Literal["answer", "event", "error", "note", "presence"]

_MARKS: dict[Kind, tuple[str, str]] = {
    "answer": ("<", "green"),
    "event": ("*", "magenta"),
    "error": ("!", "red"),
    "note": ("-", "bright_black"),
    "presence": ("+", "cyan"),
}
_highlight = JSONHighlighter()


@dataclass(frozen=True, slots=True)
class Item:
    """Something to be shown.

    Attributes:
        kind: What it is.
        text: Printable, in words, or the type of a message.
        value: JSON, printable; ``None``: there is none.
        note: Printable: a time, a place.
    """

    kind: Kind
    text: str
    value: str | None = None
    note: str = ""


def printable(text: str) -> str:
    """The text with everything escaped that a terminal does not simply show, newlines as well."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() or one in _JOINERS else _escaped(one) for one in text)


def json_text(value: Any) -> str:
    """A value as JSON on one line, printable and of any length. JSON that came as bytes stays as it was written.

    Raises:
        ValueError: If it cannot be written as JSON.
    """
    try:
        encoded = bytes(value) if isinstance(value, msgspec.Raw) else msgspec.json.encode(value)
        return printable(msgspec.json.format(encoded, indent=0).decode(errors="replace"))
    except (msgspec.MsgspecError, UnicodeEncodeError, TypeError, RecursionError) as error:
        raise ValueError(str(error)) from error


def shown_value(value: Any) -> str:
    """A value as JSON, on several lines where one would be long; cut off where it is very long."""
    try:
        text = json_text(value)
    except ValueError as error:
        return f"(cannot be shown: {printable(str(error))})"
    if len(text) > _MOST:
        return f"{text[:_MOST]}… ({len(text) - _MOST:,} characters more; --json has them all)"
    if len(text) <= _ONE_LINE or text[0] not in "{[":
        return text
    return msgspec.json.format(text, indent=2)


class Renderer:
    """Items as text for a terminal, with its colours where it has any.

    Args:
        width: Columns. Words are broken into lines here; values are not, so that they can be copied.
    """

    def __init__(self, width: int = 80) -> None:
        self._buffer = io.StringIO()
        self._console = Console(file=self._buffer, force_terminal=True, width=width, soft_wrap=True, highlight=False)

    def render(self, item: Item) -> str:
        """The item's lines, with a line's end behind each."""
        mark, style = _MARKS[item.kind]
        text = Text(f"{mark} ", style=style)
        if item.kind in ("error", "note"):
            lines = Text(item.text, style=style).wrap(self._console, max(self._console.width - 2, 20))
            for line in lines:
                line.rstrip()
            text.append_text(Text("\n  ").join(lines))
        else:
            text.append(item.text, style="bold")
        if item.value is not None:
            value = Text(item.value)
            _highlight.highlight(value)
            text.append(" ").append_text(value)
        if item.note:
            text.append(f"  {item.note}", style="bright_black")
        self._console.print(text, soft_wrap=True)
        rendered = self._buffer.getvalue()
        self._buffer.seek(0)
        self._buffer.truncate()
        return rendered


def _escaped(character: str) -> str:
    code = ord(character)
    if code <= 0xFFFF:
        return f"\\u{code:04x}"
    code -= 0x10000
    return f"\\u{0xD800 + (code >> 10):04x}\\u{0xDC00 + (code & 0x3FF):04x}"
