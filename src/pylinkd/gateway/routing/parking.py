"""Messages that wait for an instance of their service: while one is replaced by the next, no client notices.

Bounded in time, in number and in bytes. What it does not take, or has to give up, is answered with 503.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

import msgspec

from ...protocol.envelope import Message
from ..core.session import Session
from .service import Service


class ParkingSettings(msgspec.Struct, frozen=True):
    """How much waits, and for how long.

    Attributes:
        timeout: Seconds that a message may wait, and for which messages are taken for a service that is gone; 0: none
            are taken.
        max_messages: Most of them, all services together.
        max_bytes: Most bytes of them, all services together.
    """

    timeout: float = 10.0
    max_messages: int = 10_000
    max_bytes: int = 16 * 2**20


class Parked:
    """One message that waits.

    Attributes:
        until: When it is given up.
    """

    __slots__ = ("message", "until")

    def __init__(self, message: Message, until: float) -> None:
        self.message = message
        self.until = until

    @property
    def size(self) -> int:
        """Bytes that it holds, the envelope estimated."""
        return len(bytes(self.message.data)) + len(self.message.type)


class Parking:
    """Where messages wait, in the order they came, for each session and service.

    Args:
        now: The clock, in seconds.
        schedule: Runs a function after so many seconds; ``loop.call_later`` in the real gateway.
        give_up: Called with each message whose time is up.
        settings: How much waits, and for how long.
    """

    def __init__(
        self,
        now: Callable[[], float],
        schedule: Callable[[float, Callable[[], None]], object],
        give_up: Callable[[Session, Message], None],
        settings: ParkingSettings,
    ) -> None:
        self._now = now
        self._schedule = schedule
        self._give_up = give_up
        self._timeout = settings.timeout
        self._max_messages = settings.max_messages
        self._max_bytes = settings.max_bytes
        self._waiting: dict[Session, dict[Service, deque[Parked]]] = {}
        self._sweeping = False
        self.messages = 0
        self.bytes = 0

    @property
    def enabled(self) -> bool:
        """Whether anything is ever kept."""
        return self._timeout > 0

    def park(self, session: Session, service: Service, message: Message) -> bool:
        """Keep the message until its service has an instance; ``False``: it is not taken."""
        now = self._now()
        gone = service.left_at is not None and now - service.left_at >= self._timeout
        parked = Parked(message, now + self._timeout)
        full = self.messages >= self._max_messages or self.bytes + parked.size > self._max_bytes
        if gone or full or not self.enabled:
            return False
        self._waiting.setdefault(session, {}).setdefault(service, deque()).append(parked)
        self._count(1, parked)
        if not self._sweeping:
            self._sweeping = True
            self._schedule(self._timeout, self._sweep)
        return True

    def take(self, session: Session, service: Service) -> list[Message]:
        """Hand out the session's messages for this service, oldest first."""
        services = self._waiting.get(session, {})
        queue = services.pop(service, ())
        if session in self._waiting and not services:
            del self._waiting[session]
        for parked in queue:
            self._count(-1, parked)
        return [parked.message for parked in queue]

    def forget(self, session: Session) -> None:
        """The session ended: nobody waits for its answers."""
        for service in list(self._waiting.get(session, ())):
            self.take(session, service)

    def count(self, session: Session) -> int:
        """How many of the session's messages wait."""
        return sum(map(len, self._waiting.get(session, {}).values()))

    def services(self, session: Session) -> list[Service]:
        """Those that the session's messages wait for."""
        return list(self._waiting.get(session, ()))

    def sessions(self, service: Service) -> Iterable[Session]:
        """Those that have messages waiting for this service; a copy."""
        return [session for session, services in self._waiting.items() if service in services]

    def abandon(self) -> None:
        """Give up everything that waits."""
        for session in list(self._waiting):
            for service in self.services(session):
                for message in self.take(session, service):
                    self._give_up(session, message)

    def _count(self, messages: int, parked: Parked) -> None:
        self.messages += messages
        self.bytes += messages * parked.size

    def _sweep(self) -> None:
        now = self._now()
        self._sweeping = False
        late: list[tuple[Session, Message]] = []
        for session, services in list(self._waiting.items()):
            for service, queue in list(services.items()):
                while queue and queue[0].until <= now:
                    parked = queue.popleft()
                    self._count(-1, parked)
                    late.append((session, parked.message))
                if not queue:
                    self.take(session, service)
        if self._waiting:
            oldest = min(queue[0].until for services in self._waiting.values() for queue in services.values())
            self._sweeping = True
            self._schedule(max(0.01, oldest - now), self._sweep)
        for session, message in late:
            self._give_up(session, message)
