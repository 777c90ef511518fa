"""Whether what a service emits is what it has declared. For tests and development: production sends without looking."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import structlog

from ..protocol.errors import InternalError, LinkdError
from ..protocol.link_pb2 import Frame
from .link import Asker
from .validation import Schema

log = structlog.get_logger("linkd.service")


class EventDeclarationError(InternalError):
    """An event is not what ``service.ws.event`` declares; the text says how."""


def check_event(declared: Mapping[str, Schema], type: str, data: bytes) -> None:
    """Compare an event with the declarations. A service that declares none may emit anything.

    Args:
        declared: The schemas of the declared events, by type.
        type: Of the event.
        data: Of the event, as JSON; empty stands for null.

    Raises:
        EventDeclarationError: If it is not declared, or its data does not fit.
    """
    if not declared:
        return
    schema = declared.get(type)
    if schema is None:
        raise EventDeclarationError(f"emit({type!r}): it is not declared; add service.ws.event({type!r}, …)")
    try:
        schema.read(data)
    except LinkdError as cause:
        raise EventDeclarationError(
            f"emit({type!r}): its data does not fit what service.ws.event({type!r}, …) declares: {cause.message}"
        ) from cause


class CheckedLink:
    """A link over which no other events go than those that are declared. An Asker (link.py).

    Args:
        link: Where everything goes.
        declared: The schemas of the declared events, by type; it may change.
    """

    def __init__(self, link: Asker, declared: Mapping[str, Schema]) -> None:
        self._link = link
        self._declared = declared

    def ask(self, frame: Frame) -> asyncio.Future[Frame]:
        """See Asker.

        Raises:
            EventDeclarationError: If it is an event that is not as it is declared.
        """
        if frame.HasField("publish"):
            try:
                check_event(self._declared, frame.publish.type, frame.publish.data)
            except EventDeclarationError as error:
                log.error("event_not_as_declared", error=error.message)
                raise
        return self._link.ask(frame)
