"""HTTP bodies that pass through the gateway piece by piece: of requests to a service, and of its answers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol

import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ...protocol.errors import LinkdError, PayloadTooLargeError, ServiceUnavailableError
from ..guard.unfinished import Unfinished
from .exchange import STREAMED_REQUEST

log = structlog.get_logger("linkd.http")

_RETRY_AFTER = 5.0  # seconds after which there may be a place


class StreamedBody(Protocol):
    """The body of an answer (routing/streamed_bodies.py)."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        """The chunks; a LinkdError where the service breaks off."""

    def close(self) -> None:
        """Nobody wants more of it."""


class StreamPlace:
    """The place of a request whose body or answer is streamed: it may take long, so that there are not as many as of
    other requests.

    Args:
        places: How many there may be.
        address: Whose request it is.

    Raises:
        ServiceUnavailableError: If there are too many, of all or of this address.
    """

    def __init__(self, places: Unfinished, address: str) -> None:
        if not places.enter(address):
            raise ServiceUnavailableError("Too many requests are streamed at once.", retry_after=_RETRY_AFTER)
        self._places = places
        self._address: str | None = address

    def leave(self) -> None:
        """It is over. Later calls do nothing."""
        if self._address is not None:
            self._places.leave(self._address)
            self._address = None


class StreamedResponse(Response):
    """An answer whose body comes piece by piece, and is sent as fast as the client reads.

    Args:
        body: What is sent. It is closed in the end.
        status_code: Of the answer.
        place: Its place, which it leaves in the end.
    """

    def __init__(self, body: StreamedBody, status_code: int, place: StreamPlace) -> None:
        self._pieces = body
        self._place = place
        self.status_code = status_code
        self.background = None
        self.init_headers()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI. Where the service breaks off the answer stays incomplete, and so the connection is cut."""
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            # At once: whoever listens for events waits for the head to know that it is connected.
            await send({"type": "http.response.body", "body": b"", "more_body": True})
            async for piece in self._pieces:
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        except LinkdError as error:
            log.warning("answer_broken_off", code=error.code, error=error.type)
        finally:
            self._pieces.close()
            self._place.leave()


async def request_chunks(request: Request, limit: int, send: Send) -> AsyncIterator[bytes]:
    """The body of a request as it comes.

    Args:
        request: Of which nothing was read.
        limit: Most bytes altogether.
        send: ASGI's, of the request.

    Raises:
        PayloadTooLargeError: As soon as more bytes than the limit have come.
        ClientDisconnect: If the client is gone.
    """
    await send({"type": STREAMED_REQUEST})
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise too_large(limit)
        if chunk:
            yield chunk


def too_large(limit: int) -> PayloadTooLargeError:
    """The error of a request whose body has more than ``limit`` bytes."""
    return PayloadTooLargeError(f"A request's body has at most {limit} bytes.", details={"limit": limit})
