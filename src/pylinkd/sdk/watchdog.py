"""Notices a handler that blocks the event loop, and names it while it does.

A timer of the loop says ten times a second that the loop is alive; a thread looks whether it did. Where it did not, the
thread looks at the stack of the loop's thread. Messages cost nothing for it.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Iterator
from time import monotonic, process_time
from types import CodeType, FrameType
from typing import Any, Protocol

import structlog

from .code_objects import codes_of

log = structlog.get_logger("linkd.service")

INTERVAL = 0.1  # seconds between two signs of life, and between two looks
BLOCKED_AFTER = 0.25  # seconds by which a sign of life is late when it is reported
_QUIET = 60.0  # seconds in which one handler is reported once
_MOST_REPORTED = 1000  # handlers remembered as reported; a program has no more
_DEEPEST = 20  # frames of a stack that are logged, the innermost

# Below these a callback of the loop begins: asyncio's own and, with uvloop, its runner.
_LOOP_FILES = ("asyncio/base_events.py", "asyncio/events.py", "asyncio/runners.py", "uvloop/__init__.py")
_IDLE_FILES = ("selectors.py",)
_OURS = __file__.rpartition("/")[0] + "/"


class Watched(Protocol):
    """What has handlers (service.py)."""

    def handler_names(self) -> Iterator[tuple[Any, str]]:
        """Every function that the author registered, and what to call it."""


class Watchdog:
    """Watches the loop that it is started in, from ``start`` to ``stop``.

    Args:
        watched: Whose handlers are to be named.
    """

    def __init__(self, watched: Watched) -> None:
        self._watched = watched
        self._ticked_at = monotonic()
        self._timer: asyncio.TimerHandle | None = None
        self._thread_id = 0
        self._ended = threading.Event()
        self._reported: dict[str, float] = {}

    def start(self) -> None:
        """Begin. Call it in the loop's thread."""
        self._thread_id = threading.get_ident()
        self._tick(asyncio.get_running_loop())
        threading.Thread(target=self._watch, name="linkd-watchdog", daemon=True).start()

    def stop(self) -> None:
        """End; the thread follows within an interval."""
        self._ended.set()
        if self._timer is not None:
            self._timer.cancel()

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        self._ticked_at = monotonic()
        self._timer = loop.call_later(INTERVAL, self._tick, loop)

    # in the thread

    def _watch(self) -> None:
        suspect: tuple[float, FrameType] | None = None
        looked_at, worked = monotonic(), process_time()
        while not self._ended.wait(INTERVAL):
            now, work = monotonic(), process_time()
            # A process that was stopped, or a machine that slept, has blocked nobody: it has not even worked.
            paused = now - looked_at > 5 * INTERVAL and work - worked < (now - looked_at) / 2
            looked_at, worked = now, work
            try:
                suspect = None if paused else self._look(now, suspect)
            except Exception:  # the thread goes on whatever a look came to
                log.exception("watchdog_failed")

    def _look(self, now: float, suspect: tuple[float, FrameType] | None) -> tuple[float, FrameType] | None:
        """Report what was in the way at the last look already; return what is in the way now."""
        ticked_at = self._ticked_at
        late = now - ticked_at - INTERVAL
        if late < BLOCKED_AFTER - INTERVAL:
            return None
        stack = _stack_of(self._thread_id)
        if not stack:
            return None
        name, depth = self._blamed(stack)
        # Many short handlers in a row delay the loop as well, and none of them is to blame.
        if late >= BLOCKED_AFTER and suspect == (ticked_at, stack[depth]):
            self._report(now, late, name, stack[: depth + 1])
        return ticked_at, stack[depth]

    def _report(self, now: float, late: float, name: str, stack: list[FrameType]) -> None:
        if now - self._reported.get(name, -_QUIET) < _QUIET:
            return
        if len(self._reported) >= _MOST_REPORTED:
            self._reported.clear()
        self._reported[name] = now
        lines = [f"{frame.f_code.co_filename}:{frame.f_lineno} {frame.f_code.co_qualname}" for frame in stack]
        log.warning("event_loop_blocked", handler=name, seconds=round(late, 2), stack=lines[:_DEEPEST][::-1])

    def _blamed(self, stack: list[FrameType]) -> tuple[str, int]:
        """What to call the function that is in the way, and where its frame is in the stack.

        It is the innermost one that was registered, else the outermost of the author's: a task's, for example.
        """
        names: dict[CodeType, str] = {}
        for function, name in self._watched.handler_names():
            for code in codes_of(function):
                names.setdefault(code, name)
        for depth, frame in enumerate(stack):
            if frame.f_code in names:
                return names[frame.f_code], depth
        for depth in reversed(range(len(stack))):
            if not stack[depth].f_code.co_filename.startswith(_OURS):
                return stack[depth].f_code.co_qualname, depth
        return stack[0].f_code.co_qualname, 0


def _stack_of(thread_id: int) -> list[FrameType]:
    """What the loop's callback is doing, innermost first; empty: the loop waits for events, or has ended."""
    frames: list[FrameType] = []
    frame = sys._current_frames().get(thread_id)
    while frame is not None and not frame.f_code.co_filename.endswith(_LOOP_FILES):
        frames.append(frame)
        frame = frame.f_back
    if frame is None or all(each.f_code.co_filename.endswith(_IDLE_FILES) for each in frames):
        return []
    return frames
