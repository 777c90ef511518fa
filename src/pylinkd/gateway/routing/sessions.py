"""The beginning and the end of a session: one place that tells registry, rooms and services."""

from __future__ import annotations

import structlog

from ..core.registry import Registry
from ..core.rooms import Rooms
from ..core.session import EndReason, Session
from .services import Service, Services

log = structlog.get_logger("linkd.sessions")


class Sessions:
    """Opens and ends sessions.

    Args:
        registry: The sessions.
        rooms: Their rooms.
        services: The services that are told.
    """

    def __init__(self, registry: Registry, rooms: Rooms, services: Services) -> None:
        self._registry = registry
        self._rooms = rooms
        self._services = services

    def open(self, session: Session) -> None:
        """Its client is let in: services may now speak to the session."""
        self._registry.add(session)
        self._services.attach(session)
        log.debug("session_opened", session=session.id, user=_user(session), path=session.path)

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
