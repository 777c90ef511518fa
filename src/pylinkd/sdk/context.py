"""What a handler is given: who is asking, and everything it can do about it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Generic

import structlog
from msgspec import UNSET
from typing_extensions import TypeVar

from ..protocol.close import CloseCode
from ..protocol.errors import UnauthorizedError
from ..protocol.headers import join_repeated
from ..protocol.identity import Identity
from ..protocol.rooms import Position
from ..protocol.trace import trace_of
from .forms import Form, read_form
from .host import Host
from .outbound import Outbound
from .rooms import Joined
from .socket import Socket
from .streams import Stream
from .target import DEFAULT_ANSWER_TIMEOUT, Receipt, Target

if TYPE_CHECKING:
    from ..db import Database, UntypedDatabase

_READ_AT_ONCE = 64 * 1024  # bytes of a form; a larger one is read beside the loop

# By name: a service without database, and the gateway, never import SQLAlchemy.
DB = TypeVar("DB", bound="Database", default="UntypedDatabase")


class Context(Outbound, Generic[DB]):
    """What all handlers can do.

    Attributes:
        identity: Who is asking; ``None``: nobody signed in.
        name: The message type, action or event that is handled.
    """

    __slots__ = ("identity", "name")

    _host: Host

    def __init__(self, host: Host, name: str, identity: Identity | None) -> None:
        self._host = host
        self.name = name
        self.identity = identity

    @property
    def auth(self) -> Identity:
        """Who is asking.

        Raises:
            UnauthorizedError: If nobody signed in, which ``auth=True`` on the handler rules out.
        """
        if self.identity is None:
            raise UnauthorizedError()
        return self.identity

    @property
    def db(self) -> DB:
        """The service's database.

        Raises:
            RuntimeError: If the service has none.
        """
        db: DB = self._host.db
        return db

    @property
    def logger(self) -> Any:
        """A structlog logger that carries service, user and what is handled, and the trace where there is one."""
        user = None if self.identity is None else self.identity.user
        logger = structlog.get_logger("linkd.handler").bind(service=self._host.name, handler=self.name, user=user)
        trace = trace_of(self.traceparent)
        return logger.bind(trace=trace) if trace else logger


class WsContext(Context[DB]):
    """What the handler of a message can do.

    Attributes:
        socket: The client's session.
        raw: The message's data as it came, in the session's codec.
        end_reason: In ``on_disconnect``: why the session ended, such as ``client_closed``. Else ``None``.
    """

    __slots__ = ("_key", "_last_rooms", "_stream", "end_reason", "raw", "socket")

    _key: str  # with k before a client's key and i before an id; set for handlers with once alone

    def __init__(
        self,
        host: Host,
        name: str,
        socket: Socket,
        raw: bytes = b"",
        end_reason: str | None = None,
        last_rooms: Sequence[str] = (),
    ) -> None:
        self._host = host
        self.name = name
        self.identity = socket.identity
        self.socket = socket
        self.raw = raw
        self.end_reason = end_reason
        self._last_rooms = last_rooms
        self._stream: Stream | None = None

    @property
    def stream(self) -> Stream:
        """The chunks of the stream.

        Raises:
            RuntimeError: If this is no handler of streams.
        """
        if self._stream is None:
            raise RuntimeError("only a handler registered with on_stream has a stream")
        return self._stream

    @property
    def key(self) -> str:
        """By which a handler with ``once`` knows the message: the client's key, else its id; empty: it has neither."""
        return getattr(self, "_key", "")[1:]

    @property
    def _key_scope(self) -> str:
        """Whose key it is. An id is the session's; so is the key of a client that has not signed in."""
        if self.identity is None or self._key[0] == "i":
            return f"session {self.socket.id} {self._key[0]}"
        return f"user {self.identity.user}"

    @property
    def _msgpack(self) -> bool:
        return self.socket._msgpack

    @property
    def _payload(self) -> bytes:
        return self.raw

    @property
    def type(self) -> str:
        """The message's type."""
        return self.name

    @property
    def data(self) -> Any:
        """The message's data, decoded without a schema.

        Raises:
            BadRequestError: If it is not well formed.
            ValidationError: If the service's TextPolicy refuses a string in it.
        """
        return self._host.anything.read(self.raw, self.socket._msgpack)

    @property
    def logger(self) -> Any:
        """As everywhere, with the session's id."""
        return super().logger.bind(session=self.socket.id)

    @property
    def broadcast(self) -> Target:
        """Every session that can reach this service, except this one."""
        return Target(self._host, everyone=True, except_sessions=(self.socket.id,), origin=self.socket.id)

    @property
    def _origin(self) -> str:
        return self.socket.id

    async def send(
        self,
        type: str,
        data: Any = None,
        *,
        volatile: bool = False,
        ack: bool = False,
        timeout: float = DEFAULT_ANSWER_TIMEOUT,
    ) -> Receipt:
        """Send an event to this session alone; see ``RemoteSession.send``."""
        if not ack:  # as RemoteSession.send, one coroutine less for what is sent most
            return await Target(self._host, sessions=(self.socket.id,)).emit(type, data, volatile=volatile)
        return await self.session(self.socket.id).send(type, data, volatile=volatile, ack=True, timeout=timeout)

    async def request(self, type: str, data: Any = None, *, timeout: float = DEFAULT_ANSWER_TIMEOUT) -> Any:
        """Send an event to this session, and return what its client answers; see ``RemoteSession.request``."""
        return await self.session(self.socket.id).request(type, data, timeout=timeout)

    async def join(
        self,
        *rooms: str,
        session: str | None = None,
        since: Position | None = None,
        limit: int = 0,
        present: bool = True,
        watch: bool = True,
    ) -> Joined | None:
        """Make a session a member of the rooms; when this returns, it is one everywhere.

        Args:
            rooms: Which rooms.
            session: Which session, such as another window of the user; by default this one.
            since: See ``RemoteSession.join``.
            limit: See ``RemoteSession.join``.
            present: In rooms with presence: whether others see the session.
            watch: In rooms with presence: whether its client is told who is there.

        Returns:
            Where it is in the room's history; ``None``: these are several rooms, or one without a history.

        Raises:
            NotFoundError: If the session has ended (type ``SESSION_GONE``).
            ConflictError: If it is in too many rooms (type ``TOO_MANY_ROOMS``).
            BadRequestError: If a position is given for other than one room with a history.
        """
        return await self.session(session or self.socket.id).join(
            *rooms, since=since, limit=limit, present=present, watch=watch
        )

    async def leave(self, *rooms: str, session: str | None = None) -> None:
        """End the membership of the rooms; there may be none.

        Args:
            rooms: Which rooms.
            session: Whose membership, such as that of another window of the user; by default this session's.

        Raises:
            NotFoundError: If the session has ended (type ``SESSION_GONE``).
        """
        await self.session(session or self.socket.id).leave(*rooms)

    async def set_presence(self, room: str, data: Any = UNSET, *, away: bool | None = None) -> None:
        """Say what others see of this session's member in a room; see ``RemoteSession.set_presence``."""
        await self.session(self.socket.id).set_presence(room, data, away=away)

    async def rooms(self) -> list[str]:
        """The rooms this session is in; in ``on_disconnect`` those that it was in.

        Raises:
            NotFoundError: If the session has ended (type ``SESSION_GONE``).
        """
        if self.end_reason is not None:
            return list(self._last_rooms)
        return await self.session(self.socket.id).rooms()

    async def disconnect(
        self,
        session: str | None = None,
        *,
        user: str | None = None,
        code: int = CloseCode.NORMAL,
        reason: str = "",
    ) -> None:
        """As everywhere; without session and user it closes this session."""
        if session is None and user is None:
            session = self.socket.id
        await super().disconnect(session, user=user, code=code, reason=reason)


class HttpContext(Context[DB]):
    """What the handler of an action can do, be it asked over HTTP or called by another service.

    Attributes:
        method: The HTTP method; empty for a call.
        path: The request's path; empty for a call.
        params: What the route's variables are in this path.
        query: The query's parameters; of one that is repeated, the last.
        headers: By lower-case name, without credentials and cookies; values of repeated ones are joined by ", ".
        header_list: The same as pairs in order, repeated ones each.
        cookies: Those that the action reads (``cookies=``), of pages that may connect; of others there are none.
        body: The raw body; for a call its params as JSON.
        remote_address: The client's address; empty for a call.
        caller: The service that called; ``None``: it came over HTTP.
    """

    __slots__ = (
        "_calls",
        "_stream",
        "body",
        "caller",
        "cookies",
        "header_list",
        "headers",
        "method",
        "params",
        "path",
        "query",
        "remote_address",
    )

    def __init__(
        self,
        host: Host,
        name: str,
        identity: Identity | None,
        *,
        method: str = "",
        path: str = "",
        params: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
        header_list: Sequence[tuple[str, str]] = (),
        cookies: Mapping[str, str] | None = None,
        body: bytes = b"",
        remote_address: str = "",
        caller: str | None = None,
        calls: int = 0,
    ) -> None:
        super().__init__(host, name, identity)
        self._calls = calls
        self.method = method
        self.path = path
        self.params = params or {}
        self.query = query or {}
        self.header_list = header_list
        self.headers: Mapping[str, str] = join_repeated(header_list)
        self.cookies = cookies or {}
        self.body = body
        self.remote_address = remote_address
        self.caller = caller
        self._stream: Stream | None = None

    @property
    def stream(self) -> Stream:
        """The body as it comes.

        Raises:
            RuntimeError: If this is no handler of streams.
        """
        if self._stream is None:
            raise RuntimeError("only an action registered with on_stream has a stream")
        return self._stream

    async def form(self, *, max_parts: int = 100, max_part_size: int = 2**20) -> Form:
        """The form in the body: ``multipart/form-data`` or ``application/x-www-form-urlencoded``.

        Args:
            max_parts: Most fields and files together.
            max_part_size: Most bytes of each. The whole body is limited by the action's ``max_body``.

        Raises:
            LinkdError: 415 if the body is said to be something else.
            BadRequestError: If the form is malformed.
            PayloadTooLargeError: If it has too many parts, or too large ones.
            ValidationError: If a text has characters that the service's policy refuses.
        """
        read = partial(read_form, text=self._host.text, max_parts=max_parts, max_part_size=max_part_size)
        kind = self.headers.get("content-type", "")
        if len(self.body) <= _READ_AT_ONCE:
            return read(self.body, kind)
        return await asyncio.to_thread(read, self.body, kind)

    @property
    def traceparent(self) -> str:
        """See Outbound."""
        return self.headers.get("traceparent", "")

    @property
    def key(self) -> str:
        """The request's ``Idempotency-Key``; empty: it has none."""
        return self.headers.get("idempotency-key", "")

    @property
    def _key_scope(self) -> str:
        return f"address {self.remote_address}" if self.identity is None else f"user {self.identity.user}"

    @property
    def _msgpack(self) -> bool:
        return False

    @property
    def _payload(self) -> bytes:
        return b"\0".join((self.path.encode(), repr(sorted(self.query.items())).encode(), self.body))

    @property
    def _depth(self) -> int:
        return self._calls


class EventContext(Context[DB]):
    """What the handler of a service event can do; ``identity`` is on whose behalf it was emitted.

    Attributes:
        source: The service that emitted it.
        id: Of a durable event, the same each time that it is handled; empty: it is none.
        raw: Its data, as JSON.
    """

    __slots__ = ("_traceparent", "id", "raw", "source")

    def __init__(
        self,
        host: Host,
        name: str,
        identity: Identity | None,
        *,
        source: str,
        raw: bytes,
        id: str = "",
        traceparent: str = "",
    ) -> None:
        super().__init__(host, name, identity)
        self.source = source
        self.raw = raw
        self.id = id
        self._traceparent = traceparent

    @property
    def traceparent(self) -> str:
        """See Outbound."""
        return self._traceparent
