"""Work of a service beside its handlers: tasks that it owns, and calls from other threads."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import Coroutine
from contextvars import Context
from typing import Any, TypeVar

import structlog

from ..protocol.errors import ServiceUnavailableError
from .safe_log import report

log = structlog.get_logger("linkd.service")

_MOST_TASKS = 10_000

T = TypeVar("T")


class Background:
    """The background tasks of a running service.

    Args:
        context: In whose copies they run, so that none sees what a handler has set, nor its transaction.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._tasks: set[asyncio.Task[Any]] = set()
        self._closed = False

    def start(self, work: Coroutine[Any, Any, T], name: str | None, *, watched: bool = True) -> asyncio.Task[T]:
        """Run a coroutine as a task.

        Args:
            work: What it runs.
            name: Of the task, for logs.
            watched: Whether the error that ends it is logged; else whoever awaits it gets it.

        Raises:
            ServiceUnavailableError: If 10,000 run already, or the service stops.
        """
        if self._closed or len(self._tasks) >= _MOST_TASKS:
            work.close()
            reason = "The service stops." if self._closed else f"{_MOST_TASKS} background tasks run already."
            raise ServiceUnavailableError(reason)
        task = asyncio.get_running_loop().create_task(work, name=name, context=self._context.copy())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        if watched:
            task.add_done_callback(_log_failure)
        return task

    async def close(self, timeout: float) -> int:
        """Cancel all of them; how many had not ended after ``timeout`` seconds. Later calls do nothing."""
        self._closed = True
        for task in self._tasks:
            task.cancel()
        if not self._tasks:
            return 0
        _, pending = await asyncio.wait(self._tasks, timeout=timeout)
        if pending:
            log.error("background_stuck", tasks=sorted(task.get_name() for task in pending))
        return len(pending)


class Portal:
    """The way for other threads into the loop of a running service.

    Args:
        background: Where what they start runs.
    """

    def __init__(self, background: Background) -> None:
        self._background = background
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()

    def run(self, work: Coroutine[Any, Any, T], timeout: float | None = None) -> T:
        """Run a coroutine in the service's loop and return its result. Blocks the calling thread.

        Args:
            work: Such as ``service.to("lobby").emit("tick")``.
            timeout: Seconds to wait, then it is cancelled; ``None``: no limit.

        Raises:
            RuntimeError: If it is called in the thread of the loop, which it would block, or the loop has ended.
            TimeoutError: If it did not end in time.
            ServiceUnavailableError: As ``service.background``.
        """
        outcome = self.start(work)
        try:
            return outcome.result(timeout)
        except TimeoutError:
            outcome.cancel()
            raise

    def start(self, work: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
        """Run a coroutine in the service's loop; cancelling the future cancels it.

        Raises:
            RuntimeError: As ``run``.
        """
        if threading.get_ident() == self._thread or self._loop.is_closed():
            work.close()
            raise RuntimeError("a portal is for other threads, while the service runs; in its own loop write 'await'")
        return asyncio.run_coroutine_threadsafe(self._awaited(work), self._loop)

    async def _awaited(self, work: Coroutine[Any, Any, T]) -> T:
        return await self._background.start(work, "linkd-portal", watched=False)


def _log_failure(task: asyncio.Task[Any]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        report(log.error, "background_failed", exc_info=error, task=task.get_name())
