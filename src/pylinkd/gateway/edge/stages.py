"""The stages of a connection that is no WebSocket, and how long it may stay in each: the one place with such deadlines.

The first head of a new connection is the exception (arrival.py): it has the same deadline, and ``linkd_unfinished``.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from enum import StrEnum

import msgspec


class Stage(StrEnum):
    """What a connection is waited for."""

    TLS = "tls"
    """The client has to complete the TLS handshake."""
    HEAD = "head"
    """The client has begun a request, and has to complete its head."""
    BODY = "body"
    """The client has to complete the request: its body and trailers."""
    ANSWERING = "answering"
    """The gateway, or a service, has to answer."""
    SENDING = "sending"
    """The client has to read its answer, of which the kernel takes no more."""
    IDLE = "idle"
    """The client may send another request."""
    CLOSING = "closing"
    """The client has to take the last answer, and to close."""


class Deadlines(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds that a connection may stay in each stage.

    Attributes:
        head: From a request's first byte to the end of its head; of a TLS handshake from the connection.
        body: From there to the request's end, trailers included; of a body that is streamed, for each 16 KiB of it.
        answering: From there to the answer; of one that is streamed, from each part to the next.
        sending: For each tenth of an answer that the client does not read at once.
        idle: Between two requests.
    """

    head: float = 5.0
    body: float = 30.0
    answering: float = 300.0
    sending: float = 30.0
    idle: float = 5.0


def _ignore(stage: Stage) -> None:
    """Nobody waits any more."""


class Progress:
    """In which stage one connection is.

    Args:
        counts: Connections by stage, which this keeps right.
        expired: Called with the stage in which the connection stayed too long.
    """

    __slots__ = ("_counts", "_expired", "_timer", "stage")

    def __init__(self, counts: Counter[str], expired: Callable[[Stage], None]) -> None:
        self._counts = counts
        self._expired = expired
        self._timer: asyncio.TimerHandle | None = None
        self.stage: Stage | None = None

    def enter(self, stage: Stage, seconds: float) -> None:
        """Begin a stage, which may last so many seconds."""
        self.leave()
        self.stage = stage
        self._counts[stage] += 1
        self._timer = asyncio.get_running_loop().call_later(seconds, self._expired, stage)

    def end(self) -> None:
        """The connection is gone, or somebody else's. Lets go of whoever made this, who holds it, too."""
        self.leave()
        self._expired = _ignore

    def leave(self) -> None:
        """End the stage without another."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self.stage is not None:
            self._counts[self.stage] -= 1
            self.stage = None
