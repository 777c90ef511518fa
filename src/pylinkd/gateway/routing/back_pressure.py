"""Clients that are not read from while the link of their service has too much to do."""

from __future__ import annotations

from ..core.connection import Hold
from ..core.session import Session
from .attachments import Attachments
from .link import ServiceLink


class BackPressure:
    """Holds clients back for links.

    Args:
        attachments: Which instance looks after which session.
    """

    def __init__(self, attachments: Attachments) -> None:
        self._attachments = attachments
        self._held: dict[ServiceLink, set[Session]] = {}

    def receiving(self, session: Session) -> None:
        """A large message begins to arrive: while its link is congested it had better wait with its client."""
        for instance in self._attachments.looking_after(session):
            if instance.link.congested:
                self.hold(session, instance.link)

    def hold(self, session: Session, link: ServiceLink) -> None:
        """Read nothing from the client until the link takes more."""
        if session.connection is not None:
            self._held.setdefault(link, set()).add(session)
            session.connection.hold(Hold.LINK)

    def ready(self, link: ServiceLink) -> None:
        """The link takes messages again: go on reading from the clients that were held back for it."""
        for session in self._held.pop(link, ()):
            # On /ws another service's link may hold the session back still.
            if session.connection is not None and not any(session in held for held in self._held.values()):
                session.connection.release(Hold.LINK)

    def forget(self, session: Session) -> None:
        """The session has no connection any more."""
        for held in self._held.values():
            held.discard(session)
