"""A service as a process of its own: the signals that stop it, and an end that nothing can hold up for ever.

Python waits for every thread before it ends, and a thread cannot be cancelled: ``to_thread(sleep, 3600)`` in a handler
would keep a stopped service for an hour.
"""

from __future__ import annotations

import asyncio
import functools
import os
import signal
import sys
import threading
from time import monotonic
from types import FrameType

import structlog

from ..line_writer import flush_log

log = structlog.get_logger("linkd.service")

_MOMENT = 0.5  # seconds that threads have in any case
_LOOK_INTERVAL = 0.02
_ALLOWANCE = 15.0  # seconds for everything of a stop that has its own bound: draining, cancelling, the database
_POOL_FILE = "concurrent/futures/thread.py"


class ServiceProcess:
    """The process while a service runs in it.

    Args:
        stop_timeout: Seconds that handlers may take once the service stops, and after them before_stop.

    Attributes:
        stop: Set once a signal came.
    """

    def __init__(self, stop_timeout: float) -> None:
        self.stop = asyncio.Event()
        self._stop_timeout = stop_timeout
        self._stopped_at: float | None = None
        self._last_resort: threading.Timer | None = None
        self._earlier_threads = set(threading.enumerate())

    def take_signals(self) -> None:
        """Stop at SIGTERM or SIGINT; a second one ends the process at once. Call it in the loop."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_signal, number)

    def _on_signal(self, number: int) -> None:
        if self.stop.is_set():
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        self._stopped_at = monotonic()
        self._last_resort = threading.Timer(2 * self._stop_timeout + _ALLOWANCE, self._end_anyway)
        self._last_resort.daemon = True
        self._last_resort.start()
        self.stop.set()

    def _end_anyway(self) -> None:
        log.error("process_does_not_end", threads=_all_threads())
        end_at_once()

    def ended(self) -> None:
        """The program goes on without the service."""
        if self._last_resort is not None:
            self._last_resort.cancel()

    async def leave_threads(self) -> bool:
        """Wait until the threads that were started meanwhile are idle; ``False``: some are not, and were logged.

        They have what is left of the stop timeout, and a moment in any case.
        """
        began = monotonic()
        stopped_at = began if self._stopped_at is None else self._stopped_at
        deadline = max(stopped_at + self._stop_timeout, began + _MOMENT)
        while threads := self._busy_threads():
            if monotonic() > deadline:
                log.error("threads_left_running", threads=threads)
                return False
            await asyncio.sleep(_LOOK_INTERVAL)
        return True

    def _busy_threads(self) -> list[str]:
        """What the threads do for which Python would wait."""
        frames = sys._current_frames()
        busy: list[str] = []
        for thread in threading.enumerate():
            if thread.daemon or thread is threading.current_thread() or thread in self._earlier_threads:
                continue
            frame = None if thread.ident is None else frames.get(thread.ident)
            if frame is not None and not _waits_for_work(frame):
                busy.append(f"{thread.name}: {_place(frame)}")
        return busy


def end_at_once(status: int = 1) -> None:
    """End the process without waiting for anything. What was printed or logged is seen."""
    flush_log()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            pass  # nobody reads it any more
    os._exit(status)


def _all_threads() -> list[str]:
    """Where each thread is, this one apart."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    me = threading.get_ident()
    return [f"{names.get(id, id)}: {_place(frame)}" for id, frame in sys._current_frames().items() if id != me]


def _waits_for_work(frame: FrameType) -> bool:
    return frame.f_code.co_name == "_worker" and frame.f_code.co_filename.endswith(_POOL_FILE)


def _place(frame: FrameType) -> str:
    code = frame.f_code
    if code.co_filename.endswith(_POOL_FILE) and "self" in frame.f_locals:
        # A function written in C has no frame; the pool knows which one it called.
        function = getattr(frame.f_locals["self"], "fn", None)
        while isinstance(function, functools.partial):  # asyncio.to_thread calls it in a context
            function = function.args[0] if function.args else function.func
        return str(getattr(function, "__qualname__", function))
    return f"{code.co_qualname} ({code.co_filename}:{frame.f_lineno})"
