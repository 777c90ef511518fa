"""Control messages: what gateway and client say to each other about the connection, ``linkd.*``.

They travel in the same envelope as messages of services, and are no service's business. A client that has chosen a
subprotocol gets them; those of clients are taken from anybody.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Self

import msgspec

from .envelope import Codec
from .errors import BadRequestError
from .resume import MAX_COUNT, NotResumed


class Control(msgspec.Struct, frozen=True, rename="camel"):
    """A control message. Durations and moments are integers in milliseconds."""

    type: ClassVar[str]


class FromClient(Control, frozen=True):
    """A control message whose data clients write, and may write wrongly.

    Attributes:
        form: What the data has to be, as the error says it.
        field: Which field is at fault then; ``None``: that is not said.
    """

    form: ClassVar[str]
    field: ClassVar[str | None] = None

    @classmethod
    def read(cls, codec: Codec, data: bytes) -> Self:
        """Out of a message's data.

        Raises:
            BadRequestError: If it is not of this form.
        """
        decode = msgspec.msgpack.decode if codec.binary else msgspec.json.decode
        try:
            return decode(data, type=cls)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as cause:
            details = None if cls.field is None else {"field": cls.field}
            raise BadRequestError(cls.form, details=details) from cause


# from the gateway


class Retry(msgspec.Struct, frozen=True, rename="camel"):
    """How a client comes back: after a random delay, which doubles with each failure.

    Attributes:
        base_ms: The first delay.
        cap_ms: The longest delay.
        jitter: The part of a delay that is random, 0 to 1.
        attempts: Failures in a row after which a client gives up; 0: never.
    """

    base_ms: int = 500
    cap_ms: int = 30_000
    jitter: float = 0.5
    attempts: int = 0


class AckThresholds(msgspec.Struct, frozen=True, rename="camel"):
    """When a client acknowledges: whichever comes first, counted from its last ``Ack``.

    Attributes:
        messages: Counted messages from the gateway.
        bytes: Bytes of these.
        ms: Since the first of them.
    """

    messages: int = 64
    bytes: int = 64 * 1024
    ms: int = 5000


class Welcome(Control, frozen=True, omit_defaults=True):
    """The first message of a connection. All but the first five are for clients that can resume.

    Attributes:
        session: The session's id.
        max_message_size: Bytes of a message.
        window: Messages that may be unanswered before the gateway stops reading.
        retry: How to come back.
        message_rate: Messages that the client may send, such as ``100/1s``: so many at once, then one after the other
            as time passes; ``None``: any number.
        resumed: Whether the session goes on that the client wanted to resume; ``None``: it wanted none.
        reason: Why it does not.
        received: Counted messages of the client's that had come, of the session that it wanted to resume; ``None``:
            that is not known any more.
        resume: The token for the next time.
        grace_ms: How long the session is kept for a client that is away.
        dropped: Events that were dropped since the session began, as in ``Dropped``.
        ping_ms: Silence after which the client asks for a sign of life, with an ``Ack`` that wants an echo.
        ack: When to acknowledge.
        rooms: Of a session that goes on: its rooms that have a history, and where that is.
        presence: Of a session that goes on: the numbers of the present states of the rooms whose members it watches.
    """

    type = "linkd.welcome"

    session: str
    max_message_size: int
    window: int
    retry: Retry | None = None
    message_rate: str | None = None
    resumed: bool | None = None
    reason: NotResumed | None = None
    received: int | None = None
    resume: str | None = None
    grace_ms: int | None = None
    dropped: int | None = None
    ping_ms: int | None = None
    ack: AckThresholds | None = None
    rooms: dict[str, RoomPlace] | None = None
    presence: dict[str, int] | None = None


class AuthExpiring(Control, frozen=True):
    """The token ends soon: an ``Auth`` with a new one is due.

    Attributes:
        expires_in_ms: When, counted from now.
    """

    type = "linkd.auth.expiring"

    expires_in_ms: int


class Dropped(Control, frozen=True):
    """Events were dropped, since the client reads too slowly. It comes before those that are left.

    Attributes:
        events: How many.
        total: How many since the session began.
    """

    type = "linkd.dropped"

    events: int
    total: int


class RoomPlace(msgspec.Struct, frozen=True):
    """Where a room's history is.

    Attributes:
        epoch: Of the history.
        offset: Of its last event.
    """

    epoch: str
    offset: int


class RoomNotice(Control, frozen=True, omit_defaults=True):
    """The session is in a room with a history from now on; events of it follow.

    Attributes:
        room: Its name.
        epoch: Of the history.
        offset: Of the last event before those that follow.
        recovered: Whether all follow that were missed since the position that was asked for; ``None``: none was.
        replayed: How many that are.
    """

    type = "linkd.room"

    room: str
    epoch: str
    offset: int
    recovered: bool | None = None
    replayed: int = 0


class Gap(Control, frozen=True):
    """A room's history has begun anew while the session is in the room: positions of the old one are worth nothing.
    Read the state anew.

    Attributes:
        room: Its name.
        epoch: Of the new history.
        offset: Of its last event.
        reason: ``evicted``: the gateway had to make room. ``changed``: the service keeps it otherwise now.
    """

    type = "linkd.gap"

    room: str
    epoch: str
    offset: int
    reason: str


class Presence(Control, frozen=True, omit_defaults=True):
    """Who is in a room: everybody, in pages, or what has changed since the last one.

    Attributes:
        room: Its name.
        seq: Of this state of the room. A difference follows the one before it, or some were missed.
        count: How many members there are.
        mode: ``count``: there are so many that only their number is told.
        members: A page of all of them, by key.
        more: Another page follows.
        join: Those that are new.
        update: Those that look otherwise.
        leave: The keys of those that are gone.
        since: The state that a difference follows, where a client has asked for that; ``None``: the one before.
    """

    type = "linkd.presence"

    room: str
    seq: int
    count: int
    mode: str | None = None
    members: dict[str, Any] | None = None
    more: bool = False
    join: dict[str, Any] | None = None
    update: dict[str, Any] | None = None
    leave: list[str] | None = None
    since: int | None = None


class Closing(Control, frozen=True):
    """The gateway stops. Answers that are due still come; what is sent from now on gets 503.

    Attributes:
        retry_after_ms: When the client should come back, counted from now.
        resumable: Whether the session can be resumed then.
    """

    type = "linkd.closing"

    retry_after_ms: int
    resumable: bool


# in both directions

_Count = Annotated[int, msgspec.Meta(ge=0, le=MAX_COUNT)]


class Ack(FromClient, frozen=True, omit_defaults=True):
    """How many counted messages came and were sent, by its sender's count, up to this message.

    Attributes:
        received: Counted messages that came from the other side.
        sent: Counted messages that were sent to it.
        echo: One of the other side's is wanted at once, as a sign of life.
    """

    type = "linkd.ack"
    form = '"data" must be an object with the counts "received" and "sent".'

    received: _Count
    sent: _Count
    echo: bool = False


# from the client


class Auth(FromClient, frozen=True):
    """The client signs in, or renews its token. Answered with ``Authenticated``, or an error.

    Attributes:
        token: Whom it speaks of is whose the session is.
    """

    type = "linkd.auth"
    form = '"data" must be an object with a "token".'
    field = "token"

    token: str


class Authenticated(msgspec.Struct, frozen=True, rename="camel"):
    """The answer to ``Auth``.

    Attributes:
        user: Whose the session is from now on.
        name: How the user is called.
        expires_at: When the token ends, Unix time in milliseconds; ``None``: never.
    """

    user: str
    name: str
    expires_at: int | None

    def encode(self, codec: Codec) -> bytes:
        """As the data of an answer."""
        return msgspec.msgpack.encode(self) if codec.binary else msgspec.json.encode(self)


class HistoryRequest(FromClient, frozen=True):
    """The client reads a page of a room's history. Answered with the page, or an error.

    Attributes:
        room: The room.
        before: The offset before which the page ends; ``None``: the last events.
        limit: How many events; 100 at most.
    """

    type = "linkd.history"
    form = '"data" must be an object with a "room", and may have "before" (an offset) and "limit" (1 to 1000).'

    room: str
    before: Annotated[int, msgspec.Meta(ge=1, le=MAX_COUNT)] | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 50


class PresenceSync(FromClient, frozen=True):
    """The client has missed something of a room's presence, or wants to see more. Answered by ``Presence``.

    Attributes:
        room: The room.
        since: The last state that it knows; ``None``: none.
        after: The key behind which a page of members is to begin, in a room that tells only their number.
    """

    type = "linkd.presence.sync"
    form = '"data" must be an object with a "room", and may have "since" or "after".'

    room: str
    since: _Count | None = None
    after: str | None = None


class PresenceSet(FromClient, frozen=True):
    """The client says something of its member in a room.

    Attributes:
        room: The room.
        data: What others are to see, any value; unset: as before.
        away: Nobody is there; ``None``: as before.
    """

    type = "linkd.presence.set"
    form = '"data" must be an object with a "room", and may have "data" and "away".'

    room: str
    data: msgspec.Raw = msgspec.Raw()
    away: bool | None = None


class Abort(Control, frozen=True):
    """The client gives up the stream that it sends."""

    type = "linkd.abort"
