"""What can be sent and asked from anywhere in a service: by the context of a handler, and by the service itself."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..protocol.close import CloseCode
from ..protocol.identity import Identity
from ..protocol.link_pb2 import Frame
from ..protocol.link_values import fill_identity
from ..protocol.patterns import check_name
from .answers import Member, read_member
from .calls import Calling, call
from .gateway_questions import asked
from .host import Sender, persistence_of
from .presence import Present, read_present
from .remote_session import RemoteSession
from .rooms import HistoryPage, read_page
from .target import Receipt, Target, several
from .validation import Function, encode


class Outbound:
    """Sends events, asks the gateway, and calls other services.

    Args:
        host: The running service, or the program.

    Attributes:
        identity: On whose behalf; ``None``: the service's own.
    """

    __slots__ = ("_host",)

    identity: Identity | None = None

    def __init__(self, host: Sender) -> None:
        self._host = host

    @property
    def traceparent(self) -> str:
        """Of the trace that this belongs to (W3C Trace Context); empty: of none that is known."""
        return ""

    @property
    def _depth(self) -> int:
        """How many calls of services led here."""
        return 0

    @property
    def _origin(self) -> str:
        """The session whose message is handled: the gateway limits what one client sets off."""
        return ""

    def to(
        self,
        *rooms: str,
        user: str | Iterable[str] | None = None,
        session: str | Iterable[str] | None = None,
    ) -> Target:
        """Everybody in one of these rooms, every session of these users, and these sessions."""
        return Target(self._host, rooms=rooms, users=several(user), sessions=several(session), origin=self._origin)

    @property
    def everyone(self) -> Target:
        """Every session that can reach this service."""
        return Target(self._host, everyone=True, origin=self._origin)

    def session(self, id: str) -> RemoteSession:
        """Another session, by its id: what can be sent and done to it."""
        return RemoteSession(self._host, id)

    async def members(self, room: str) -> list[Member]:
        """Who is in the room; empty if it does not exist.

        Raises:
            ServiceUnavailableError: If the gateway is gone.
        """
        frame = Frame()
        frame.room_query.room = room
        answer = await asked(self._host, frame, "members")
        return [read_member(member) for member in answer.member_list.members]

    async def presence(self, room: str) -> list[Present]:
        """Who is in a room with presence: its members, 10,000 at most, in the order in which they came.

        Raises:
            NotFoundError: If the room has no presence (type ``NO_PRESENCE``).
        """
        frame = Frame()
        frame.presence_query.room = room
        answer = await asked(self._host, frame, "presence")
        return [read_present(member) for member in answer.presence_list.members]

    async def history(self, room: str, *, before: int | None = None, limit: int = 100) -> HistoryPage:
        """The last events of a room with a history, or those before an offset.

        Raises:
            NotFoundError: If the room has no history (type ``NO_HISTORY``).
            ValueError: If ``limit`` is not above 0.
        """
        if limit < 1:
            raise ValueError(f"limit is 1 or more, not {limit}")
        frame = Frame()
        frame.history_query.room = room
        frame.history_query.before = before or 0
        frame.history_query.limit = limit
        return read_page((await asked(self._host, frame, "history")).history_page)

    async def disconnect(
        self,
        session: str | None = None,
        *,
        user: str | None = None,
        code: int = CloseCode.NORMAL,
        reason: str = "",
    ) -> None:
        """Close a session, or all sessions of a user that can reach this service.

        Args:
            session: Whose connection to close.
            user: Whose connections to close.
            code: 1000, or 3000 to 4999 (RFC 6455 §7.4.2).
            reason: For the client; at most 123 bytes are sent.

        Raises:
            ValueError: If neither or both are named.
            NotFoundError: If the session has ended.
        """
        if (session is None) == (user is None):
            raise ValueError("disconnect() takes either a session or a user")
        frame = Frame()
        frame.session_command.session = session or ""
        frame.session_command.user = user or ""
        frame.session_command.close_code = code
        frame.session_command.reason = reason
        await asked(self._host, frame, "disconnect")

    async def call(self, service: str, action: str, params: Any = None, *, timeout: float | None = None) -> Any:
        """Have another service's action answer, on behalf of whoever is asking here.

        The called action has as much time as its own ``timeout``, this one and what is left of the handler's allow.
        A target that has failed 20 times within 10 s is left alone for a second at a time (``Service(call_breaker=)``).

        Args:
            service: The other service's name.
            action: The action's name there.
            params: What its handler gets as body; anything that JSON can carry.
            timeout: Seconds to wait; ``None``: as long as the handler may.

        Returns:
            What the action returned, decoded from JSON.

        Raises:
            UnknownActionError: If there is no such action.
            HandlerTimeoutError: If it took too long.
            CallLoopError: If 16 calls led here already, as they do where services call each other in a circle.
            PayloadTooLargeError: If the params take more than 16 MiB; ``details["limit"]`` has the bytes. Not caught,
                it is answered with 500.
            ServiceUnavailableError: If no instance of the service takes calls now, it ended during this one, or it has
                failed too often.
            LinkdError: Whatever the action raised. Not caught, it is the answer to the client, except for 413 and 429:
                they would speak of the client's message, and are answered with 500.
        """
        calling = Calling(identity=self.identity, depth=self._depth, traceparent=self.traceparent)
        return await call(self._host, calling, service, action, params, timeout)

    async def after(self, delay: float, job: str | Function, data: Any = None, *, key: str | None = None) -> str:
        """Run a job later, in whichever instance of the service gets to it; its id.

        It is stored in the service's database, in the current transaction if there is one.

        Args:
            delay: Seconds.
            job: A function that was registered with ``@service.job(…)``, or its name.
            data: What it gets; anything that JSON can carry.
            key: Of several jobs for one handler with the same key the last one counts.

        Raises:
            RuntimeError: If the service has no database, or the function is no job.
            ValueError: If the delay or the key makes no sense.
            DatabaseError: If it cannot be stored.
        """
        return await persistence_of(self._host).after(delay, job, data, key)

    async def cancel_job(self, job: str | Function, key: str) -> bool:
        """Do not run a job that was asked for with this key; ``False``: there is none, or none any more.

        Raises:
            RuntimeError: As ``after``.
        """
        return await persistence_of(self._host).cancel_job(job, key)

    async def emit(self, type: str, data: Any = None, *, durable: bool = False) -> Receipt:
        """Tell other services that something happened; ``reached`` counts those that were handed it.

        One instance of each service that asked for it (``service.events.on``) gets it, this service's own included.

        Args:
            type: The event's type, such as ``order.placed``.
            data: Anything that JSON can carry.
            durable: Store it in the service's database, in the current transaction if there is one, and send it until
                each service that takes it durably (``durable=True`` on its handler) has stored it. ``reached`` is 0:
                that comes later. Services without such a handler do not get it.

        Raises:
            ValueError: If the type is no name.
            TypeError: If the data cannot be encoded.
            PayloadTooLargeError: If the event takes more than 16 MiB; ``details["limit"]`` has the bytes. Not caught,
                it is answered with 500.
            ServiceUnavailableError: If the gateway is gone; a durable event does not need it.
            RuntimeError: If a durable event is emitted by a service without a database.
        """
        if durable:
            from .work_headers import Headers

            headers = Headers(identity=self.identity, traceparent=self.traceparent)
            await persistence_of(self._host).emit(check_name(type), encode(data), headers)
            return Receipt(0)
        frame = Frame()
        frame.event.type = check_name(type)
        frame.event.data = encode(data)
        if self.identity is not None:
            fill_identity(frame.event.identity, self.identity)
        return Receipt((await asked(self._host, frame, f"emit {type}")).event_done.reached)
