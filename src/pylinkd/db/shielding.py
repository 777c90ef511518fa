"""Steps that must come to their end although their task is cancelled.

A half-done COMMIT or ROLLBACK would leave a connection in a state nobody knows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

ResultT = TypeVar("ResultT")

# How often a statement that is to stop is interrupted again, in seconds: SQLite forgets an interrupt that
# comes while its thread is between two statements.
_RETRY = 0.02


async def finish(step: Coroutine[Any, Any, ResultT], *, hurry: Callable[[], None] | None = None) -> ResultT:
    """Run a step to its end; a cancellation that arrives meanwhile is raised afterwards.

    Args:
        step: What to run, in a task of its own.
        hurry: Called on cancellation, repeatedly, to make the step end early with an error. None lets it
            run as long as it needs.

    Raises:
        asyncio.CancelledError: If cancelled meanwhile, whatever came of the step.
    """
    task = asyncio.create_task(step)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait((task,), timeout=_RETRY if cancelled and hurry else None)
        except asyncio.CancelledError as error:
            cancelled = error
        if cancelled and hurry and not task.done():
            hurry()
    if cancelled is None:
        return task.result()
    if not task.cancelled():
        task.exception()  # seen: the cancellation is what the caller has to hear of
    raise cancelled
