"""A program that only sends: it reaches the sessions of the services of its namespace."""

from __future__ import annotations

from collections.abc import Iterable

from ..core.session import Session
from .service import Service


class Publisher(Service):
    """Stands for one program that is no service. It is not among the services: nothing is routed to it.

    Args:
        name: Its name, which services see as the source of its events.
        namespace: Of the rooms it sends to.
        services: All services.
    """

    def __init__(self, name: str, namespace: str, services: Iterable[Service]) -> None:
        super().__init__(name)
        self.namespace = namespace
        self._all = services

    @property
    def _peers(self) -> Iterable[Service]:
        return (service for service in self._all if service.namespace == self.namespace)

    @property
    def admitted(self) -> tuple[Session, ...]:
        """The sessions that any of them has let in, each once.

        The same object as a service's while there is one service only, as delivery.py prefers it.
        """
        circles = [service.admitted for service in self._peers]
        return circles[0] if len(circles) == 1 else tuple(dict.fromkeys(one for circle in circles for one in circle))

    def admits(self, session: Session) -> bool:
        """Whether any of them has let the session in."""
        return any(service.admits(session) for service in self._peers)

    def knows(self, session: Session) -> bool:
        """As ``admits``: a session in its ``on_connect`` is its service's alone."""
        return self.admits(session)
