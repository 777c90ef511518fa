"""How many large messages are received at once.

The buffer that picows reads into grows to the size of a frame and never shrinks. Without a bound ten thousand clients
that send 64 KiB each at the same moment cost more than a gigabyte, for good. Here only so many connections may have a
large buffer: one that is done with its message gives it up when another needs it, and where none is, the other is not
read from until one is.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Generic, Protocol, TypeVar


class Receiver(Hashable, Protocol):
    """A connection."""

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
    """

    def __init__(self, most: int, shrink: Callable[[R], None]) -> None:
        self._most = most
        self._shrink = shrink
        self._busy: set[R] = set()
        # In the order in which they have been resting, or waiting.
        self._resting: dict[R, None] = {}
        self._waiting: dict[R, None] = {}

    def begin(self, receiver: R) -> None:
        """The connection's buffer is large, and about to be read into."""
        if receiver in self._busy or receiver in self._waiting:
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
        self._busy.add(receiver)

    def rest(self, receiver: R) -> None:
        """The connection's buffer holds nothing: its last frame was handed on."""
        if receiver in self._waiting:
            # What was on its way when it had to wait was the end of its frame.
            del self._waiting[receiver]
            self._shrink(receiver)
            receiver.go_on()
        elif receiver in self._busy:
            self._busy.discard(receiver)
            if self._waiting:
                self._shrink(receiver)
                self._admit()
            else:
                self._resting[receiver] = None

    def forget(self, receiver: R) -> None:
        """The connection is gone."""
        self._waiting.pop(receiver, None)
        self._resting.pop(receiver, None)
        self._busy.discard(receiver)
        self._admit()

    def waits(self, receiver: R) -> bool:
        """Whether the connection may not be read from."""
        return receiver in self._waiting

    def _admit(self) -> None:
        while self._waiting and len(self._busy) + len(self._resting) < self._most:
            receiver = next(iter(self._waiting))
            del self._waiting[receiver]
            self._busy.add(receiver)
            receiver.go_on()

    def __len__(self) -> int:
        return len(self._busy) + len(self._resting)
