"""``SystemExit`` and ``KeyboardInterrupt`` in tasks that handlers start, such as those of a ``TaskGroup``.

asyncio raises these two out of the loop as well, past whoever awaits the task: a ``sys.exit()`` in a library that one
message reaches would end the process for all clients. Inside handlers they become a HandlerExitError, which reaches
whoever awaits the task and ends as the handler's 500. Tasks that no handler started are left as they are.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator
from contextvars import ContextVar
from types import TracebackType
from typing import Any

inside_handler: ContextVar[bool] = ContextVar("linkd_inside_handler", default=False)
"""Whether this runs in a worker, or in a task that something in a worker started: tasks inherit their context."""


class HandlerExitError(Exception):
    """A task of a handler raised SystemExit or KeyboardInterrupt; its cause."""


def contain(loop: asyncio.AbstractEventLoop) -> None:
    """Have the loop make such tasks so. A loop whose owner makes its tasks another way is left alone."""
    if loop.get_task_factory() is None:
        loop.set_task_factory(_make_task)


def _make_task(loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> asyncio.Task[Any]:
    return asyncio.Task(_Contained(coroutine) if inside_handler.get() else coroutine, loop=loop, **options)


class _Contained(Coroutine[Any, Any, Any]):
    """A coroutine that raises HandlerExitError instead.

    No ``async def`` around the other one: cancelled before its first step, that would leave it never awaited.
    """

    def __init__(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        self._coroutine = coroutine

    def __getattr__(self, name: str) -> Any:
        return getattr(self._coroutine, name)  # its name, its frame: what a debugger shows

    def send(self, value: Any) -> Any:
        """See Coroutine."""
        return _step(self._coroutine.send, value)

    def throw(self, type: Any, value: Any = None, traceback: TracebackType | None = None) -> Any:
        """See Coroutine."""
        # With one argument, as Python has it from 3.12 on.
        error = type if value is None else value
        return _step(self._coroutine.throw, error if traceback is None else error.with_traceback(traceback))

    def close(self) -> None:
        """See Coroutine."""
        self._coroutine.close()

    def __await__(self) -> Generator[Any, Any, Any]:
        """See Coroutine."""
        return self._coroutine.__await__()


def _step(step: Callable[[Any], Any], argument: Any) -> Any:
    try:
        return step(argument)
    except (SystemExit, KeyboardInterrupt) as error:
        raise HandlerExitError(f"a task of a handler raised {type(error).__name__}") from error
