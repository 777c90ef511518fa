"""Durable events of services: the emitter is told which services have stored one, and sends it again to the others.

Nothing is kept here: the emitter keeps the event until every service that takes such events has it.
"""

from __future__ import annotations

from collections.abc import Callable

from ...protocol.errors import LinkdError
from ...protocol.link_pb2 import Event, Frame
from .instance import Instance
from .link import UNAWAITED, ServiceLink
from .services import Services

_PATIENCE = 5.0  # seconds for all services to store an event; who takes longer is asked again later
_STALLED = 2.0  # seconds without an answer, after which a process is asked for nothing more until it answers


class DurableEvents:
    """Carries durable events between services.

    Args:
        services: The services.
        schedule: Runs a function after so many seconds.
        clock: Seconds, monotonic.
    """

    def __init__(
        self,
        services: Services,
        schedule: Callable[[float, Callable[[], None]], object],
        clock: Callable[[], float],
    ) -> None:
        self._services = services
        self._schedule = schedule
        self._clock = clock
        self._asked: dict[ServiceLink, _Asked] = {}  # processes that have not answered

    def patterns(self, service: str) -> set[str]:
        """The patterns by which a service takes durable events, as its processes that are here say."""
        known = self._services.get(service)
        if known is None:
            return set()
        return {text for instance in known.offers for text in instance.registration.durable_events}

    def announce(self, patterns: set[str]) -> None:
        """A service takes durable events by these patterns, which it did not before: tell those that may emit some."""
        if not patterns:
            return
        for service in self._services:
            for instance in service.instances:
                frame = Frame()
                frame.subscribers_changed.SetInParent()
                instance.link.ask(frame, UNAWAITED)

    def emit(self, instance: Instance, frame: Frame) -> None:
        """Hand an event to one instance of each service that takes it durably and does not have it; the answer comes
        when each has stored it or failed to.
        """
        event = frame.event
        event.source = instance.service.name
        taken_by = set(event.taken_by)
        gathering = _Gathering(instance.link, frame.request_id, self._subscribers())
        now = self._clock()
        for service in self._services:
            if service.name in taken_by or not any(offer.stores(event.type) for offer in service.offers):
                continue
            taker = service.idlest(lambda instance: instance.stores(event.type))
            if taker is None or taker.link.congested:
                continue
            asked = self._asked.get(taker.link)
            if asked is None:
                asked = self._asked[taker.link] = _Asked(now)
            if now - asked.since < _STALLED:  # else it would only hold the others' answers up
                self._ask(gathering, service.name, taker.link, asked, event)
        gathering.began()
        if not gathering.over:
            self._schedule(_PATIENCE, gathering.give_up)

    def _ask(self, gathering: _Gathering, service: str, link: ServiceLink, asked: _Asked, event: Event) -> None:
        asked.count += 1

        def answered() -> None:
            asked.count -= 1
            asked.since = self._clock()
            if not asked.count and self._asked.get(link) is asked:
                del self._asked[link]

        gathering.ask(service, link, event, answered)

    def subscribers(self, instance: Instance, frame: Frame) -> None:
        """Tell which services take durable events."""
        _Gathering(instance.link, frame.request_id, self._subscribers()).began()

    def _subscribers(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for service in self._services:
            patterns = self.patterns(service.name)
            if patterns or service.instances:  # one that is here and takes none is waited for no longer
                found[service.name] = sorted(patterns)
        return found


class _Gathering:
    """The answers of the services that were handed an event."""

    __slots__ = ("_link", "_request_id", "_subscribers", "_taken_by", "_waiting", "over")

    def __init__(self, link: ServiceLink, request_id: int, subscribers: dict[str, list[str]]) -> None:
        self._link = link
        self._request_id = request_id
        self._subscribers = subscribers
        self._taken_by: list[str] = []
        self._waiting = 1  # the asking itself
        self.over = False

    def ask(self, service: str, link: ServiceLink, event: Event, answered: Callable[[], None]) -> None:
        self._waiting += 1
        link.ask(Frame(event=event), _Handover(self, service, answered))

    def began(self) -> None:
        """Everyone was asked."""
        self.ended(None)

    def ended(self, service: str | None) -> None:
        """A service has the event, or one did not take it (``None``)."""
        if service is not None:
            self._taken_by.append(service)
        self._waiting -= 1
        if not self._waiting:
            self.give_up()

    def give_up(self) -> None:
        """Answer with those that have it by now, if that was not done."""
        if self.over:
            return
        self.over = True
        answer = Frame()
        done = answer.event_done
        done.reached = len(self._taken_by)
        done.taken_by.extend(self._taken_by)
        for name, patterns in self._subscribers.items():
            done.subscribers.add(service=name, patterns=patterns)
        done.SetInParent()
        self._link.answer(self._request_id, answer)


class _Handover:
    """One service and its answer."""

    __slots__ = ("_answered", "_gathering", "_service")

    def __init__(self, gathering: _Gathering, service: str, answered: Callable[[], None]) -> None:
        self._gathering = gathering
        self._service = service
        self._answered = answered

    def answered(self, frame: Frame) -> None:
        self._answered()
        self._gathering.ended(self._service)

    def failed(self, error: LinkdError) -> None:
        self._answered()
        self._gathering.ended(None)


class _Asked:
    """A process that was handed events and has not answered all.

    Attributes:
        count: How many.
        since: When it last answered, or was first asked.
    """

    __slots__ = ("count", "since")

    def __init__(self, since: float) -> None:
        self.count = 0
        self.since = since
