"""Sending clients away from a gateway that stops: a few at a time, each with its own moment to come back.

A gateway that closes all connections at once gets them all back at once, wherever they go. Here clients are released
at a rate, keep being served until it is their turn, and return spread over a time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

import msgspec

from .session import Session

_SLICE = 0.75  # of the time there is, in which all have to be released, so that the last can still be answered
_GOLDEN = 0.6180339887498949  # multiples of it, modulo 1, spread evenly however many there are
_SOONEST = 0.1  # seconds; nobody is asked to come back before the connection is closed


class DrainSettings(msgspec.Struct, frozen=True):
    """How fast clients are released.

    Attributes:
        rate: Sessions released per second; more if they would not be through in time.
        spread: Seconds over which they are asked to return; longer where the release takes longer.
    """

    rate: float = 1000.0
    spread: float = 5.0


class Drain:
    """The release of every session, without clock or socket.

    Args:
        sessions: Who is there.
        now: The time in seconds.
        within: Seconds that all of it may take.
        settings: How fast.
    """

    def __init__(self, sessions: Iterable[Session], now: float, within: float, settings: DrainSettings) -> None:
        self._waiting = deque(sessions)
        self._leaving: set[Session] = set()
        self._began = now
        self._released = 0
        count = len(self._waiting)
        self._rate = max(settings.rate, count / (within * _SLICE)) if within else float("inf")
        self._spread = max(settings.spread, count / self._rate)

    def step(self, now: float) -> list[Session]:
        """Release those whose turn it is, and return those of the released that have got everything they wait for."""
        due = max(now - self._began, 1e-9) * self._rate  # infinite at once where there is no time
        while self._waiting and self._released <= due:
            session = self._waiting.popleft()
            self._released += 1
            if session.connection is not None:
                session.drain(_SOONEST + self._spread * (self._released * _GOLDEN % 1))
                self._leaving.add(session)
        finished = [session for session in self._leaving if session.served]
        self._leaving.difference_update(finished)
        return finished

    def give_up(self) -> list[Session]:
        """The time is over: release whoever is left, and return all that have not got everything."""
        for session in self._waiting:
            if session.connection is not None:
                session.drain(_SOONEST + self._spread * (self._released * _GOLDEN % 1))
                self._released += 1
                self._leaving.add(session)
        self._waiting.clear()
        left, self._leaving = list(self._leaving), set()
        return left

    @property
    def done(self) -> bool:
        """Whether everyone was released and has got what it waited for."""
        return not self._waiting and not self._leaving
