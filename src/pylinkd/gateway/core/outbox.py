"""What waits to be sent to one client, and the moment when it leaves.

Frames queue in the session's outbox and leave together at the end of the loop turn: a burst of events, or the
answers to requests that arrived together, cost one system call. Writing is the connection's (edge/connection.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol


class Outbox:
    """Frames accepted for one client and not yet handed to its connection.

    Args:
        limit: Most bytes that may wait. A single frame is taken whatever its size, so that a large answer
            does not pass for a slow client.
    """

    __slots__ = ("_limit", "frames", "size")

    def __init__(self, limit: int) -> None:
        self.frames: list[bytes] = []
        self.size = 0
        self._limit = limit

    def push(self, frame: bytes) -> bool:
        """Queue ``frame`` and return ``True``; ``False``, and nothing queued, if it does not fit."""
        size = self.size + len(frame)
        if size > self._limit and self.frames:
            return False
        self.size = size
        self.frames.append(frame)
        return True

    def take(self) -> list[bytes]:
        """Hand over everything queued, oldest first, and become empty."""
        frames, self.frames = self.frames, []
        self.size = 0
        return frames


class Flushable(Protocol):
    """Something that has frames to send at the end of the turn."""

    def flush(self) -> None:
        """Send what waits."""


class Turn:
    """Collects who has something to send in this loop turn, and flushes them all at its end.

    Args:
        schedule: Runs a function at the end of the turn; ``loop.call_soon`` in the real gateway.
    """

    __slots__ = ("_schedule", "_waiting")

    def __init__(self, schedule: Callable[[Callable[[], None]], object]) -> None:
        self._schedule = schedule
        self._waiting: list[Flushable] = []

    def add(self, sender: Flushable) -> None:
        """Flush ``sender`` at the end of this turn; once for each time it is added."""
        if not self._waiting:
            self._schedule(self._flush)
        self._waiting.append(sender)

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        for position, sender in enumerate(waiting, start=1):
            try:
                sender.flush()
            except BaseException:
                # Whoever comes after the one that failed is flushed all the same, in the next turn.
                for other in waiting[position:]:
                    self.add(other)
                raise
