"""Tables on a terminal, of texts that may come from anybody."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from rich.console import Console
from rich.table import Column, Table
from rich.text import Text


def moment(seconds: float) -> str:
    """A time for people, in UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def printable(text: str) -> str:
    """A text without escape sequences for the terminal."""
    return "".join(one if one.isprintable() or one == "\n" else "?" for one in text)


def show(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows under their columns."""
    first, *others = columns
    # What names a row has to be whole: it is given to the next command.
    table = Table(Column(first, no_wrap=True, overflow="ignore"), *(Column(one, overflow="fold") for one in others))
    table.box = None
    for row in rows:
        # Some of it came from clients: no markup, and no escape sequences.
        table.add_row(*(Text(printable(cell).replace("\n", "?")) for cell in row))
    Console(soft_wrap=True).print(table)
