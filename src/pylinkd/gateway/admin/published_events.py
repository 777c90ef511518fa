"""Events as programs post them over HTTP: read from JSON, and handed to routing as a service's are."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

import msgspec

from ...protocol.envelope import error_body
from ...protocol.errors import BadRequestError, ForbiddenError, LinkdError, NotFoundError, PayloadTooLargeError
from ...protocol.link_pb2 import Publish
from ...protocol.patterns import check_name
from ...protocol.rooms import check_room
from ..core.audience import Audience
from ..guard.api_keys import ApiKey
from ..guard.audit import Audit
from ..routing.publisher import Publisher
from ..routing.publishing import Publishing
from ..routing.service import Service

MOST_EVENTS = 100  # of a batch

_Names = Annotated[list[Annotated[str, msgspec.Meta(min_length=1)]], msgspec.Meta(max_length=1000)]


class ExceptFor(msgspec.Struct, forbid_unknown_fields=True):
    """Who is left out of an event's audience."""

    sessions: _Names = []
    users: _Names = []


class PostedEvent(msgspec.Struct, forbid_unknown_fields=True, rename={"left_out": "except"}):
    """An event for clients, as a program posts it."""

    namespace: str
    type: str
    data: msgspec.Raw = msgspec.Raw(b"null")
    rooms: _Names = []
    users: _Names = []
    sessions: _Names = []
    everyone: bool = False
    left_out: ExceptFor = msgspec.field(default_factory=ExceptFor)
    volatile: bool = False


class PostedEvents(msgspec.Struct, frozen=True):
    """The events of one request, not yet read one by one: a bad one fails alone.

    Attributes:
        batch: Whether they came as a batch, and are answered as one.
    """

    events: list[msgspec.Raw]
    batch: bool


def read_events(body: bytes) -> PostedEvents:
    """The events of a body: one, or ``{"events": [...]}``.

    Raises:
        BadRequestError: If it is neither.
        PayloadTooLargeError: If there are too many events.
    """
    try:
        body.decode()  # what is skipped unread below would pass on in whatever encoding it came
        fields = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
        if "events" not in fields:
            return PostedEvents([msgspec.Raw(body)], batch=False)
        events = msgspec.json.decode(fields.pop("events"), type=list[msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as cause:
        raise BadRequestError('The body is one event, or {"events": [...]}, in JSON.') from cause
    if fields or not events:
        raise BadRequestError('A batch is {"events": [...]} with one event or more, and nothing beside it.')
    if len(events) > MOST_EVENTS:
        raise PayloadTooLargeError(f"A batch has at most {MOST_EVENTS} events.")
    return PostedEvents(events, batch=True)


class PublishedEvents:
    """Publishes the events of programs that send over HTTP.

    Args:
        publishing: Carries events to clients.
        services: All services; their namespaces are the ones that can be sent to.
        audit: Records namespaces that a key may not send to.
    """

    def __init__(self, publishing: Publishing, services: Iterable[Service], audit: Audit) -> None:
        self._publishing = publishing
        self._services = services
        self._audit = audit

    def publish(self, key: ApiKey, raw: bytes) -> dict[str, int]:
        """Publish one event; how many sessions it reached, for how many it waits, and how many do not get it.

        Raises:
            BadRequestError: If it is malformed, or for nobody.
            ForbiddenError: If the key may not send to its namespace.
            NotFoundError: If no service has its namespace; ``UNKNOWN_NAMESPACE``.
            ConflictError: If it is for more than one room with a history; ``ROOM_WITH_HISTORY``.
        """
        event = _read(raw)
        if not key.allows(event.namespace):
            self._audit.record("api_namespace_refused", key=key.name, namespace=event.namespace)
            raise ForbiddenError("The API key may not send to this namespace.")
        if all(service.namespace != event.namespace for service in self._services):
            raise NotFoundError("No service has this namespace.", type="UNKNOWN_NAMESPACE")
        audience = Audience(
            event.namespace,
            event.rooms,
            event.users,
            event.sessions,
            event.everyone,
            event.left_out.sessions,
            event.left_out.users,
        )
        # Histories read the rooms and the rest of the audience from the frame of a service's event.
        publish = Publish(
            type=event.type,
            data=bytes(event.data),
            rooms=event.rooms,
            users=event.users,
            sessions=event.sessions,
            everyone=event.everyone,
            volatile=event.volatile,
        )
        circle = Publisher(key.name, event.namespace, self._services)
        receipt = self._publishing.deliver(publish, audience, circle)
        return {"reached": receipt.reached, "queued": receipt.queued, "dropped": receipt.dropped}

    def answer(self, key: ApiKey, raw: bytes) -> dict[str, Any]:
        """What the event's place in the answer to a batch holds: as ``publish`` says, or ``error``."""
        try:
            return self.publish(key, raw)
        except LinkdError as error:
            return {"error": error_body(error)}


def _read(raw: bytes) -> PostedEvent:
    try:
        event = msgspec.json.decode(raw, type=PostedEvent)
        # Clients get the data as it was written, numbers of any size included; that it is JSON has to be sure.
        msgspec.json.decode(event.data)
        check_name(event.type)
    except (msgspec.DecodeError, RecursionError, ValueError) as cause:
        raise BadRequestError(f"The event does not fit: {cause}.") from cause
    for room in event.rooms:
        check_room(room)
    if not (event.rooms or event.users or event.sessions or event.everyone):
        raise BadRequestError("Say whom the event is for: rooms, users, sessions or everyone.")
    return event
