"""A loop whose clock jumps to the next timer whenever nothing else is going on: minutes of delays pass in milliseconds.

Client and server of such a test run in the one loop. What one of them wrote on the loopback is readable at once, so
that a loop without anything to read has nothing under way either, and may as well be where its next timer is due.
"""

from __future__ import annotations

import asyncio
import functools
import gc
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec

P = ParamSpec("P")

_GRACE = 0.001  # seconds that the kernel is given


class _Selector(selectors.DefaultSelector):
    """Instead of waiting for so long, says how long it would have waited.

    Attributes:
        ahead: Seconds that were not waited.
        turns: How often it was asked.
    """

    ahead = 0.0
    turns = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """See selectors."""
        self.turns += 1
        if timeout is None or timeout <= 0:
            return super().select(timeout)
        ready = super().select(0) or super().select(min(timeout, _GRACE))
        if not ready:
            self.ahead += timeout
        return ready


class JumpingLoop(asyncio.SelectorEventLoop):
    """See the module."""

    def __init__(self) -> None:
        self._jumping = _Selector()
        super().__init__(self._jumping)

    @property
    def turns(self) -> int:
        """How many turns the loop took so far."""
        return self._jumping.turns

    def time(self) -> float:
        """See asyncio."""
        return super().time() + self._jumping.ahead


def accelerated(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Run a test on such a loop. In the end no task may be left, and nothing may have failed that nobody looked at."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        unseen: list[dict[str, Any]] = []
        with asyncio.Runner(loop_factory=JumpingLoop) as runner:
            runner.get_loop().set_exception_handler(lambda _, context: unseen.append(context))
            left = runner.run(_run(test(*args, **kwargs)))
            gc.collect(1)  # what a test made is young; all would take a quarter of a second
        assert not left
        assert not unseen

    return run


async def _run(test: Coroutine[Any, Any, None]) -> list[str]:
    await test
    for _ in range(3):  # what was cancelled ends
        await asyncio.sleep(0)
    return [repr(task) for task in asyncio.all_tasks() if task is not asyncio.current_task()]
