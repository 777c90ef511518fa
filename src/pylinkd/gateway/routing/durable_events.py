"""Durable events of services: the emitter is told which services have stored one, and sends it again to the others.

Nothing is kept here: the emitter keeps the event until every service that takes such events has it.
"""

from __future__ import annotations

from ...protocol.errors import LinkdError
from ...protocol.link_pb2 import Event, Frame
from .instance import Instance
from .link import ServiceLink
from .services import Services


class DurableEvents:
    """Carries durable events between services.

    Args:
        services: The services.
    """

    def __init__(self, services: Services) -> None:
        self._services = services

    def emit(self, instance: Instance, frame: Frame) -> None:
        """Hand an event to one instance of each service that takes it durably and does not have it; the answer comes
        when each has stored it or failed to.
        """
        event = frame.event
        event.source = instance.service.name
        taken_by = set(event.taken_by)
        gathering = _Gathering(instance.link, frame.request_id, self._subscribers())
        for service in self._services:
            if service.name in taken_by or not any(offer.stores(event.type) for offer in service.offers):
                continue
            taker = service.idlest(lambda instance: instance.stores(event.type))
            if taker is not None and not taker.link.congested:
                gathering.ask(service.name, taker.link, event)
        gathering.began()

    def subscribers(self, instance: Instance, frame: Frame) -> None:
        """Tell which services take durable events."""
        _Gathering(instance.link, frame.request_id, self._subscribers()).began()

    def _subscribers(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for service in self._services:
            patterns = {text for instance in service.offers for text in instance.registration.durable_events}
            if patterns or service.instances:  # one that is here and takes none is waited for no longer
                found[service.name] = sorted(patterns)
        return found


class _Gathering:
    """The answers of the services that were handed an event."""

    __slots__ = ("_link", "_request_id", "_subscribers", "_taken_by", "_waiting")

    def __init__(self, link: ServiceLink, request_id: int, subscribers: dict[str, list[str]]) -> None:
        self._link = link
        self._request_id = request_id
        self._subscribers = subscribers
        self._taken_by: list[str] = []
        self._waiting = 1  # the asking itself

    def ask(self, service: str, link: ServiceLink, event: Event) -> None:
        self._waiting += 1
        link.ask(Frame(event=event), _Handover(self, service))

    def began(self) -> None:
        """Everyone was asked."""
        self.ended(None)

    def ended(self, service: str | None) -> None:
        """A service has the event, or one did not take it (``None``)."""
        if service is not None:
            self._taken_by.append(service)
        self._waiting -= 1
        if self._waiting:
            return
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

    __slots__ = ("_gathering", "_service")

    def __init__(self, gathering: _Gathering, service: str) -> None:
        self._gathering = gathering
        self._service = service

    def answered(self, frame: Frame) -> None:
        self._gathering.ended(self._service)

    def failed(self, error: LinkdError) -> None:
        self._gathering.ended(None)
