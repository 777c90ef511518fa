"""What waits to be printed is bounded, and nothing is left out in silence."""

from __future__ import annotations

import asyncio

import pytest
from prompt_toolkit.application import create_app_session
from prompt_toolkit.input import DummyInput
from prompt_toolkit.output.plain_text import PlainTextOutput

from pylinkd.cli.connect.printer import Printer
from pylinkd.cli.connect.rendering import Item


class Written:
    """A file that keeps what is written to it."""

    encoding = "utf-8"

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> int:
        """See io."""
        self.text += text
        return len(text)

    def flush(self) -> None:
        """See io."""

    def fileno(self) -> int:
        """See io."""
        return 1


async def test_events_beyond_the_bound_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers are kept, in their place."""
    monkeypatch.setenv("TERM", "dumb")
    written = Written()
    with create_app_session(DummyInput(), PlainTextOutput(written)):  # type: ignore[arg-type]
        printer = Printer(lambda: 80)
        for number in range(5_000):
            printer.show(Item("event", "a.event", str(number)))
        printer.show(Item("answer", "a.call", "1"))
        await printer.flush()
    lines = written.text.splitlines()

    assert lines[:2] == ["* a.event 0", "* a.event 1"]
    assert lines[999:] == [
        "* a.event 999",
        "! 4,000 events are not shown: they came faster than they could be printed",
        "< a.call 1",
    ]


async def test_items_are_printed_as_they_come(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a task that runs beside."""
    monkeypatch.setenv("TERM", "dumb")
    written = Written()
    with create_app_session(DummyInput(), PlainTextOutput(written)):  # type: ignore[arg-type]
        printer = Printer(lambda: 80)
        printing = asyncio.create_task(printer.run())
        printer.show(Item("note", "hello"))
        async with asyncio.timeout(5):
            while written.text != "- hello\n":
                await asyncio.sleep(0.01)
        printing.cancel()
