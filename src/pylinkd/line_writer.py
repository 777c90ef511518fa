"""Lines for a log or an audit file: whoever logs neither waits for a reader nor fails.

A regular file takes a line or refuses it, and is written at once. Everything else is written by a thread: a pipe's
reader may be slow or gone, and a terminal stopped. ``O_NONBLOCK`` would be simpler, but belongs to the open file, which
other processes share.
"""

from __future__ import annotations

import os
import select
import stat
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable

_MOST_WAITING = 2**20  # bytes
_BATCH = 64 * 1024  # bytes that are written at once
_RETRY = 1.0  # seconds until it is tried again to say what was lost
_PATIENCE = 1000  # milliseconds for a descriptor that another process made non-blocking
_FLUSH = 2.0  # seconds that the end of the process waits for a slow reader


class LineWriter:
    """Writes lines to a file descriptor. What does not fit, or cannot be written, is lost and counted.

    Args:
        descriptor: Where to; ``None``: nowhere, so that every line is lost. It is this object's from now on.
        describe_loss: Makes the line that says how many are missing, once writing works again.
        most_waiting: Bytes that may wait.

    Attributes:
        lost: Lines that were not written.
    """

    def __init__(
        self, descriptor: int | None, describe_loss: Callable[[int], str], most_waiting: int = _MOST_WAITING
    ) -> None:
        self._descriptor = descriptor
        self._describe_loss = describe_loss
        self._most_waiting = most_waiting
        self.lost = 0
        self._unsaid = 0
        self._torn = False
        self._alone: int | None = None  # milliseconds for a line that is written without the thread
        self._direct = descriptor is not None and _is_file(descriptor)
        self._begin()
        _writers.add(self)

    def _begin(self) -> None:
        self._waiting: deque[bytes] = deque()
        self._size = 0
        self._busy = False
        self._closed = False
        self._thread: threading.Thread | None = None
        self._changed = threading.Condition()  # its lock may be taken twice by one thread: signal handlers log, too

    def after_fork(self) -> None:
        """In a child process: threads stay behind in the parent, and so does what waits for them."""
        self._begin()
        self._alone = _PATIENCE

    def write(self, line: str) -> None:
        """Have a line written; it has no line feed at its end. Never raises, never waits."""
        raw = line.encode("utf-8", "backslashreplace") + b"\n"
        if self._alone is not None:
            self._write_alone(raw, self._alone)
            return
        with self._changed:
            # One line is taken whatever its size: the traceback of a large error is one that somebody needs.
            if self._direct and self._descriptor is not None:
                self._put_out([raw])
                return
            full = self._size > 0 and self._size + len(raw) > self._most_waiting
            if full or self._descriptor is None or self._closed or not self._runs():
                self._lose(1)
                return
            self._waiting.append(raw)
            self._size += len(raw)
            self._changed.notify_all()

    def _runs(self) -> bool:
        if self._thread is None:
            thread = threading.Thread(target=self._run, name="linkd-lines", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # there are too many threads, or the interpreter ends
                return False
            self._thread = thread
        return True

    def _lose(self, count: int) -> None:
        self.lost += count
        self._unsaid += count

    def _run(self) -> None:
        while True:
            with self._changed:
                self._busy = False
                self._changed.notify_all()
                if not self._waiting and not self._closed:
                    self._changed.wait(_RETRY if self._unsaid else None)
                if not self._waiting and self._closed:
                    return
                lines = self._take()
                self._busy = True
            if lines or self._unsaid:
                self._put_out(lines)

    def _take(self) -> list[bytes]:
        lines: list[bytes] = []
        size = 0
        while self._waiting and size < _BATCH:
            lines.append(self._waiting.popleft())
            size += len(lines[-1])
        self._size -= size
        return lines

    def _put_out(self, lines: list[bytes]) -> None:
        """Write some lines, and before them how many are missing."""
        said = self._unsaid
        before = b"\n" if self._torn else b""
        if said:
            before += self._describe_loss(said).encode("utf-8", "backslashreplace") + b"\n"
        written = self._write_all(before + b"".join(lines))
        end = len(before)
        with self._changed:
            if written >= end:
                self._unsaid -= said
            for line in lines:
                end += len(line)
                if written < end:
                    self._lose(1)

    def _write_all(self, data: bytes) -> int:
        """Write as much as can be written; how many bytes that were."""
        written = 0
        assert self._descriptor is not None
        while written < len(data):
            try:
                written += os.write(self._descriptor, data[written:])
            except BlockingIOError:
                _takes_more(self._descriptor, _PATIENCE)
            except OSError:
                break
        if written:
            self._torn = data[written - 1 : written] != b"\n"
        return written

    def _write_alone(self, raw: bytes, patience: int) -> None:
        """Without the thread, where there is none; waiting so many milliseconds at most."""
        try:
            if self._descriptor is not None and _takes_more(self._descriptor, patience):
                os.write(self._descriptor, raw)
                return
        except OSError:
            pass
        self.lost += 1

    def flush(self, timeout: float = _FLUSH) -> bool:
        """Wait until everything is written, ``timeout`` seconds at most; whether it was."""
        if self._thread is None or threading.current_thread() is self._thread:
            return True
        deadline = time.monotonic() + timeout
        with self._changed:
            while self._waiting or self._busy:
                if not self._changed.wait(max(0.0, deadline - time.monotonic())):
                    return False
        return True

    def replace(self, descriptor: int) -> None:
        """Write to another file from now on, such as the one that a rotation made; it is this object's then."""
        with self._changed:
            if self._descriptor is None:
                self._descriptor = descriptor
                self._direct = _is_file(descriptor)
                return
            # The number stays the same: the thread may be about to write to it.
            os.dup2(descriptor, self._descriptor, inheritable=False)
            os.close(descriptor)
            self._direct = self._thread is None and _is_file(self._descriptor)

    def finish(self, timeout: float = _FLUSH) -> None:
        """At the end of the process: write what waits. Later lines are written by whoever logs them, or lost."""
        if self._alone is None:
            self.flush(timeout)
            self._alone = 0

    def close(self, timeout: float = _FLUSH) -> None:
        """Write what waits, ``timeout`` seconds at most, and let go of the file. Later lines are lost."""
        written = self.flush(timeout)
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        if self._thread is not None and written:
            self._thread.join(timeout)
        if written and self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _is_file(descriptor: int) -> bool:
    return stat.S_ISREG(os.fstat(descriptor).st_mode)


def _takes_more(descriptor: int, patience: int) -> bool:
    """Whether something can be written; waits for it, so many milliseconds at most."""
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    return bool(poll.poll(patience))


_writers: weakref.WeakSet[LineWriter] = weakref.WeakSet()
_log: LineWriter | None = None


def _after_fork() -> None:
    for writer in list(_writers):
        writer.after_fork()


os.register_at_fork(after_in_child=_after_fork)


def use_for_log(writer: LineWriter) -> None:
    """This process's log is written by it."""
    global _log
    _log = writer


def flush_log() -> None:
    """Have what was logged written before the process ends; not waiting for long."""
    if _log is not None:
        _log.finish()


def say_last(text: str) -> bool:
    """Write a line after the log's last one, on its way; ``False``: there is no log, and nothing was written."""
    if _log is None:
        return False
    _log.finish()
    _log.write(text)
    return True


def log_lines_lost() -> int:
    """Lines of this process's log that were not written."""
    return 0 if _log is None else _log.lost
