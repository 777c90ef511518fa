"""The beginning and the end of a session: one place that tells registry, rooms and services."""

from __future__ import annotations

from enum import StrEnum

import structlog

from ...protocol.errors import CloseCode
from ...protocol.identity import Identity
from ..core.registry import Registry
from ..core.rooms import Rooms
from ..core.session import EndReason, Session
from ..guard.audit import Audit
from .services import Service, Services

log = structlog.get_logger("linkd.sessions")


class Excess(StrEnum):
    """What happens when a user opens more connections than one may have."""

    REJECT = "reject"
    EVICT_OLDEST = "evict_oldest"


class Sessions:
    """Opens and ends sessions.

    Args:
        registry: The sessions.
        rooms: Their rooms.
        services: The services that are told.
        audit: Told of connections that were too many.
        max_per_user: Most connections of a user; 0: any number.
        excess: What happens to more.
    """

    def __init__(
        self,
        registry: Registry,
        rooms: Rooms,
        services: Services,
        audit: Audit,
        *,
        max_per_user: int = 0,
        excess: Excess = Excess.REJECT,
    ) -> None:
        self._registry = registry
        self._rooms = rooms
        self._services = services
        self._audit = audit
        self._max_per_user = max_per_user
        self._excess = excess

    def open(self, session: Session) -> bool:
        """Its client is let in: services may now speak to the session. ``False``: its user has too many already."""
        if not self.make_room(session, session.identity):
            return False
        self._registry.add(session)
        self._services.attach(session)
        log.debug("session_opened", session=session.id, user=_user(session), path=session.path)
        return True

    def make_room(self, session: Session, identity: Identity | None) -> bool:
        """Whether its user may have one connection more; if not, it, or the oldest, is closed."""
        if not self._max_per_user or identity is None:
            return True
        user = identity.user
        others = self._registry.of_user(user)
        if len(others) < self._max_per_user:
            return True
        open = [other for other in others if other.connection is not None and other.connection.open]
        if len(open) < self._max_per_user:
            return True
        if self._excess is Excess.REJECT:
            self._audit.record("too_many_connections", user=user, session=session.id, address=session.remote_address)
            if session.connection is not None:
                session.connection.close(
                    CloseCode.RATE_LIMITED, "too many connections of this user", EndReason.TOO_MANY_CONNECTIONS
                )
            return False
        for oldest in sorted(open, key=lambda other: other.connected_at)[: len(open) - self._max_per_user + 1]:
            assert oldest.connection is not None
            self._audit.record("replaced", user=user, session=oldest.id, address=oldest.remote_address)
            oldest.connection.close(CloseCode.REPLACED, "replaced by a newer connection", EndReason.REPLACED)
        return True

    def end(self, session: Session, reason: EndReason) -> None:
        """The connection is gone. Called once for each session."""
        session.connection = None
        # A client that is cut since it reads too slowly is news to whoever runs the gateway; the others come and go.
        tell = log.warning if reason is EndReason.SLOW_CONSUMER else log.debug
        tell("session_ended", session=session.id, user=_user(session), reason=str(reason))
        if session not in self._registry:
            return  # it was never opened
        rooms = {
            service: list(self._rooms.names(session, service.namespace))
            for service in self._services
            if session in service.attachments
        }
        self._rooms.leave_all(session)
        self._registry.remove(session)

        def of(service: Service) -> list[str]:
            return rooms.get(service, [])

        self._services.detach(session, reason, of)


def _user(session: Session) -> str | None:
    return None if session.identity is None else session.identity.user
