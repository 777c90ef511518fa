"""A session's WebSocket, as the core knows it, and why nothing may be read from it."""

from __future__ import annotations

from enum import IntEnum
from typing import Protocol

from ...protocol.end import EndReason


class Hold(IntEnum):
    """Why nothing is read from a client, as bits; it is read from when no reason is left."""

    WINDOW = 1
    """As many of its messages are unanswered as may be."""

    LINK = 2
    """Its service has too much to do."""

    STREAM = 4
    """A handler has not taken the chunks that came."""

    RECEPTION = 8
    """Too many large messages are being received."""

    VIOLATION = 16
    """It broke the protocol, or sends on although its connection closes."""

    PACE = 64
    """The small pieces of its stream come faster than its messages may."""

    ADMISSION = 32
    """Whether its user may have one connection more is being found out."""


class Connection(Protocol):
    """What a session needs of its WebSocket."""

    heard_at: float
    """When anything last came from its client; seconds, monotonic."""

    @property
    def held(self) -> bool:
        """Whether nothing is read from it, by our own choice."""

    @property
    def open(self) -> bool:
        """Whether it does not close yet."""

    @property
    def ending(self) -> EndReason | None:
        """Why it ends, or will as soon as what came before is answered; ``None``: it goes on."""

    @property
    def writable(self) -> bool:
        """Whether the transport takes more; when it does again, the connection has the outbox flushed."""

    @property
    def unsent(self) -> int:
        """Bytes that were written and that the kernel has not taken."""

    def write(self, frames: list[bytes]) -> None:
        """Send frames in one system call."""

    def pass_on(self, piece: bytes) -> bool:
        """Send whole frames that make one piece, past the outbox; ``False``: it takes nothing now, or nothing more."""

    def ping(self) -> None:
        """Ask its client for a sign of life."""

    def supersede(self) -> None:
        """The session has another connection: this one closes, and has nothing to do with it any more."""

    def cut(self) -> None:
        """End it without a closing handshake: its client is gone."""

    def hold(self, reason: int) -> None:
        """Take no more messages from the client, for this reason too."""

    def release(self, reason: int) -> None:
        """This reason is gone."""

    def authenticated(self) -> None:
        """Its client has signed in."""

    def drain(self) -> None:
        """Its client was asked to come back later; only answers are still sent."""

    def close(self, code: int, reason: str, end: EndReason) -> None:
        """Begin the closing handshake at once; ``Session.close`` sends first what waits. Later calls change nothing."""

    def dropped(self, events: int) -> None:
        """So many events were dropped since the client does not keep up with them."""
