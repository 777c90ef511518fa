"""A client as services know it.

A connection is one WebSocket; a session is the client behind it, with its user, rooms and outbox. They are two things
since a session can outlive a broken connection: it is detached then, until its client resumes it. Rooms (rooms.py) and
the registry (registry.py) hold sessions, never connections.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import msgspec

from ...protocol.control import Closing, Control
from ...protocol.end import EndReason
from ...protocol.envelope import Codec, MessageId
from ...protocol.errors import LinkdError
from ...protocol.identity import Identity
from .connection import Connection
from .format import Format
from .meter import Meter
from .outbox import Kind, Outbox
from .path_limits import PathLimits
from .resumption import Resumption

RoomKey = tuple[str, str]
"""Namespace and name of a room."""


_DEFAULT_LIMITS = PathLimits()


class Upload(Protocol):
    """A stream that the client sends (routing/streams.py)."""

    replied: bool
    """The handler has answered; what still comes of the stream is thrown away."""

    def chunk(self, data: bytes) -> None:
        """A part of it came."""

    def end(self) -> None:
        """Its end came."""

    def abort(self, reason: str) -> None:
        """Nothing more will come."""


class Deliverer(Protocol):
    """The door to clients, as a session needs it (delivery.py)."""

    def send(self, session: Session, frame: bytes, kind: Kind = Kind.ANSWER) -> bool:
        """Send one frame at the end of the turn."""

    def flush(self, session: Session) -> None:
        """Hand the session's outbox to its connection."""

    def close(self, session: Session, code: int, reason: str, end: EndReason) -> None:
        """Close its connection behind what was sent before."""


class Session:
    """One client.

    Attributes:
        id: Opaque, made by the gateway, hard to guess.
        path: The path of the opening handshake.
        format: How its messages look on the wire.
        controls: The client chose a Linkd subprotocol and gets control messages.
        identity: Who it is; ``None``: nobody signed in.
        remote_address: The peer's address.
        user_agent: As the client says.
        connected_at: Unix time in seconds.
        metadata: Query parameters of the opening handshake, without the token.
        connection: Its WebSocket; ``None`` before the handshake is done and after the connection ended.
        limits: What holds on its path.
        resumption: What it needs to go on over another connection; ``None``: it ends with its connection.
        rooms: Those it is in; rooms.py keeps it.
        in_flight: Messages that were handed to a service, or wait for one, and are not answered.
        upload: The stream that it sends; ``None``: none.
        leaving: Seconds after which its client should come back, since the gateway stops; ``None``: it goes on.
        meter: What it has used up of its limits; ``None``: nothing yet.
        outbox: What waits to be sent; delivery.py keeps it.
        delivery: The door to its client.
    """

    __slots__ = (
        "connected_at",
        "connection",
        "controls",
        "delivery",
        "format",
        "id",
        "identity",
        "in_flight",
        "leaving",
        "limits",
        "metadata",
        "meter",
        "outbox",
        "path",
        "remote_address",
        "resumption",
        "rooms",
        "upload",
        "user_agent",
    )

    def __init__(
        self,
        *,
        id: str,
        path: str,
        format: Format,
        controls: bool,
        identity: Identity | None,
        remote_address: str,
        user_agent: str,
        connected_at: float,
        metadata: Mapping[str, str],
        delivery: Deliverer,
        outbox: Outbox,
        resumption: Resumption | None = None,
        limits: PathLimits = _DEFAULT_LIMITS,
    ) -> None:
        self.id = id
        self.path = path
        self.format = format
        self.controls = controls
        self.identity = identity
        self.remote_address = remote_address
        self.user_agent = user_agent
        self.connected_at = connected_at
        self.metadata = metadata
        self.connection: Connection | None = None
        self.rooms: set[RoomKey] | frozenset[RoomKey] = _NO_ROOMS
        self.in_flight = 0
        self.upload: Upload | None = None
        self.leaving: float | None = None
        self.meter: Meter | None = None
        self.delivery = delivery
        self.outbox = outbox
        self.resumption = resumption
        self.limits = limits

    @property
    def served(self) -> bool:
        """Whether everything it sent is answered, and its connection has passed on whatever it was given."""
        # An outbox holds something beyond the end of the turn only where the connection has more than it can pass on.
        return not self.in_flight and (self.connection is None or not self.connection.unsent)

    @property
    def codec(self) -> Codec:
        """What its messages are written in."""
        return self.format.codec

    def encode(self, control: Control) -> bytes:
        """A control message as a frame of this session's."""
        return self.format.frame(self.format.codec.event(control.type, msgspec.json.encode(control)))

    def notify(self, control: Control) -> None:
        """Send a control message, if the client wants any. One that is away gets none: it will read how things are
        when it is back.
        """
        if self.controls and self.connection is not None:
            self.delivery.send(self, self.encode(control), Kind.CONTROL)

    def drain(self, retry_after: float) -> None:
        """Ask the client to come back in so many seconds: from now on it gets answers and nothing new."""
        self.leaving = retry_after
        self.notify(Closing(retry_after_ms=round(retry_after * 1000), resumable=False))
        if self.connection is not None:
            self.connection.drain()

    def answer(self, id: MessageId, data: bytes) -> None:
        """Send the answer to the message ``id``.

        Raises:
            BadRequestError: If ``data`` is not in the session's codec. Nothing was sent.
        """
        self.delivery.send(self, self.format.frame(self.format.codec.response(id, data)))

    def fail(self, id: MessageId | None, error: LinkdError) -> None:
        """Send the error that answers the message ``id``, or the one that had none."""
        self.delivery.send(self, self.format.frame(self.format.codec.error(id, error)))

    def close(self, code: int, reason: str, end: EndReason) -> None:
        """Close its connection behind what was sent before; one that is detached ends. Later calls change nothing."""
        self.delivery.close(self, code, reason, end)

    def __repr__(self) -> str:
        return f"<Session {self.id}>"


_NO_ROOMS: frozenset[RoomKey] = frozenset()
