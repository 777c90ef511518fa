"""How many large messages are received at once.

The buffer that picows reads into grows to the size of a frame and never shrinks. Without a bound ten thousand clients
that send 64 KiB each at the same moment cost more than a gigabyte, for good. Here only so many connections may have a
large buffer: one that is done with its message gives it up when another needs it, and where none is, the other is not
read from until one is. Whoever keeps others waiting has to go on: a client that sends a byte a second would hold its
place for ever.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Generic, Protocol, TypeVar

_LEAST = 8 * 1024  # bytes that have to come within the patience


class Receiver(Hashable, Protocol):
    """A connection."""

    @property
    def held(self) -> bool:
        """Whether nothing is read from it, by our own choice."""

    def wait(self) -> None:
        """Nothing more may be read from it."""

    def go_on(self) -> None:
        """It may be read from again."""


R = TypeVar("R", bound=Receiver)


class Receptions(Generic[R]):
    """The connections with a large buffer.

    Args:
        most: How many there may be.
        shrink: Gives a connection that is between two frames a small buffer.
        patience: Seconds within which some of a message has to come while others wait.
    """

    def __init__(self, most: int, shrink: Callable[[R], None], *, patience: float) -> None:
        self._most = most
        self._shrink = shrink
        self._patience = patience
        self._busy: dict[R, _Progress] = {}
        # In the order in which they have been resting, or waiting.
        self._resting: dict[R, None] = {}
        self._waiting: dict[R, None] = {}

    def begin(self, receiver: R, size: int, now: float) -> None:
        """The connection's buffer is large, and ``size`` bytes more of its message have come."""
        progress = self._busy.get(receiver)
        if progress is not None:
            progress.size += size
            return
        if receiver in self._waiting:
            return
        if receiver in self._resting:
            del self._resting[receiver]
        elif len(self._busy) + len(self._resting) >= self._most:
            if not self._resting:
                self._waiting[receiver] = None
                receiver.wait()
                return
            oldest = next(iter(self._resting))
            del self._resting[oldest]
            self._shrink(oldest)
        self._busy[receiver] = _Progress(now)

    def rest(self, receiver: R, now: float) -> None:
        """The connection's buffer holds nothing: its last frame was handed on."""
        if receiver in self._waiting:
            # What was on its way when it had to wait was the end of its frame.
            del self._waiting[receiver]
            self._shrink(receiver)
            receiver.go_on()
        elif receiver in self._busy:
            del self._busy[receiver]
            if self._waiting:
                self._shrink(receiver)
                self._admit(now)
            else:
                self._resting[receiver] = None

    def forget(self, receiver: R, now: float) -> None:
        """The connection is gone."""
        self._waiting.pop(receiver, None)
        self._resting.pop(receiver, None)
        self._busy.pop(receiver, None)
        self._admit(now)

    def overdue(self, now: float) -> list[R]:
        """Those that keep others waiting for too long."""
        if not self._waiting:
            return []
        late = []
        for receiver, progress in self._busy.items():
            if now - progress.since >= self._patience:
                # Where nothing is read from it, it cannot go on, and that is our doing.
                if progress.size < _LEAST and not receiver.held:
                    late.append(receiver)
                progress.since, progress.size = now, 0
        return late

    def paused(self, seconds: float) -> None:
        """The gateway itself did nothing for so long."""
        for progress in self._busy.values():
            progress.since += seconds

    def waits(self, receiver: R) -> bool:
        """Whether the connection may not be read from."""
        return receiver in self._waiting

    @property
    def waiting(self) -> int:
        """How many connections wait for a large buffer."""
        return len(self._waiting)

    def _admit(self, now: float) -> None:
        while self._waiting and len(self._busy) + len(self._resting) < self._most:
            receiver = next(iter(self._waiting))
            del self._waiting[receiver]
            self._busy[receiver] = _Progress(now)
            receiver.go_on()

    def __len__(self) -> int:
        return len(self._busy) + len(self._resting)


class _Progress:
    """How much of a message has come since when."""

    __slots__ = ("since", "size")

    def __init__(self, now: float) -> None:
        self.since = now
        self.size = 0
