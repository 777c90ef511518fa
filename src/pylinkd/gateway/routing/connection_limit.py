"""How many connections a user may have at once, and what becomes of one more.

A session whose client is away counts, and is the first to make room. A connection that broke in silence counts until
its missing pong is noticed, which may take two heartbeat intervals. So that nobody is locked out by the remains of his
own, those that have been silent are asked before the new one is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum
from functools import partial
from typing import NamedTuple

import msgspec

from ...protocol.close import CloseCode
from ...protocol.end import EndReason
from ...protocol.identity import Identity
from ..core.connection import Hold
from ..core.path_limits import OneSession
from ..core.pause import own_pause
from ..core.registry import Registry
from ..core.session import Session
from ..guard.audit import Audit

_SILENT = 5.0  # seconds; who was heard later than that is certainly there
_ANSWER_TIME = 2.0  # seconds for the pong of one that was silent, while the new connection is not read from


class Excess(StrEnum):
    """What happens when a user opens more connections than one may have."""

    REJECT = "reject"
    EVICT_OLDEST = "evict_oldest"


class ConnectionLimitSettings(msgspec.Struct, frozen=True):
    """How many connections one user may have.

    Attributes:
        most: So many; 0: any number.
        excess: What happens to more.
    """

    most: int = 5
    excess: Excess = Excess.REJECT


class _Bound(NamedTuple):
    """How many sessions a user may have.

    Attributes:
        user: Whose.
        most: So many.
        excess: What happens to more.
        path: On which path; ``None``: on all together.
    """

    user: str
    most: int
    excess: Excess
    path: str | None = None


class ConnectionLimit:
    """Lets connections in while their user has few enough.

    Args:
        registry: The sessions.
        audit: Records what was refused or replaced.
        settings: How many.
        clock: Seconds, monotonic; that of the connections' ``heard_at``.
        schedule: Runs a function after so many seconds.
    """

    def __init__(
        self,
        registry: Registry,
        audit: Audit,
        settings: ConnectionLimitSettings,
        *,
        clock: Callable[[], float],
        schedule: Callable[[float, Callable[[], None]], object],
    ) -> None:
        self._registry = registry
        self._audit = audit
        self._most = settings.most
        self._excess = settings.excess
        self._clock = clock
        self._schedule = schedule

    def admit(self, session: Session, identity: Identity | None, enter: Callable[[], None]) -> None:
        """Call ``enter``, at once or a moment later, if the session may come in; else close it, or an older one."""
        self._pass(session, [] if identity is None else self._bounds(session, identity.user), enter)

    def _bounds(self, session: Session, user: str) -> list[_Bound]:
        """What the session has to pass: the bounds of its path, and the gateway's over all paths."""
        limits, bounds = session.limits, []
        if limits.one_session is not None:
            excess = Excess.EVICT_OLDEST if limits.one_session is OneSession.REPLACE else Excess.REJECT
            bounds.append(_Bound(user, 1, excess, session.path))
        if limits.max_connections_per_user:
            bounds.append(_Bound(user, limits.max_connections_per_user, self._excess, session.path))
        if self._most:
            bounds.append(_Bound(user, self._most, self._excess))
        return bounds

    def _pass(self, session: Session, bounds: Sequence[_Bound], enter: Callable[[], None]) -> None:
        """Go on once each bound has room, one after the other."""
        if not bounds:
            enter()
            return
        bound, go_on = bounds[0], partial(self._pass, session, bounds[1:], enter)
        others = self._others(bound)
        if len(others) < bound.most:
            go_on()
            return
        self._replace_absent(bound, others)
        open = self._open(bound)
        silent = {other: self._heard_at(other) for other in open if self._is_silent(other)}
        if len(open) >= bound.most and silent and bound.excess is Excess.REJECT:
            self._ask(session, bound, go_on, silent)
        elif self._make_room(session, bound, open):
            go_on()

    def _others(self, bound: _Bound) -> list[Session]:
        sessions = self._registry.of_user(bound.user)
        return [other for other in sessions if bound.path is None or other.path == bound.path]

    def _replace_absent(self, bound: _Bound, others: Sequence[Session]) -> None:
        """End sessions whose clients are away, as many as make room: nobody is locked out by what was cut."""
        excess = len(others) - bound.most + 1
        for session in [other for other in others if other.connection is None][:excess]:
            self._replace(bound, session)

    def _replace(self, bound: _Bound, session: Session) -> None:
        self._audit.record("replaced", user=bound.user, session=session.id, address=session.remote_address)
        session.close(CloseCode.REPLACED, "replaced by a newer connection", EndReason.REPLACED)

    def _ask(self, session: Session, bound: _Bound, go_on: Callable[[], None], silent: dict[Session, float]) -> None:
        """Ping those that have been silent, and decide when they had time to answer."""

        due = self._clock() + _ANSWER_TIME

        def decide() -> None:
            nonlocal due
            connection = session.connection
            if connection is None or not connection.open:
                return
            if own_pause(self._clock() - due):
                due = self._clock() + _ANSWER_TIME
                self._schedule(_ANSWER_TIME, decide)
                return
            connection.release(Hold.ADMISSION)
            dead = {other for other, before in silent.items() if self._heard_at(other) <= before}
            for other in dead:
                # Not only detached, or it would be one too many when its client came back.
                self._replace(bound, other)
                if other.connection is not None:
                    other.connection.cut()
            left = [other for other in self._open(bound) if other not in dead]
            if self._make_room(session, bound, left):
                go_on()

        for other in silent:
            assert other.connection is not None
            other.connection.ping()
        if session.connection is not None:
            session.connection.hold(Hold.ADMISSION)
        self._schedule(_ANSWER_TIME, decide)

    def _open(self, bound: _Bound) -> list[Session]:
        return [other for other in self._others(bound) if other.connection is not None and other.connection.open]

    def _is_silent(self, session: Session) -> bool:
        connection = session.connection
        # One that is not read from cannot be heard.
        return connection is not None and not connection.held and self._clock() - connection.heard_at > _SILENT

    def _heard_at(self, session: Session) -> float:
        return float("-inf") if session.connection is None else session.connection.heard_at

    def _make_room(self, session: Session, bound: _Bound, open: Sequence[Session]) -> bool:
        """Whether there is room beside these, the oldest of which comes first, or was made."""
        user = bound.user
        if len(open) < bound.most:
            return True
        if bound.excess is Excess.REJECT:
            self._audit.record("too_many_connections", user=user, session=session.id, address=session.remote_address)
            session.close(CloseCode.RATE_LIMITED, "too many connections of this user", EndReason.TOO_MANY_CONNECTIONS)
            return False
        for oldest in open[: len(open) - bound.most + 1]:
            self._replace(bound, oldest)
        return True
