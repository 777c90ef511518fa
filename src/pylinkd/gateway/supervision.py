"""Tasks that run as long as the gateway does: one that ends is logged and started anew, and no fault goes unnoticed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

log = structlog.get_logger("linkd")

_PAUSE = 1.0  # seconds between an end and the next start
_MOST_FAILURES = 10  # in a row, each within _SOUND of its start
_SOUND = 60.0  # seconds after which a task that ran so long counts as sound again


class Supervision:
    """Keeps tasks running until it is stopped.

    Args:
        give_up: Called once, when a task ends again and again: the gateway is of no use without it.
        pause: Seconds between the end of a task and its next start.
    """

    def __init__(self, give_up: Callable[[], None], *, pause: float = _PAUSE) -> None:
        self._give_up = give_up
        self._pause = pause
        self._tasks: list[asyncio.Task[None]] = []

    def keep(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        """Run ``run`` from now on; it should never end by itself."""
        self._tasks.append(asyncio.get_running_loop().create_task(self._keep(name, run), name=name))

    def stop(self) -> None:
        """Cancel all of them."""
        for task in self._tasks:
            task.cancel()

    async def _keep(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        clock = asyncio.get_running_loop().time
        failures = 0
        while failures < _MOST_FAILURES:
            begun = clock()
            try:
                await run()
                log.error("task_failed", task=name, reason="it ended")
            except Exception:
                # Whatever it is: without this task tokens do not end, and dead connections stay.
                log.exception("task_failed", task=name)
            failures = 1 if clock() - begun > _SOUND else failures + 1
            await asyncio.sleep(self._pause)
        log.error("tasks_failed", task=name)
        self._give_up()
