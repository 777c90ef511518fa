"""What a client is told first: ``linkd.welcome``."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from ...protocol.control import AckThresholds, RoomPlace, Welcome
from ...protocol.resume import NotResumed
from ..core.resume_tokens import ResumeTokens
from ..core.session import Session


class WelcomeSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What clients are to keep to.

    Attributes:
        ack: When to acknowledge.
        ping: Seconds of silence after which a client asks for a sign of life.
    """

    ack: AckThresholds = AckThresholds()
    ping: float = 25.0


class Welcoming:
    """Writes the first message of each connection.

    Args:
        settings: What clients are to keep to.
        window: Messages that may be unanswered before the gateway stops reading.
        tokens: Makes the tokens by which clients come back.
        places: Says where a session's rooms are that have a history.
        presences: Says in which states the rooms are whose members a session watches.
    """

    def __init__(
        self,
        settings: WelcomeSettings,
        *,
        window: int,
        tokens: ResumeTokens,
        places: Callable[[Session], dict[str, RoomPlace]],
        presences: Callable[[Session], dict[str, int]],
    ) -> None:
        self._settings = settings
        self._window = window
        self._tokens = tokens
        self._places = places
        self._presences = presences

    def new(self, session: Session, reason: NotResumed | None = None, received: int | None = None) -> Welcome:
        """For a new session.

        Args:
            session: The session.
            reason: Why the one does not go on that its client wanted; ``None``: it wanted none.
            received: Counted messages of that one that had come; ``None``: nobody knows.
        """
        return self._welcome(session, None if reason is None else False, reason, received)

    def back(self, session: Session) -> Welcome:
        """For a session that goes on."""
        resumption = session.resumption
        return self._welcome(session, True, None, None if resumption is None else resumption.received)

    def _welcome(
        self, session: Session, resumed: bool | None, reason: NotResumed | None, received: int | None
    ) -> Welcome:
        settings, resumption, limits = self._settings, session.resumption, session.limits
        rate = None if limits.message_rate is None else limits.message_rate.text
        welcome = Welcome(
            session=session.id,
            max_message_size=limits.max_message_size,
            window=self._window,
            retry=limits.retry,
            message_rate=rate,
        )
        if resumption is None:
            return welcome
        return msgspec.structs.replace(
            welcome,
            resumed=resumed,
            reason=reason,
            received=received,
            resume=self._tokens.make(session.id, resumption.generation),
            grace_ms=round(limits.resume_window * 1000),
            dropped=session.outbox.dropped,
            ping_ms=round(settings.ping * 1000),
            ack=settings.ack,
            rooms=(self._places(session) or None) if resumed else None,
            presence=(self._presences(session) or None) if resumed else None,
        )
