"""A session that a handler names by its id: what can be done to it from anywhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import UNSET

from ..protocol.close import CloseCode
from ..protocol.errors import NotAcknowledgedError, NotFoundError
from ..protocol.link_pb2 import Frame, RoomCommand
from ..protocol.rooms import Position
from .gateway_questions import asked
from .host import Sender
from .rooms import Joined, read_joined
from .target import DEFAULT_ANSWER_TIMEOUT, Receipt, Target
from .validation import encode

SESSION_GONE = "SESSION_GONE"
"""Type of the error that a question about a session gets once that has ended."""


class RemoteSession:
    """A session, such as another window of the user. Made by ``ctx.session(id)``.

    Attributes:
        id: The session's id. That it exists is found out by whatever is done to it.
    """

    __slots__ = ("_host", "id")

    def __init__(self, host: Sender, id: str) -> None:
        self._host = host
        self.id = id

    async def send(
        self,
        type: str,
        data: Any = None,
        *,
        volatile: bool = False,
        ack: bool = False,
        timeout: float = DEFAULT_ANSWER_TIMEOUT,
    ) -> Receipt:
        """Send an event to this session alone.

        Args:
            type: The event's type, such as ``chat.message``.
            data: Anything that JSON can carry.
            volatile: Drop it first for a client that reads too slowly.
            ack: Return when the client has acknowledged that it has the event.
            timeout: Seconds to wait for that.

        Raises:
            NotAcknowledgedError: If it has not within the time: it may still get the event.
            NotFoundError: If the session has ended (type ``SESSION_GONE``), where it was to acknowledge.
            LinkdError: What the client answered, where it answered with an error; else as ``Target.emit``.
        """
        if not ack:
            return await Target(self._host, sessions=(self.id,)).emit(type, data, volatile=volatile)
        if volatile:
            raise ValueError("what may be dropped cannot be acknowledged: send either volatile or with ack")
        await self.request(type, data, timeout=timeout)
        return Receipt(1)

    async def request(self, type: str, data: Any = None, *, timeout: float = DEFAULT_ANSWER_TIMEOUT) -> Any:
        """Send an event to this session, and return what its client answers.

        Raises:
            NotAcknowledgedError: If it has not answered within ``timeout`` seconds.
            NotFoundError: If the session has ended (type ``SESSION_GONE``).
            LinkdError: What the client answered, where it answered with an error; else as ``Target.emit``.
        """
        found = await Target(self._host, sessions=(self.id,)).request(type, data, timeout=timeout)
        if found.late:
            raise NotAcknowledgedError()
        if not found.answers:
            raise NotFoundError("The session has ended.", type=SESSION_GONE)
        (answer,) = found.answers
        if answer.error is not None:
            raise answer.error
        return answer.data

    async def join(
        self,
        *rooms: str,
        since: Position | None = None,
        limit: int = 0,
        present: bool = True,
        watch: bool = True,
    ) -> Joined | None:
        """Make the session a member of the rooms; when this returns, it is one everywhere.

        Args:
            rooms: Which rooms.
            since: Where its client was in the history of the one room that it joins: what it has missed is sent to it,
                in order and before anything new, or nothing is where that cannot be told any more.
            limit: The most events that are sent so; with more missed none is. 0: 300. What ``since`` leaves out is
                sent, whether or not it is under way to a session that is a member already.
            present: In rooms with presence: whether others see it.
            watch: In rooms with presence: whether its client is told who is there.

        Returns:
            Where it is in the room's history; ``None``: these are several rooms, or one without a history.

        Raises:
            BadRequestError: If a position is given for other than one room with a history. It has joined nothing.
            NotFoundError: If the session has ended (type ``SESSION_GONE``).
            ConflictError: If it is in too many rooms (type ``TOO_MANY_ROOMS``), or a position is given while its client
                is away (type ``SESSION_AWAY``): that asks again.
            ValueError: If ``limit`` is negative.
        """
        if limit < 0:
            raise ValueError(f"limit is 0 or more, not {limit}")
        frame = self._command(RoomCommand.JOIN, rooms)
        frame.room_command.absent, frame.room_command.unwatching = not present, not watch
        if since is not None:
            frame.room_command.since.epoch, frame.room_command.since.offset = since.epoch, since.offset
            frame.room_command.replay_limit = limit
        answer = await asked(self._host, frame, "join")
        return read_joined(answer.room_joined) if answer.HasField("room_joined") else None

    async def leave(self, *rooms: str) -> None:
        """End the session's membership of the rooms; there may be none.

        Raises:
            NotFoundError: If the session has ended (type ``SESSION_GONE``).
        """
        await asked(self._host, self._command(RoomCommand.LEAVE, rooms), "leave")

    def _command(self, verb: RoomCommand.Verb, rooms: Sequence[str]) -> Frame:
        frame = Frame()
        frame.room_command.verb = verb
        frame.room_command.session = self.id
        frame.room_command.rooms.extend(rooms)
        return frame

    async def set_presence(self, room: str, data: Any = UNSET, *, away: bool | None = None) -> None:
        """Say what others see of the session's member in a room with presence. Of several sayings the last holds.

        Args:
            room: The room.
            data: Anything that JSON can carry, 1 KiB at most; unset: as before.
            away: Nobody is there; ``None``: as before.

        Raises:
            NotFoundError: If the session has ended (type ``SESSION_GONE``), or is not present in the room (type
                ``NOT_PRESENT``).
            PayloadTooLargeError: If the data is too large; ``details["limit"]`` has the bytes. Not caught, it is
                answered with 500.
        """
        frame = Frame()
        command = frame.presence_command
        command.session, command.room = self.id, room
        command.data = b"" if data is UNSET else encode(data) or b"null"
        command.away, command.says_away = bool(away), away is not None
        await asked(self._host, frame, "set_presence")

    async def rooms(self) -> list[str]:
        """The rooms that the session is in.

        Raises:
            NotFoundError: If the session has ended (type ``SESSION_GONE``).
        """
        frame = Frame()
        frame.room_query.session = self.id
        return list((await asked(self._host, frame, "rooms")).room_list.rooms)

    async def disconnect(self, code: int = CloseCode.NORMAL, reason: str = "") -> None:
        """Close the session; one whose client is away ends.

        Args:
            code: 1000, or 3000 to 4999 (RFC 6455 §7.4.2).
            reason: For the client; at most 123 bytes are sent.

        Raises:
            NotFoundError: If the session has ended (type ``SESSION_GONE``).
        """
        frame = Frame()
        frame.session_command.session = self.id
        frame.session_command.close_code = code
        frame.session_command.reason = reason
        await asked(self._host, frame, "disconnect")

    def __repr__(self) -> str:
        return f"<RemoteSession {self.id}>"
