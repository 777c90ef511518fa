"""The life of a session: where it opens, is detached from its connection, is resumed, and ends. One place.

Losing the connection is not the end of a session whose client can resume: it is detached, keeps its rooms, its user
and its messages, and ends when its client was away for too long. A client that says goodbye (1000) means the end.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import structlog

from ...protocol.end import EndReason
from ...protocol.resume import NotResumed
from ..core.connection import Connection, Hold
from ..core.detached import Detached, Ended
from ..core.expiry import Expiry
from ..core.registry import Registry
from ..core.resumption import Retention
from ..core.rooms import Rooms
from ..core.session import Session
from ..core.traffic import Traffic
from .attachments import Attachments
from .client_answers import ClientAnswers
from .inbound import Inbound
from .room_presence import RoomPresences
from .services import Services

log = structlog.get_logger("linkd.sessions")

_KEPT = frozenset({EndReason.CONNECTION_LOST, EndReason.CLIENT_LEFT, EndReason.TIMEOUT})
"""How a connection ends whose client may come back to its session."""

_MOST_REMEMBERED = 10_000  # ended sessions
_REMEMBERED = 600.0  # seconds
_SPARE = 0.9  # of what may be kept is left once sessions were given up, so that not every message gives up one more


class ResumptionSettings(msgspec.Struct, frozen=True):
    """How sessions are kept for clients that are away.

    Attributes:
        limit: See Retention.
        session_bytes: See Retention.
        session_messages: See Retention.
        away_bytes: See Retention.
        confirm_after: See Retention.
    """

    limit: int = 64 * 2**20
    session_bytes: int = 2**20
    session_messages: int = 1000
    away_bytes: int = 256 * 1024
    confirm_after: int = 64


class Lifecycle:
    """Opens, detaches, resumes and ends sessions.

    Args:
        registry: The sessions.
        rooms: Their rooms.
        services: The services.
        attachments: Announces beginning and end to them.
        inbound: Has messages of theirs that wait.
        client_answers: Wait for answers of theirs.
        presences: Show who is in which room.
        expiry: Watches their tokens.
        traffic: Counts the ends.
        clock: Seconds, monotonic.
        window: Messages of a session that may be unanswered.
        settings: How sessions are kept.

    Attributes:
        detached: The sessions without connection.
        ended: What is remembered of sessions that could have been resumed.
        retention: How much is kept for clients.
    """

    def __init__(
        self,
        *,
        registry: Registry,
        rooms: Rooms,
        services: Services,
        attachments: Attachments,
        inbound: Inbound,
        client_answers: ClientAnswers,
        presences: RoomPresences,
        expiry: Expiry,
        traffic: Traffic,
        clock: Callable[[], float],
        window: int,
        settings: ResumptionSettings,
    ) -> None:
        self._registry = registry
        self._rooms = rooms
        self._services = services
        self._attachments = attachments
        self._inbound = inbound
        self._client_answers = client_answers
        self._presences = presences
        self._expiry = expiry
        self._traffic = traffic
        self._clock = clock
        self._window = window
        self._stopping = False
        self.detached = Detached(self.end, self.give_up)
        self.ended = Ended(_REMEMBERED, _MOST_REMEMBERED)
        self.retention = Retention(**msgspec.structs.asdict(settings))

    def attach(self, session: Session, connection: Connection) -> None:
        """The opening handshake is done: from now on this is the session's connection."""
        session.connection = connection

    def open(self, session: Session) -> None:
        """Its client is let in: services may now speak to the session."""
        self._registry.add(session)
        self._attachments.begin(session)
        log.debug("session_opened", session=session.id, user=_user(session), path=session.path)

    def detach(self, session: Session, connection: Connection, reason: EndReason) -> None:
        """A connection is gone. Called once for each; for one that was superseded it changes nothing."""
        if session.connection is not connection:
            return
        self._disconnect(session)
        if session not in self._registry:  # it was never opened
            self._note_end(session, reason)
            if session.resumption is not None:
                session.resumption.lose(NotResumed.CLOSED)
        elif self._keeps(session, reason):
            self.detached.add(session, self._clock() + session.limits.resume_window)
            self._attachments.detached(session)
            self._presences.detached(session)
            log.debug("session_detached", session=session.id, user=_user(session), reason=str(reason))
        else:
            self.end(session, reason)

    def _keeps(self, session: Session, reason: EndReason) -> bool:
        resumption = session.resumption
        return (
            resumption is not None
            and resumption.lost is None
            and reason in _KEPT
            and not session.outbox.overflowed
            and session.leaving is None
            and not self._stopping
        )

    def ends(self, session: Session) -> bool:
        """Whether the session ends with its connection, which has begun to close."""
        ending = None if session.connection is None else session.connection.ending
        return ending is not None and ending not in _KEPT

    def _disconnect(self, session: Session) -> None:
        session.connection = None
        session.outbox.held = 0
        session.outbox.forget_controls()
        self._inbound.disconnected(session)

    def resume(self, session: Session, connection: Connection) -> Connection | None:
        """The session has another connection. Returns the one that it had until now, if that still lives: it has
        nothing to do with the session any more, whatever becomes of it.
        """
        superseded = session.connection
        if superseded is not None:
            self._disconnect(session)
            self._attachments.detached(session)
            superseded.supersede()
        self.detached.remove(session)
        session.connection = connection
        session.outbox.held = 0
        if session.in_flight >= self._window:
            connection.hold(Hold.WINDOW)
        self._attachments.resumed(session)
        self._presences.resumed(session)
        log.debug("session_resumed", session=session.id, user=_user(session), path=session.path)
        return superseded

    def identified(self, session: Session) -> None:
        """It is known whose the session is."""
        self._presences.identified(session)

    def end(self, session: Session, reason: EndReason) -> None:
        """The session ends: its connection is gone, and is not waited for any longer."""
        self.detached.remove(session)
        self._inbound.forget(session)
        self._client_answers.ended(session)
        self._presences.ended(session, reason)
        self._expiry.forget(session)
        self._note_end(session, reason)
        resumption = session.resumption
        if resumption is not None:
            if reason is not EndReason.CLIENT_CLOSED:
                self.ended.add(session, resumption.lost or _not_resumed(reason), self._clock())
            resumption.lose(NotResumed.CLOSED)
            session.resumption = None
        rooms = {
            service: list(self._rooms.names(session, service.namespace))
            for service in self._services
            if session in service.attachments
        }
        self._rooms.leave_all(session)
        self._registry.remove(session)
        self._attachments.end(session, reason, rooms)

    def _note_end(self, session: Session, reason: EndReason) -> None:
        self._traffic.ends[reason] += 1
        # A client that is cut since it reads too slowly is news to whoever runs the gateway; the others come and go.
        news = (EndReason.SLOW_CONSUMER, EndReason.NOT_KEPT)
        write = log.warning if reason in news else log.debug
        write("session_ended", session=session.id, user=_user(session), reason=str(reason))

    # who is away

    def sweep(self) -> None:
        """End the sessions whose clients were away for too long."""
        for session in self.detached.due(self._clock()):
            assert session.resumption is not None
            session.resumption.lost = NotResumed.EXPIRED
            self.end(session, EndReason.CONNECTION_LOST)
        self.give_up()

    def give_up(self) -> None:
        """Where more is kept than may be, give up sessions: those first that were away for longest; then, of those
        that are connected, those for which most is kept, which thus cannot be resumed later.
        """
        retention = self.retention
        if retention.held <= retention.limit:
            return
        enough = retention.limit * _SPARE
        for session in list(self.detached):
            if retention.held <= enough:
                return
            assert session.resumption is not None
            session.resumption.lost = NotResumed.EVICTED
            self.end(session, EndReason.NOT_KEPT)
        sizes = [(one.resumption.size, one.resumption) for one in self._registry if one.resumption is not None]
        for _, resumption in sorted(sizes, key=lambda pair: pair[0], reverse=True):
            if retention.held <= enough:
                return
            resumption.lose(NotResumed.EVICTED)

    def stop(self) -> None:
        """The gateway stops: whoever is away has nothing to come back to."""
        self._stopping = True
        for session in list(self.detached):
            self.end(session, EndReason.SHUTDOWN)


def _user(session: Session) -> str | None:
    return None if session.identity is None else session.identity.user


def _not_resumed(reason: EndReason) -> NotResumed:
    return NotResumed.OVERFLOW if reason in (EndReason.NOT_KEPT, EndReason.SLOW_CONSUMER) else NotResumed.CLOSED
