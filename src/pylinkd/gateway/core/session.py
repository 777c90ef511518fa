"""A client as services know it.

A connection is one WebSocket; a session is the client behind it, with its user, rooms and outbox. They are two
things so that a session can outlive a broken connection. Rooms (rooms.py) and the registry (registry.py) hold
sessions, never connections.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum, StrEnum
from typing import Protocol

from ...protocol.envelope import Codec, MessageId
from ...protocol.errors import CloseCode, LinkdError
from ...protocol.identity import Identity
from .format import Format
from .meter import Meter
from .outbox import Kind, Outbox, Squeezed, Turn

RoomKey = tuple[str, str]
"""Namespace and name of a room."""


class EndReason(StrEnum):
    """Why a session ended; services and logs see the value."""

    CLIENT_CLOSED = "client_closed"
    CONNECTION_LOST = "connection_lost"
    PROTOCOL_ERROR = "protocol_error"
    MESSAGE_TOO_BIG = "message_too_big"
    LIMIT = "limit"
    RATE_LIMITED = "rate_limited"
    TOO_MANY_CONNECTIONS = "too_many_connections"
    REPLACED = "replaced"
    TOKEN_EXPIRED = "token_expired"  # noqa: S105  no password
    REVOKED = "revoked"
    TIMEOUT = "timeout"
    IDLE = "idle"
    SLOW_CONSUMER = "slow_consumer"
    DISCONNECTED = "disconnected_by_service"
    REFUSED = "refused_by_service"
    SHUTDOWN = "gateway_shutdown"
    INTERNAL_ERROR = "internal_error"


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
    def writable(self) -> bool:
        """Whether the transport takes more; it is asked again through ``Session.flush`` when it does."""

    @property
    def unsent(self) -> int:
        """Bytes that were written and that the kernel has not taken."""

    def write(self, frames: list[bytes]) -> None:
        """Send frames in one system call."""

    def pass_on(self, piece: bytes) -> bool:
        """Send whole frames that make one piece, past the outbox; ``False``: it takes nothing now, or nothing more."""

    def ping(self) -> None:
        """Ask its client for a sign of life."""

    def cut(self) -> None:
        """End it without a closing handshake: its client is gone."""

    def hold(self, reason: int) -> None:
        """Take no more messages from the client, for this reason too."""

    def release(self, reason: int) -> None:
        """This reason is gone."""

    def authenticated(self) -> None:
        """Its client has signed in."""

    def drain(self) -> None:
        """Its client was told to come back later; only answers are still sent."""

    def close(self, code: int, reason: str, end: EndReason) -> None:
        """Begin the closing handshake. Later calls change nothing."""

    def dropped(self, events: int) -> None:
        """So many events were dropped since the client does not keep up with them."""


class Session:
    """One client.

    Attributes:
        id: Opaque, made by the gateway, hard to guess.
        path: The path of the opening handshake.
        format: How its messages look on the wire.
        controls: The client chose a Linkd subprotocol and is told ``linkd.*`` events.
        identity: Who it is; ``None``: nobody signed in.
        remote_address: The peer's address.
        user_agent: As the client says.
        connected_at: Unix time in seconds.
        metadata: Query parameters of the opening handshake, without the token.
        connection: Its WebSocket; ``None`` before the handshake is done and after the connection ended.
        rooms: Those it is in; rooms.py keeps it.
        in_flight: Messages that were handed to a service, or wait for one, and are not answered.
        upload: The stream that it sends; ``None``: none.
        leaving: Seconds after which it was told to come back, since the gateway stops; ``None``: it was not.
        meter: What it has used up of its limits; ``None``: nothing yet.
        outbox: What waits to be sent.
    """

    __slots__ = (
        "_dropped_told",
        "_overflowed",
        "_turn",
        "connected_at",
        "connection",
        "controls",
        "format",
        "id",
        "identity",
        "in_flight",
        "leaving",
        "metadata",
        "meter",
        "outbox",
        "path",
        "remote_address",
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
        turn: Turn,
        outbox: Outbox,
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
        self._turn = turn
        self.outbox = outbox
        self._dropped_told = 0
        self._overflowed = False

    def send(self, frame: bytes, kind: Kind = Kind.ANSWER) -> bool:
        """Queue one frame for the end of the turn; ``False``: the client is gone or too slow to take it."""
        if self.connection is None or self._overflowed:
            return False
        turn = self._turn
        if turn.unsettled is not None:
            turn.unsettled.settle()
        outbox = self.outbox
        if not outbox.push(frame, kind):
            # The client may be reading well and the turn be a busy one: what waits leaves before this is judged.
            self.flush()
            if not outbox.push(frame, kind) and not self._squeeze(frame, kind):
                return False
        if len(outbox.frames) == 1:
            turn.add(self)
        return True

    def _squeeze(self, frame: bytes, kind: Kind) -> bool:
        before = self.outbox.dropped
        outcome = self.outbox.squeeze(frame, kind)
        if self.outbox.dropped > before and self.connection is not None:
            self.connection.dropped(self.outbox.dropped - before)
        if outcome is Squeezed.OVERFLOWED:
            # Closing happens in flush(), not here: the caller may be iterating over the members of a room.
            self._overflowed = True
            self._turn.add(self)
        return outcome is Squeezed.QUEUED

    @property
    def served(self) -> bool:
        """Whether everything it sent is answered, and its connection has passed on whatever it was given."""
        # An outbox holds something beyond the end of the turn only where the connection has more than it can pass on.
        return not self.in_flight and (self.connection is None or not self.connection.unsent)

    def settle(self) -> None:
        """Have what was sent to its rooms in its outbox."""
        if self._turn.unsettled is not None:
            self._turn.unsettled.settle()

    def flush(self) -> None:
        """Hand the outbox to the connection, as far as that takes it."""
        connection = self.connection
        if connection is None:
            return
        if self._overflowed:
            self.outbox.take()
            connection.close(CloseCode.TRY_AGAIN_LATER, "reading too slowly", EndReason.SLOW_CONSUMER)
        elif connection.writable and self.outbox.frames:
            if self.outbox.dropped != self._dropped_told:
                self._tell_dropped()
            connection.write(self.outbox.take())

    def _tell_dropped(self) -> None:
        """Say how many events are missing, ahead of those that are left: a gap is never silent."""
        events, self._dropped_told = self.outbox.dropped - self._dropped_told, self.outbox.dropped
        if self.controls:
            notice = self.format.codec.event("linkd.dropped", b'{"events":%d}' % events)
            self.outbox.frames.insert(0, self.format.frame(notice))

    @property
    def codec(self) -> Codec:
        """What its messages are written in."""
        return self.format.codec

    def notify(self, type: str, data: bytes) -> None:
        """Send an event of the gateway's own; ``data`` is JSON."""
        self.send(self.format.frame(self.format.codec.event(type, data)))

    def release(self, retry_after: float) -> None:
        """Tell the client to come back in so many seconds: from now on it gets answers and nothing new."""
        self.leaving = retry_after
        if self.controls:
            self.notify("linkd.closing", b'{"retryAfterMs":%d}' % round(retry_after * 1000))
        if self.connection is not None:
            self.connection.drain()

    def answer(self, id: MessageId, data: bytes) -> None:
        """Send the answer to the message ``id``.

        Raises:
            BadRequestError: If ``data`` is not in the session's codec. Nothing was sent.
        """
        self.send(self.format.frame(self.format.codec.response(id, data)))

    def fail(self, id: MessageId | None, error: LinkdError) -> None:
        """Send the error that answers the message ``id``, or the one that had none."""
        self.send(self.format.frame(self.format.codec.error(id, error)))

    def __repr__(self) -> str:
        return f"<Session {self.id}>"


_NO_ROOMS: frozenset[RoomKey] = frozenset()
