"""How much a client may do: which rates there are, and what becomes of one that keeps exceeding them.

What is too much is refused with 429; a session that is refused too often is closed with 4429; an address whose clients
are closed too often, or that guesses tokens, is banned for a time. In ``observe`` all of it is counted and logged, and
nothing refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import StrEnum

import msgspec

from ...protocol.close import CloseCode
from ...protocol.end import EndReason
from ...protocol.envelope import MessageId
from ...protocol.errors import RateLimitedError
from ...protocol.identity import Identity
from ...protocol.rate import Rate
from ..core.meter import Meter
from ..core.session import Session
from .addresses import Addresses, BansFullError, site
from .audit import Audit
from .rates import Rates


class Mode(StrEnum):
    """Whether limits hold."""

    ENFORCE = "enforce"
    OBSERVE = "observe"
    OFF = "off"


class LimitSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The rates; ``None``: no limit.

    Attributes:
        mode: Whether they hold.
        handshakes: Opening handshakes of an address.
        failures: Tokens of an address that are not valid.
        messages: Messages of a connection.
        bytes: Bytes of these.
        controls: Control frames of a connection: pings and pongs.
        user_messages: Messages of a user, over all connections, and HTTP requests; without a user, of an address.
        broadcasts: Events to others that a connection's messages set off.
        room_broadcasts: Events to one room that clients' messages set off.
        strikes: Refusals of a connection, before it is closed.
        offences: Closed connections and excess failures of an address, before it is banned.
        ban_time: Seconds of such a ban.
    """

    mode: Mode = Mode.ENFORCE
    handshakes: Rate | None = None
    failures: Rate | None = None
    messages: Rate | None = None
    bytes: Rate | None = None
    controls: Rate | None = None
    user_messages: Rate | None = None
    broadcasts: Rate | None = None
    room_broadcasts: Rate | None = None
    strikes: Rate | None = None
    offences: Rate | None = None
    ban_time: float = 600.0


class Limits:
    """Counts what clients do.

    Args:
        settings: The rates.
        addresses: Bans, and who is exempt.
        audit: Told of what is refused.
        clock: Seconds, monotonic.

    Attributes:
        refused: How often each limit was exceeded.
    """

    def __init__(self, settings: LimitSettings, addresses: Addresses, audit: Audit, clock: Callable[[], float]) -> None:
        self._settings = settings
        self._addresses = addresses
        self._audit = audit
        self._clock = clock
        self._enforced = settings.mode is Mode.ENFORCE
        self.on = settings.mode is not Mode.OFF
        self._messages = settings.messages
        self._bytes = settings.bytes
        self._handshakes = Rates(settings.handshakes)
        self._failures = Rates(settings.failures)
        self._users = Rates(settings.user_messages)
        self._rooms = Rates(settings.room_broadcasts)
        self._offences = Rates(settings.offences)
        self.refused: dict[str, int] = {}

    # at the door

    def handshake(self, address: str) -> None:
        """Count an opening handshake.

        Raises:
            RateLimitedError: If there were too many.
        """
        if self.on and not self._addresses.exempt(address):
            place = site(address)
            self._hold(self._handshakes.take(place, self._clock()), "handshakes", place)

    def may_try(self, address: str) -> None:
        """Before a token is looked at.

        Raises:
            RateLimitedError: If the address showed too many that were not valid.
        """
        if self.on and len(self._failures) and not self._addresses.exempt(address):
            place = site(address)
            self._hold(self._failures.peek(place, self._clock()), "failures", place)

    def failed(self, address: str) -> None:
        """Count a token that was not valid."""
        if self.on and not self._addresses.exempt(address):
            place = site(address)
            self._failures.take(place, self._clock())
            if self._failures.peek(place, self._clock()):
                self.offend(place, "too many tokens that are not valid")

    def request(self, address: str, identity: Identity | None) -> None:
        """Count an HTTP request.

        Raises:
            RateLimitedError: If there were too many.
        """
        if self.on and not self._addresses.exempt(address):
            key = site(address) if identity is None else ("user", identity.user)
            self._hold(self._users.take(key, self._clock()), "user_messages", site(address))

    def _hold(self, wait: float, limit: str, place: str) -> None:
        if wait and self._excess(limit, address=place):
            raise RateLimitedError(retry_after=_bounded(wait))

    def _excess(self, limit: str, **whose: str | None) -> bool:
        """Note that a limit was exceeded; whether that is to be refused."""
        self.refused[limit] = self.refused.get(limit, 0) + 1
        self._audit.record("rate_limited" if self._enforced else "rate_would_limit", limit=limit, **whose)
        return self._enforced

    def offend(self, address: str, reason: str) -> None:
        """Count an offence of an address, which is banned if there were too many."""
        if not self.on or self._addresses.exempt(address):
            return
        place = site(address)
        if not self._offences.take(place, self._clock()):
            return
        self._audit.record("banned" if self._enforced else "would_ban", address=place, reason=reason)
        if self._enforced:
            try:
                self._addresses.ban(place, self._settings.ban_time, reason)
            except BansFullError:
                self._audit.record("bans_full", address=place)
            except ValueError:
                pass  # a peer without an address, such as one on a Unix socket

    # of a session

    def message(self, session: Session, size: int) -> float:
        """Count a message of so many bytes; 0.0, or the seconds after which to try again.

        The hot path: the rates' arithmetic stands here once more, since three calls would cost 0.6 µs.
        """
        meter = session.meter
        if meter is None:
            meter = self._meter(session)
        if meter.exempt:
            return 0.0
        now = self._clock()
        rate = meter.rate
        if rate is not None:
            paid = meter.messages
            paid = (paid if paid > now else now) + rate.interval
            if paid - now > rate.ceiling:
                return self._over("messages", session, paid - now - rate.period)
            meter.messages = paid
        rate = self._bytes
        if rate is not None:
            paid = meter.bytes
            free = paid <= now
            paid = (now if free else paid) + rate.interval * size
            # A message larger than the whole period's worth is taken of who has used nothing: it could never be sent.
            if paid - now > rate.ceiling and not free:
                return self._over("bytes", session, paid - now - rate.period)
            meter.bytes = paid
        account = meter.user
        if account is None and session.identity is not None:
            account = meter.user = self._users.account(("user", session.identity.user), now)
        if account is not None:
            rate = self._users.rate
            if rate is not None:
                paid = account.paid
                paid = (paid if paid > now else now) + rate.interval
                if paid - now > rate.ceiling:
                    return self._over("user_messages", session, paid - now - rate.period)
                account.paid = paid
        return 0.0

    def pace(self, session: Session, pieces: int) -> float:
        """Count small pieces of a stream, which have arrived, as messages; the seconds for which to read no more.

        A piece of a stream cannot be refused without losing the stream, so that its client waits instead.
        """
        meter = session.meter or self._meter(session)
        rate = meter.rate
        if meter.exempt or rate is None or not self._enforced:
            return 0.0
        now = self._clock()
        meter.messages = max(meter.messages, now) + rate.interval * pieces
        return max(0.0, meter.messages - now - rate.period)

    def control(self, session: Session) -> bool:
        """Count a ping or a pong; ``False``: it is one too many. With too many of these the session is closed."""
        rate = self._settings.controls
        meter = session.meter or self._meter(session)
        if meter.exempt or rate is None:
            return True
        meter.controls, wait = rate.take(meter.controls, self._clock())
        if not wait or not self._over("controls", session, wait):
            return True
        self._strike(session)
        return False

    def acknowledgement(self, session: Session, *, charged: bool) -> bool:
        """Count an acknowledgement, as a control frame and not as a message; ``False``: it is one too many.

        Args:
            session: Whose client's it is.
            charged: It was counted as a message before it was understood.
        """
        if not self.on:
            return True
        meter = session.meter or self._meter(session)
        if charged and not meter.exempt:
            if meter.rate is not None:
                meter.messages -= meter.rate.interval
            if meter.user is not None and self._users.rate is not None:
                meter.user.paid -= self._users.rate.interval
        return self.control(session)

    def handler(self, session: Session, type: str, rate: Rate) -> None:
        """Count a message for a handler with a rate of its own.

        Raises:
            RateLimitedError: If there were too many.
        """
        meter = session.meter or self._meter(session)
        if meter.exempt:
            return
        if meter.handlers is None:
            meter.handlers = {}  # of types that a service registered: their number is the service's
        paid, wait = rate.take(meter.handlers.get(type, 0.0), self._clock())
        meter.handlers[type] = paid
        wait = wait and self._over("handler", session, wait)
        if wait:
            raise RateLimitedError(retry_after=wait)

    def broadcast(self, session: Session, namespace: str, rooms: Iterable[str]) -> None:
        """Count an event to others that a message of this session set off.

        Raises:
            RateLimitedError: If there were too many, of the session or to one of the rooms.
        """
        meter = session.meter or self._meter(session)
        if meter.exempt:
            return
        now = self._clock()
        wait = 0.0
        if self._settings.broadcasts is not None:
            meter.broadcasts, wait = self._settings.broadcasts.take(meter.broadcasts, now)
            wait = wait and self._over("broadcasts", session, wait)
        for room in rooms:
            if not wait:
                wait = self._rooms.take((namespace, room), now)
                wait = wait and self._over("room_broadcasts", session, wait)
        if wait:
            raise RateLimitedError(retry_after=_bounded(wait))

    def refuse(self, session: Session, id: MessageId | None, error: RateLimitedError) -> None:
        """Answer a message that was one too many; if there were too many such answers, close the session."""
        session.fail(id, error)
        self._strike(session)

    def _strike(self, session: Session) -> None:
        meter, rate = session.meter, self._settings.strikes
        if meter is None or rate is None:
            return
        meter.strikes, wait = rate.take(meter.strikes, self._clock())
        if wait and session.connection is not None and session.connection.open:
            session.close(CloseCode.RATE_LIMITED, "too many messages", EndReason.RATE_LIMITED)
            self.offend(session.remote_address, "went on after being refused")

    def _over(self, limit: str, session: Session, wait: float) -> float:
        user = None if session.identity is None else session.identity.user
        refused = self._excess(limit, session=session.id, user=user, address=session.remote_address)
        return _bounded(wait) if refused else 0.0

    def _meter(self, session: Session) -> Meter:
        exempt = not self.on or self._addresses.exempt(session.remote_address)
        # A path may have a lower rate than the gateway.
        meter = session.meter = Meter(exempt, session.limits.message_rate or self._messages)
        return meter


def _bounded(wait: float) -> float:
    return min(max(wait, 0.001), 3600.0)
