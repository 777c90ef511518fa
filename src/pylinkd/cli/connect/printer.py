"""What is printed above the prompt: it waits here, within a bound, until the terminal takes it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from prompt_toolkit.application import get_app_or_none, get_app_session, run_in_terminal

from .rendering import Item, Renderer

_MOST_EVENTS = 1_000  # of at most some 16 KiB each
_AT_ONCE = 100  # items, after which the prompt is drawn and read again
_PAUSE = 0.02  # seconds; what comes meanwhile is printed together, as drawing the prompt costs more than a line


class Printer:
    """Prints items in order. Events beyond 1,000 that wait are counted and not kept; everything else is kept.

    Args:
        width: Says how many columns the terminal has.
    """

    def __init__(self, width: Callable[[], int]) -> None:
        self._width = width
        self._waiting: deque[Item] = deque()
        self._events = 0
        self._left_out = 0
        self._more = asyncio.Event()

    def show(self, item: Item) -> None:
        """Have an item printed."""
        if item.kind in ("event", "presence"):
            if self._events >= _MOST_EVENTS:
                self._left_out += 1
                return
            self._events += 1
        self._note_what_was_left_out()
        self._waiting.append(item)
        self._more.set()

    def _note_what_was_left_out(self) -> None:
        if self._left_out:
            left_out, self._left_out = self._left_out, 0
            text = f"{left_out:,} events are not shown: they came faster than they could be printed"
            self._waiting.append(Item("error", text))

    async def run(self) -> None:
        """Print what comes, for ever."""
        while True:
            await self._more.wait()
            await self.flush()
            await asyncio.sleep(_PAUSE)

    async def flush(self) -> None:
        """Print what waits."""
        while self._waiting:
            renderer = Renderer(self._width())
            text = ""
            for _ in range(min(_AT_ONCE, len(self._waiting))):
                item = self._waiting.popleft()
                self._events -= item.kind in ("event", "presence")
                text += renderer.render(item)
            if not self._waiting:
                self._more.clear()
            await _print(text)


async def _print(text: str) -> None:
    """Write above the prompt, which is taken away and drawn again."""
    output = get_app_session().output

    def write() -> None:
        # Blocks while the terminal takes nothing. Nothing piles up meanwhile: the connection is not read either.
        output.write_raw(text)
        output.flush()

    app = get_app_or_none()
    if app is None or not app.is_running:
        write()
    else:
        await run_in_terminal(write)
