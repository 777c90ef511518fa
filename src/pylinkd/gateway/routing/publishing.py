"""Events: those that services send to clients, and those that they send to each other."""

from __future__ import annotations

import structlog

from ...protocol.errors import BadRequestError, LinkdError
from ...protocol.link_pb2 import Event, Frame, Publish
from ...protocol.patterns import check_name
from ..core.audience import Audience, Audiences, Circle
from ..core.broadcast import Broadcast
from ..core.delivery import Delivery, Receipt
from ..core.outbox import Kind
from ..core.registry import Registry
from ..guard.limits import Limits
from .client_answers import ClientAnswers
from .durable_events import DurableEvents
from .instance import Instance
from .room_histories import RoomHistories
from .services import Services

log = structlog.get_logger("linkd.services")


class Publishing:
    """Carries events from services to whom they are for.

    Args:
        registry: The sessions.
        audiences: Finds those that an event is for.
        services: The services.
        limits: How many events a client may set off.
        delivery: The door to clients.
        client_answers: Gathers the answers of clients.
        histories: Keep what is said in rooms that have one.
        durable_events: Carries those for services that are stored.
    """

    def __init__(
        self,
        *,
        registry: Registry,
        audiences: Audiences,
        services: Services,
        limits: Limits,
        delivery: Delivery,
        client_answers: ClientAnswers,
        histories: RoomHistories,
        durable_events: DurableEvents,
    ) -> None:
        self._registry = registry
        self._audiences = audiences
        self._services = services
        self._limits = limits
        self._delivery = delivery
        self._client_answers = client_answers
        self._histories = histories
        self._durable_events = durable_events

    def publish(self, instance: Instance, frame: Frame) -> None:
        """An event for clients."""
        publish, service = frame.publish, instance.service
        _check_event(publish.type)
        origin = self._registry.get(publish.origin) if publish.origin else None
        if origin is not None:
            self._limits.broadcast(origin, service.namespace, publish.rooms)
        audience = Audience(
            service.namespace,
            publish.rooms,
            publish.users,
            publish.sessions,
            publish.everyone,
            publish.except_sessions,
            publish.except_users,
        )
        if publish.answer_within_ms:
            self._request(instance, frame, audience)
            return
        receipt = self.deliver(publish, audience, service)
        answer = Frame()
        published = answer.published
        published.reached = receipt.reached
        if receipt.queued or receipt.dropped:
            published.queued, published.dropped = receipt.queued, receipt.dropped
        published.SetInParent()
        instance.link.answer(frame.request_id, answer)

    def _request(self, instance: Instance, frame: Frame, audience: Audience) -> None:
        """An event that each recipient's client is to answer."""
        publish = frame.publish
        left_out = self._audiences.left_out(audience)
        recipients = self._audiences.recipients(audience, instance.service)
        meant = tuple(session for session in recipients if session not in left_out)
        within = publish.answer_within_ms / 1000
        gathering = self._client_answers.begin(instance.link, frame.request_id, meant, within)
        try:
            event = Broadcast(publish.type, publish.data, self._registry.formats, id=gathering.id)
        except LinkdError as error:
            self._client_answers.abandon(gathering, error)
            return
        self._delivery.publish(event, meant)
        self._client_answers.sent(gathering)

    def deliver(self, publish: Publish, audience: Audience, circle: Circle) -> Receipt:
        """Record an event where its room has a history, and deliver it.

        Args:
            publish: The event; its type has been checked.
            audience: Whom it is for.
            circle: The sessions that its sender may reach.

        Raises:
            ConflictError: If it is for more than one room with a history.
            BadRequestError: If its data cannot be written.
        """
        kind = Kind.VOLATILE if publish.volatile else Kind.EVENT
        broadcast = self._histories.record(audience.namespace, publish) if publish.rooms else None
        if broadcast is None:
            broadcast = Broadcast(publish.type, publish.data, self._registry.formats, kind)
        recipients, left_out = self._audiences.recipients(audience, circle), self._audiences.left_out(audience)
        return self._delivery.publish(broadcast, recipients, left_out)

    def emit(self, instance: Instance, frame: Frame) -> None:
        """An event for services: one instance of each that handles it gets it."""
        event = frame.event
        _check_event(event.type)
        if event.id:
            self._durable_events.emit(instance, frame)
            return
        event.source = instance.service.name
        answer = Frame()
        answer.event_done.SetInParent()
        for service in self._services:
            taker = service.idlest(lambda instance: instance.wants(event.type))
            if taker is not None:
                taker.link.ask(Frame(event=event), _Handover(service.name, event))
                answer.event_done.reached += 1
        instance.link.answer(frame.request_id, answer)


class _Handover:
    """Notices when a service did not handle an event."""

    __slots__ = ("_service", "_type")

    def __init__(self, service: str, event: Event) -> None:
        self._service = service
        self._type = event.type

    def answered(self, frame: Frame) -> None:
        pass

    def failed(self, error: LinkdError) -> None:
        log.error("event_failed", service=self._service, type=self._type, error=error.type)


def _check_event(type: str) -> None:
    """Check an event's type.

    Raises:
        BadRequestError: If it is no name.
    """
    try:
        check_name(type)
    except ValueError as cause:
        raise BadRequestError(str(cause)) from cause
