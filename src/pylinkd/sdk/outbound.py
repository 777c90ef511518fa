"""What can be sent and asked from anywhere in a service: by the context of a handler, and by the service itself."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from ..protocol.close import CloseCode
from ..protocol.identity import Identity
from ..protocol.link_pb2 import Frame
from ..protocol.link_values import fill_identity
from ..protocol.patterns import check_name
from .answers import Member, read_member
from .gateway_questions import asked
from .host import Host
from .presence import Present, read_present
from .remote_session import RemoteSession
from .rooms import HistoryPage, read_page
from .target import Receipt, Target, several
from .validation import encode


class Outbound:
    """Sends events, asks the gateway, and calls other services.

    Args:
        host: The running service.

    Attributes:
        identity: On whose behalf; ``None``: the service's own.
    """

    __slots__ = ("_host",)

    identity: Identity | None = None

    def __init__(self, host: Host) -> None:
        self._host = host

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

    async def call(self, service: str, action: str, params: Any = None) -> Any:
        """Have another service's action answer, on behalf of whoever is asking here.

        Args:
            service: The other service's name.
            action: The action's name there.
            params: What its handler gets as body; anything that JSON can carry.

        Returns:
            What the action returned, decoded from JSON.

        Raises:
            UnknownActionError: If there is no such action.
            PayloadTooLargeError: If the params take more than 16 MiB; ``details["limit"]`` has the bytes. Not caught,
                it is answered with 500.
            ServiceUnavailableError: If no instance of the service takes calls now, or it ended during this one.
            LinkdError: Whatever the action raised. Not caught, it is the answer to the client, except for 413 and 429:
                they would speak of the client's message, and are answered with 500.
        """
        frame = Frame()
        frame.call.service = service
        frame.call.action = action
        frame.call.params = encode(params)
        if self.identity is not None:
            fill_identity(frame.call.identity, self.identity)
        dispatcher = self._host.dispatcher
        dispatcher.call_began()
        try:
            answer = await asked(self._host, frame, f"call {service}.{action}")
        finally:
            dispatcher.call_ended()
        result = answer.call_result.data
        return msgspec.json.decode(result) if result else None

    async def emit(self, type: str, data: Any = None) -> Receipt:
        """Tell other services that something happened; ``reached`` counts those that were handed it.

        One instance of each service that asked for it (``service.events.on``) gets it, this service's own included.

        Raises:
            ValueError: If the type is no name.
            TypeError: If the data cannot be encoded.
            PayloadTooLargeError: If the event takes more than 16 MiB; ``details["limit"]`` has the bytes. Not caught,
                it is answered with 500.
            ServiceUnavailableError: If the gateway is gone.
        """
        frame = Frame()
        frame.event.type = check_name(type)
        frame.event.data = encode(data)
        if self.identity is not None:
            fill_identity(frame.event.identity, self.identity)
        return Receipt((await asked(self._host, frame, f"emit {type}")).event_done.reached)
