"""The life of a session: where it opens, where its connection is taken from it, and where it ends. One place.

Losing the connection is not the end of a session as such; today the end follows at once.
"""

from __future__ import annotations

import structlog

from ...protocol.end import EndReason
from ..core.connection import Connection
from ..core.registry import Registry
from ..core.rooms import Rooms
from ..core.session import Session
from ..core.traffic import Traffic
from .attachments import Attachments
from .inbound import Inbound
from .services import Services

log = structlog.get_logger("linkd.sessions")


class Lifecycle:
    """Opens and ends sessions.

    Args:
        registry: The sessions.
        rooms: Their rooms.
        services: The services.
        attachments: Announces beginning and end to them.
        inbound: Has messages of theirs that wait.
        traffic: Counts the ends.
    """

    def __init__(
        self,
        *,
        registry: Registry,
        rooms: Rooms,
        services: Services,
        attachments: Attachments,
        inbound: Inbound,
        traffic: Traffic,
    ) -> None:
        self._registry = registry
        self._rooms = rooms
        self._services = services
        self._attachments = attachments
        self._inbound = inbound
        self._traffic = traffic

    def attach(self, session: Session, connection: Connection) -> None:
        """The opening handshake is done: from now on this is the session's connection."""
        session.connection = connection

    def open(self, session: Session) -> None:
        """Its client is let in: services may now speak to the session."""
        self._registry.add(session)
        self._attachments.begin(session)
        log.debug("session_opened", session=session.id, user=_user(session), path=session.path)

    def detach(self, session: Session, reason: EndReason) -> None:
        """The connection is gone. Called once for each connection."""
        session.connection = None
        self._traffic.ends[reason] += 1
        self._inbound.forget(session)
        # A client that is cut since it reads too slowly is news to whoever runs the gateway; the others come and go.
        write = log.warning if reason is EndReason.SLOW_CONSUMER else log.debug
        write("session_ended", session=session.id, user=_user(session), reason=str(reason))
        if session in self._registry:  # else it was never opened
            self._end(session, reason)

    def _end(self, session: Session, reason: EndReason) -> None:
        rooms = {
            service: list(self._rooms.names(session, service.namespace))
            for service in self._services
            if session in service.attachments
        }
        self._rooms.leave_all(session)
        self._registry.remove(session)
        self._attachments.end(session, reason, rooms)


def _user(session: Session) -> str | None:
    return None if session.identity is None else session.identity.user
