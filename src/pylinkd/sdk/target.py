"""Whom an event is for, and what became of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from ..protocol.errors import LinkdError
from ..protocol.link_pb2 import Frame
from ..protocol.patterns import check_name
from .answers import Answers, read_answers
from .gateway_questions import asked
from .host import Sender
from .validation import encode

DEFAULT_ANSWER_TIMEOUT = 10.0
"""Seconds that clients have to answer."""

LONGEST_ANSWER_TIMEOUT = 600.0
"""Seconds that they may be given."""


class Receipt(msgspec.Struct, frozen=True):
    """What became of an event.

    Attributes:
        reached: Sessions it was sent to, of which one that reads too slowly may yet lose it, and learns that it did;
            for ``ctx.emit`` services that were handed it.
        queued: Sessions whose clients are away: it waits for them.
        dropped: Sessions that do not get it, since too much waits for them already. Among more than 32 recipients that
            shows later: the client learns it, and the receipt does not say so.
    """

    reached: int
    queued: int = 0
    dropped: int = 0


class Target:
    """Whom an event is for. Built by ``ctx.to(...)``, ``ctx.broadcast`` and ``ctx.everyone``."""

    __slots__ = ("_everyone", "_except_sessions", "_except_users", "_host", "_origin", "_rooms", "_sessions", "_users")

    def __init__(
        self,
        host: Sender,
        *,
        rooms: Sequence[str] = (),
        users: Sequence[str] = (),
        sessions: Sequence[str] = (),
        everyone: bool = False,
        except_sessions: Sequence[str] = (),
        except_users: Sequence[str] = (),
        origin: str = "",
    ) -> None:
        self._host = host
        self._origin = origin
        self._rooms = rooms
        self._users = users
        self._sessions = sessions
        self._everyone = everyone
        self._except_sessions = except_sessions
        self._except_users = except_users

    def except_(
        self,
        *sessions: str,
        user: str | Iterable[str] | None = None,
        session: str | Iterable[str] | None = None,
    ) -> Target:
        """The same target without these session ids, and without all sessions of these users.

        Args:
            sessions: Ids of sessions.
            user: Ids of users, one or several.
            session: Ids of sessions, one or several, by keyword as in ``ctx.to``.
        """
        return Target(
            self._host,
            rooms=self._rooms,
            users=self._users,
            sessions=self._sessions,
            everyone=self._everyone,
            except_sessions=(*self._except_sessions, *sessions, *several(session)),
            except_users=(*self._except_users, *several(user)),
            origin=self._origin,
        )

    async def emit(self, type: str, data: Any = None, *, volatile: bool = False) -> Receipt:
        """Send an event to everyone meant, and return what became of it.

        Each session gets it once, however many of the target's rooms it is in. What one handler emits to a session
        arrives in the order in which it was emitted. If it is cancelled, the event may or may not have been sent.

        Args:
            type: The event's type, such as ``chat.message``.
            data: Anything that JSON can carry.
            volatile: Drop it first for a client that reads too slowly, as fits what is soon outdated.

        Raises:
            ValueError: If the type is no name.
            TypeError: If the data cannot be encoded.
            RateLimitedError: If the client whose message is handled set off too many. Not caught, it is answered
                with 500: the client would take 429 for its own message, which the handler has begun.
            PayloadTooLargeError: If the event takes more than 16 MiB; ``details["limit"]`` has the bytes. Not caught,
                it is answered with 500.
            ServiceUnavailableError: If the gateway is gone.
        """
        frame = self._frame(type, data)
        frame.publish.volatile = volatile
        try:
            answer = await self._host.link.ask(frame)
        except LinkdError as error:  # as asked() has it; written out, since some handlers do this for every message
            error.target = f"emit {type}"
            raise
        published = answer.published
        return Receipt(published.reached, published.queued, published.dropped)

    async def request(self, type: str, data: Any = None, *, timeout: float = DEFAULT_ANSWER_TIMEOUT) -> Answers:
        """Send an event to everyone meant, and wait for what their clients answer; at most 1,000 sessions.

        Who is away may come back within the time. Whoever does not answer is named.

        Args:
            type: The event's type, such as ``game.ready``.
            data: Anything that JSON can carry.
            timeout: Seconds to wait, 600 at most. The handler's own time limit goes on meanwhile.

        Raises:
            ValueError: If the type is no name, or the timeout is not between 0 and 600.
            TypeError: If the data cannot be encoded.
            ConflictError: If more than 1,000 sessions are meant (type ``TOO_MANY_RECIPIENTS``).
            PayloadTooLargeError: If the event takes more than 16 MiB, or the answers more than 8 MiB;
                ``details["limit"]`` has the bytes. Not caught, it is answered with 500.
            RateLimitedError: As ``emit``.
            ServiceUnavailableError: If the gateway is gone, or waits for too many answers already.
        """
        if not 0 < timeout <= LONGEST_ANSWER_TIMEOUT:
            raise ValueError(f"timeout lies between 0 and {LONGEST_ANSWER_TIMEOUT:g} seconds, not {timeout}")
        frame = self._frame(type, data)
        frame.publish.answer_within_ms = max(1, round(timeout * 1000))
        return read_answers((await asked(self._host, frame, f"request {type}")).answers)

    def _frame(self, type: str, data: Any) -> Frame:
        frame = Frame()
        publish = frame.publish
        publish.origin = self._origin
        publish.type = check_name(type)
        publish.data = encode(data)
        publish.everyone = self._everyone
        publish.rooms.extend(self._rooms)
        publish.users.extend(self._users)
        publish.sessions.extend(self._sessions)
        publish.except_sessions.extend(self._except_sessions)
        publish.except_users.extend(self._except_users)
        return frame


def several(value: str | Iterable[str] | None) -> tuple[str, ...]:
    """One or several names, or none."""
    if value is None:
        return ()
    return (value,) if isinstance(value, str) else tuple(value)
