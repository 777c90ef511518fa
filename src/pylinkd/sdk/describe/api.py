"""What clients call and hear of a service, as types: what the modules for both languages are made of."""

from __future__ import annotations

from typing import Any, NamedTuple

from ..runtime import Offer
from ..websocket import StreamHandler
from .schemas import Schemas, result_type


class Api(NamedTuple):
    """Types by name. Streams are no calls, and left out.

    Attributes:
        data: What messages carry; those without data are not in it.
        results: What messages are answered with.
        events: What events carry.
        schemas: Of all of them.
    """

    data: dict[str, Any]
    results: dict[str, Any]
    events: dict[str, Any]
    schemas: Schemas


def api_of(service: Offer) -> Api:
    """The types of a service."""
    handlers = [handler for handler in service.ws.handlers if not isinstance(handler, StreamHandler)]
    data = {handler.name: handler.schema.type for handler in handlers if handler.schema is not None}
    results = {handler.name: result_type(handler) for handler in handlers}
    events = {name: schema.type for name, schema in service.ws.events.items()}
    return Api(data, results, events, Schemas([*data.values(), *results.values(), *events.values()]))
