"""The WebSockets of the gateway: where their messages go, who looks after the silent, how all are sent away."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from itertools import chain

import msgspec
import structlog

from ..protocol.close import CloseCode
from ..protocol.control import Abort, Ack, Auth, HistoryRequest, PresenceSet, PresenceSync
from ..protocol.end import EndReason
from ..protocol.envelope import Message, MessageId
from ..protocol.errors import BadRequestError, RateLimitedError, ServiceUnavailableError, UnauthorizedError
from .core.drain import Drain, DrainSettings
from .core.heartbeat import Heartbeat, Verdict
from .core.pause import own_pause
from .core.session import Session
from .core.traffic import Traffic
from .edge.connection import Connection
from .edge.framing import read_frames
from .edge.receptions import Receptions
from .routing.assembly import Routing
from .routing.resuming import Refusal, Return

log = structlog.get_logger("linkd")

_DRAIN_STEP = 0.02  # seconds between two looks at who may go
_ANSWERS = frozenset({"response", "error"})  # types of what a client answers


class ClientSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What clients may send, and how long they may be silent.

    Attributes:
        close_timeout: Seconds that a client may take to answer a close frame.
        max_fragments: Of a message.
        max_receptions: How many large messages may arrive at once.
        message_timeout: Seconds that a message may take from its first fragment to its last.
        heartbeat_interval: Seconds of silence after which a client is pinged, where its path has no shorter ones.
        drain: How fast clients are released when the gateway stops.
    """

    close_timeout: float
    max_fragments: int
    max_receptions: int
    message_timeout: float
    heartbeat_interval: float
    drain: DrainSettings


class Clients:
    """All WebSockets. A ConnectionOwner (edge/connection_owner.py), with whose attributes it says what clients may do.

    Args:
        routing: Where messages go.
        settings: What clients may send.
        traffic: What is counted.
    """

    def __init__(self, routing: Routing, settings: ClientSettings, traffic: Traffic) -> None:
        self.close_timeout = settings.close_timeout
        self.max_fragments = settings.max_fragments
        self.traffic = traffic
        self.congested: set[Session] = set()
        self.receptions: Receptions[Connection] = Receptions(
            settings.max_receptions, self._shrink, patience=settings.message_timeout
        )
        self.now = asyncio.get_running_loop().time()
        self.count = routing.limits.message if routing.limits.on else None
        self._inbound = routing.inbound
        self._pressure = routing.pressure
        self._signin = routing.signin
        self._controls: dict[str, Callable[[Session, Message], None]] = {
            Auth.type: routing.signin.received,
            Abort.type: routing.inbound.abort,
            Ack.type: _refuse_ack,
            HistoryRequest.type: routing.histories.read,
            PresenceSync.type: routing.presences.sync,
            PresenceSet.type: routing.presences.say,
            "response": routing.client_answers.received,
            "error": routing.client_answers.received,
        }
        self._client_answers = routing.client_answers
        self._resuming = routing.resuming
        self._presences = routing.presences
        self._sweeps = (
            routing.signin.sweep,
            routing.acknowledgements.sweep,
            routing.lifecycle.sweep,
            routing.presences.sweep,
            routing.histories.sweep,
        )
        self._acks = routing.acknowledgements
        self._lifecycle = routing.lifecycle
        self._limits = routing.limits
        self._drain_settings = settings.drain
        self._step = min(1.0, settings.heartbeat_interval / 8)
        self._message_timeout = settings.message_timeout
        # One for each pair of interval and idle timeout that paths have; as many as services want.
        self._heartbeats: dict[tuple[float, float | None], Heartbeat[Connection]] = {}

    def _heartbeat(self, connection: Connection) -> Heartbeat[Connection]:
        limits = connection.session.limits
        key = (limits.heartbeat_interval, limits.idle_timeout)
        found = self._heartbeats.get(key)
        if found is None:
            found = self._heartbeats[key] = Heartbeat(
                interval=limits.heartbeat_interval,
                idle_timeout=limits.idle_timeout,
                message_timeout=self._message_timeout,
                step=self._step,
            )
        return found

    @property
    def _connected(self) -> Iterator[Connection]:
        return chain.from_iterable(self._heartbeats.values())

    def _shrink(self, connection: Connection) -> None:
        """Read a connection's frames into a small buffer again."""
        transport = connection.transport
        if transport is not None and not transport.is_closing():
            read_frames(transport, connection, connection.session.limits.max_message_size)

    # edge.connection_owner.ConnectionOwner

    def opened(self, session: Session, connection: Connection, refusal: Refusal | None) -> None:
        """See ConnectionOwner."""
        self._heartbeat(connection).add(connection)
        self._lifecycle.attach(session, connection)
        self._signin.opened(session)
        if session.controls:
            self._resuming.welcome(session, refusal)

    def resumed(self, back: Return, connection: Connection) -> None:
        """See ConnectionOwner."""
        self._heartbeat(connection).add(connection)
        superseded = self._resuming.resume(back, connection)
        if superseded is not None:
            # Whatever would be found out about it is no business of the session's any more.
            assert isinstance(superseded, Connection)
            self._heartbeat(superseded).discard(superseded)

    def receiving(self, session: Session) -> None:
        """See ConnectionOwner."""
        self._pressure.receiving(session)

    def received(self, session: Session, message: Message) -> None:
        """See ConnectionOwner."""
        if message.type in self._controls:
            self._controls[message.type](session, message)
        elif session.leaving is not None:
            session.fail(message.id, ServiceUnavailableError("The gateway is stopping.", retry_after=session.leaving))
        elif self._signin.waiting and session in self._signin.waiting:
            session.fail(message.id, UnauthorizedError())
        else:
            self._inbound.route(session, message)

    def awaited(self, session: Session, message: Message) -> bool:
        """See ConnectionOwner."""
        return message.type in _ANSWERS and self._client_answers.awaits(session, message.id)

    def exceeded(self, session: Session, id: MessageId | None, retry_after: float) -> None:
        """See ConnectionOwner."""
        self._limits.refuse(session, id, RateLimitedError(retry_after=retry_after))

    def pace(self, session: Session, pieces: int) -> float:
        """See ConnectionOwner."""
        return self._limits.pace(session, pieces)

    def control(self, session: Session) -> bool:
        """See ConnectionOwner."""
        return self._limits.control(session)

    def acknowledge(self, session: Session) -> None:
        """See ConnectionOwner."""
        self._acks.took(session)

    def acknowledged(self, session: Session, message: Message, *, charged: bool) -> None:
        """See ConnectionOwner."""
        self._acks.received(session, message, charged=charged)

    def ended(self, connection: Connection, reason: EndReason) -> None:
        """See ConnectionOwner."""
        session = connection.session
        self._heartbeat(connection).discard(connection)
        if session.connection is connection:
            self._signin.disconnected(session)
        self._lifecycle.detach(session, connection, reason)

    # silence

    async def watch(self) -> None:
        """Look after connections, for ever."""
        clock = asyncio.get_running_loop().time
        while True:
            due = clock() + self._step
            await asyncio.sleep(self._step)
            self.now = clock()
            late = max(0.0, self.now - due)
            self.traffic.loop_lag.observe(late)
            if pause := own_pause(late):
                for heartbeat in self._heartbeats.values():
                    heartbeat.paused(pause)
                self.receptions.paused(pause)
                self._signin.paused(pause)
                self._lifecycle.detached.paused(pause)
                self._presences.paused(pause)
            for connection in self.receptions.overdue(self.now):
                self._carry_out(connection, Verdict.STALLED)
            for sweep in self._sweeps:
                try:
                    sweep()
                except Exception:
                    log.exception("sweep_failed")
            for connection, verdict in [due for beat in self._heartbeats.values() for due in beat.due(self.now)]:
                try:
                    self._carry_out(connection, verdict)
                except Exception:
                    log.exception("heartbeat_failed")  # of one connection; the others' goes on

    def _carry_out(self, connection: Connection, verdict: Verdict) -> None:
        if verdict is Verdict.PING:
            connection.ping()
        elif verdict is Verdict.DEAD:
            connection.cut()
        elif verdict is Verdict.STALLED:
            connection.session.close(CloseCode.POLICY_VIOLATION, "a message took too long", EndReason.LIMIT)
        else:
            connection.session.close(CloseCode.IDLE, "no message for too long", EndReason.IDLE)

    # the end

    async def drain(self, code: CloseCode, within: float, give_up: Callable[[], None]) -> None:
        """Send every client away, and wait for the closing handshakes; cut who is not through in time.

        Args:
            code: Of the close frames.
            within: Seconds that all of it may take.
            give_up: Called when the time for answers is over: whoever waits for one gets an error.
        """
        clock = asyncio.get_running_loop().time
        self._lifecycle.stop()
        for_answers = max(within - self.close_timeout, within / 2)
        # Whoever is connected, signed in or not.
        sessions = [connection.session for connection in self._connected]
        drain = Drain(sessions, clock(), for_answers, self._drain_settings)
        answered_by = clock() + for_answers
        while not drain.done:
            over = clock() >= answered_by
            if over:
                give_up()
            for session in drain.give_up() if over else drain.step(clock()):
                session.close(code, "the gateway stops", EndReason.SHUTDOWN)
            await asyncio.sleep(_DRAIN_STEP)
        closed_by = clock() + self.close_timeout
        while any(self._heartbeats.values()) and clock() < closed_by:
            await asyncio.sleep(_DRAIN_STEP)


def _refuse_ack(session: Session, message: Message) -> None:
    session.fail(message.id, BadRequestError("Only a client that has offered linkd.resume acknowledges."))
