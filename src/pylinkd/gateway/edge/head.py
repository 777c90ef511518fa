"""The head of a plain request: how large it may be and how long it may take. uvicorn parses it and has neither limit.

The first head of a connection is looked at before uvicorn is there (arrival.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, cast

import structlog
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from ...protocol.errors import BadRequestError, LinkdError
from ..core.traffic import Traffic
from .handshake import Head
from .refuse import refuse

_GOODBYE = 1.0  # seconds that a client may take to say goodbye over TLS when the gateway stops
_STALL_FACTOR = 6  # a client may take so many times the head's time limit to read a part of an answer

log = structlog.get_logger("linkd.edge")


class HeadTooLargeError(LinkdError):
    """The request's head exceeds the limit (RFC 6585 §5)."""

    default_code = 431
    default_type = "HEAD_TOO_LARGE"
    default_message = "The request's head is too large."


class HeadTimeoutError(LinkdError):
    """The request's head did not arrive in time."""

    default_code = 408
    default_type = "TIMEOUT"
    default_message = "The request's head took too long."


class BoundedHead(HttpToolsProtocol):
    """uvicorn's protocol with a limit on the bytes and the time of a head.

    Args:
        max_size: Bytes.
        timeout: Seconds.
        traffic: Counts the refusals.
        upgrade: Answers a head that asks for WebSocket.
    """

    def __init__(
        self,
        *args: Any,
        max_size: int,
        timeout: float,
        traffic: Traffic,
        upgrade: Callable[[asyncio.Transport, Head], None],
        **options: Any,
    ) -> None:
        super().__init__(*args, **options)
        self._upgrade = upgrade
        self._max_size = max_size
        self._head_timeout = timeout
        self._traffic = traffic
        self._head_size = 0
        self._in_head = False
        self._refused = False
        self._deadline: asyncio.TimerHandle | None = None
        self._stalled: asyncio.TimerHandle | None = None

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        self._head_ended()
        self._unstall()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        if self._refused:
            return
        began_before = self._in_head
        super().data_received(data)
        if self._in_head and began_before and not self._refused:
            # What of a head has come so far is kept by the parser: it may not grow for ever. The piece in which a
            # head begins is not counted, since it may be mostly the body of the request before.
            self._head_size += len(data)
            if self._head_size > self._max_size:
                self._refuse(HeadTooLargeError())

    def on_message_begin(self) -> None:
        """See httptools."""
        super().on_message_begin()
        if not self._in_head:
            self._await_head()

    def on_headers_complete(self) -> None:
        """See httptools."""
        self._head_ended()
        if head_size(self.url, self.headers) > self._max_size:
            self._refuse(HeadTooLargeError())
        else:
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """See httptools."""
        if not self._refused:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """See httptools."""
        if not self._refused:
            super().on_message_complete()

    def handle_websocket_upgrade(self) -> None:
        """See uvicorn: the head is complete and asks for an upgrade."""
        if self._refused:
            return
        cycle = cast(RequestResponseCycle | None, self.cycle)
        unanswered = cycle is not None and not cycle.response_complete
        if unanswered or self.flow.write_paused:
            # The answer would come in the midst of frames; and a transport that is paused when it changes hands
            # never says so to its new owner, whose outbox would then have no bound.
            self._refuse(BadRequestError("An opening handshake follows no request that is still being answered."))
        else:
            self.connections.discard(self)
            peer = self.client[0] if self.client else ""
            self._upgrade(self.transport, Head(self.parser.get_method(), self.url, self.headers, peer))
            # Parser and protocol hold each other: each accepted connection would leave both to the garbage collector,
            # which comes seldom here. Measured: 0.6 KiB a connection.
            self.parser = None  # type: ignore[assignment]

    def pause_writing(self) -> None:
        """See asyncio.Protocol: the client does not read. It has so long until its connection is cut."""
        super().pause_writing()
        self._stalled = self.loop.call_later(self._head_timeout * _STALL_FACTOR, self.transport.abort)

    def resume_writing(self) -> None:
        """See asyncio.Protocol."""
        super().resume_writing()
        self._unstall()

    def shutdown(self) -> None:
        """See uvicorn: over TLS, closing waits for a client that may not read."""
        super().shutdown()
        if self.transport.is_closing():
            self.loop.call_later(_GOODBYE, self.transport.abort)

    def timeout_keep_alive_handler(self) -> None:
        """See uvicorn: closing waits for a client that may not read."""
        super().timeout_keep_alive_handler()
        self.loop.call_later(self._head_timeout, self.transport.abort)

    def _unstall(self) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None

    def _await_head(self) -> None:
        self._in_head = True
        self._head_size = 0
        self._deadline = self.loop.call_later(self._head_timeout, self._expired)

    def _head_ended(self) -> None:
        self._in_head = False
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _expired(self) -> None:
        if not self.transport.is_closing():
            self._refuse(HeadTimeoutError())

    def _refuse(self, error: LinkdError) -> None:
        self._refused = True
        self._head_ended()
        peer = self.client[0] if self.client else ""
        refuse_head(self.transport, error, self._traffic, peer, self._head_timeout)


def head_size(target: bytes, fields: Iterable[tuple[bytes, bytes]]) -> int:
    """Bytes of a request's head, but for the method and the version."""
    return len(target) + sum(len(name) + len(value) + 4 for name, value in fields)


def refuse_head(transport: asyncio.Transport, error: LinkdError, traffic: Traffic, peer: str, timeout: float) -> None:
    """Answer a head that cannot be taken, and close; who does not read the answer is cut after ``timeout`` seconds."""
    log.info("head_refused", code=error.code, remote_address=peer)
    refuse(transport, error, traffic, timeout)
