"""What all services offer, as documents: each service is asked when somebody wants them, and when that changed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import structlog

from ...protocol.errors import LinkdError, ServiceUnavailableError
from ...protocol.link import MAX_DESCRIPTION_SIZE
from ...protocol.link_pb2 import Description, Frame
from .documents import Document, merge_asyncapi, merge_openapi
from .instance import Instance
from .pending import ask
from .services import Services

log = structlog.get_logger("linkd.services")

_TIMEOUT = 5.0  # seconds that a service may take to describe itself

_Merge = Callable[[Mapping[str, Document], Sequence[str]], Document]
_Pair = tuple[Document, Document]


class Documents(NamedTuple):
    """What all services offer, as JSON.

    Attributes:
        openapi: OpenAPI 3.1 of their actions.
        asyncapi: AsyncAPI 3.0 of their messages and events.
        complete: Whether every service that is there has answered.
    """

    openapi: bytes
    asyncapi: bytes
    complete: bool


class Descriptions:
    """The documents, kept until a process registers or leaves.

    Those that lack the answer of a service are not kept: the next request asks again.

    Args:
        services: The services.
        timeout: Seconds that a service may take.
    """

    def __init__(self, services: Services, timeout: float = _TIMEOUT) -> None:
        self._services = services
        self._timeout = timeout
        self._kept: Documents | None = None
        self._of = -1  # the registrations that the kept ones hold for
        self._asking = asyncio.Lock()  # requests that come meanwhile share one answer

    async def documents(self) -> Documents:
        """The documents about the services that are there now. Safe to cancel."""
        async with self._asking:
            registrations = self._services.registrations
            if self._kept is not None and self._of == registrations:
                return self._kept
            documents = await self._ask_all()
            self._kept, self._of = (documents, registrations) if documents.complete else (None, -1)
            return documents

    async def _ask_all(self) -> Documents:
        present = [(service.name, instance) for service in self._services if (instance := service.available())]
        answers = await asyncio.gather(*(self._describe(instance) for _, instance in present))
        asked = {name: pair for (name, _), pair in zip(present, answers, strict=True)}
        found = {name: pair for name, pair in sorted(asked.items()) if pair is not None}
        missing = [service.name for service in self._services if service.name not in found]
        return Documents(
            _merged(merge_openapi, {name: pair[0] for name, pair in found.items()}, missing),
            _merged(merge_asyncapi, {name: pair[1] for name, pair in found.items()}, missing),
            len(found) == len(asked),
        )

    async def _describe(self, instance: Instance) -> _Pair | None:
        """Its documents; ``None``: it gave none, which the log says."""
        try:
            if instance.link.congested:
                raise ServiceUnavailableError(retry_after=1.0)
            frame = Frame()
            frame.describe_query.SetInParent()
            async with asyncio.timeout(self._timeout):
                return _read((await ask(instance.link, frame)).description)
        except (LinkdError, TimeoutError, ValueError) as error:
            reason = str(error) or f"no answer within {self._timeout:g} seconds"
            log.warning("service_not_described", service=instance.service.name, reason=reason)
            return None


def _read(description: Description) -> _Pair:
    """The two documents.

    Raises:
        ValueError: If they are too large, or no documents.
    """
    if len(description.openapi) + len(description.asyncapi) > MAX_DESCRIPTION_SIZE:
        raise ValueError(f"its documents have more than {MAX_DESCRIPTION_SIZE} bytes")
    try:
        pair = _document(description.openapi), _document(description.asyncapi)
        # Whether they can be merged shows here, where it costs this service alone its place.
        merge_openapi({"service": pair[0]}, [])
        merge_asyncapi({"service": pair[1]}, [])
    except (AttributeError, KeyError, TypeError, RecursionError) as cause:
        raise ValueError("its documents are not of the form that the gateway merges") from cause
    return pair


def _document(data: bytes) -> Document:
    document: dict[str, Any] = msgspec.json.decode(data, type=dict[str, Any])  # its errors are ValueErrors
    return document


def _merged(merge: _Merge, documents: Mapping[str, Document], missing: Sequence[str]) -> bytes:
    return msgspec.json.encode(merge(documents, missing))
