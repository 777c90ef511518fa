"""Sessions whose instance is gone, given to another one, a few at a time.

Not only with their next message: a service that knows of a session runs its on_disconnect even if the gateway dies.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from ..core.session import Session

if TYPE_CHECKING:
    from .instance import Instance
    from .service import Service

_STEP = 256  # sessions at once, about 3 ms
_PAUSE = 0.005  # seconds between two steps
_MOST_UNANSWERED = 1024  # questions to the instance, from which on the next step waits: its clients come first


class Adoption:
    """Hands sessions over, service by service.

    Args:
        pin: Gives a session to an instance of a service; ``None``: there is none.
        schedule: Runs a function after so many seconds.
    """

    def __init__(
        self,
        pin: Callable[[Session, Service], Instance | None],
        schedule: Callable[[float, Callable[[], None]], object],
    ) -> None:
        self._pin = pin
        self._schedule = schedule
        self._waiting: dict[Service, deque[Session]] = {}

    def begin(self, service: Service) -> None:
        """Hand over every session of the service that has no instance."""
        running = service in self._waiting
        self._waiting[service] = deque(
            session for session, attachment in service.attachments.items() if attachment.instance is None
        )
        if not running:
            self._step(service)

    def _step(self, service: Service) -> None:
        waiting = self._waiting[service]
        instance = service.available()
        try:
            if instance is not None and instance.link.questions < _MOST_UNANSWERED:
                for _ in range(min(_STEP, len(waiting))):
                    self._adopt(waiting.popleft(), service)
        finally:
            if instance is None or not waiting:
                del self._waiting[service]
            else:
                self._schedule(_PAUSE, lambda: self._step(service))

    def _adopt(self, session: Session, service: Service) -> None:
        attachment = service.attachments.get(session)
        # It may have ended meanwhile, or have sent a message.
        if attachment is not None and attachment.instance is None:
            self._pin(session, service)
