"""The head of a request, before anything else is known of it: how large it may be and how long it may take.

uvicorn parses it and has neither limit. The limits hold for every request on a connection, the first included that
never comes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

import structlog
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from ...protocol.errors import BadRequestError, LinkdError
from ..core.traffic import Traffic
from ..guard.doorstep import Doorstep
from ..guard.proxy_protocol import read_preface
from .handshake import Head, refusal

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
        doorstep: Counts connections whose first head has not come, and says which are not worth one.
        upgrade: Answers a head that asks for WebSocket.
    """

    def __init__(
        self,
        *args: Any,
        max_size: int,
        timeout: float,
        traffic: Traffic,
        doorstep: Doorstep,
        upgrade: Callable[[asyncio.Transport, Head], None],
        **options: Any,
    ) -> None:
        super().__init__(*args, **options)
        self._upgrade = upgrade
        self._doorstep = doorstep
        self._preface: bytes | None = None
        self._max_size = max_size
        self._head_timeout = timeout
        self._traffic = traffic
        self._head_size = 0
        self._piece = 0
        self._upgrades: bool | None = None
        self._in_head = True
        self._refused = False
        self._counted: str | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._stalled: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """See asyncio.Protocol."""
        # Not uvicorn's, which makes two sockets to ask for the addresses: a twentieth of a handshake. Where it listens
        # nobody asks: requests have a Host header.
        self.transport = transport
        self.connections.add(self)
        self.flow = FlowControl(transport)
        peer = transport.get_extra_info("peername")
        self.client = (peer[0], peer[1]) if isinstance(peer, tuple) else None
        self.scheme = "http" if transport.get_extra_info("sslcontext") is None else "https"
        address = self.client[0] if self.client else ""
        if self._doorstep.bars(address):
            self._cut("barred")
        elif not self._doorstep.enter(address):
            self._cut("unfinished")
        else:
            self._counted = address
            if self._doorstep.hears_preface(address):
                self._preface = b""
            self._await_head()

    def _cut(self, outcome: str) -> None:
        # An answer would cost more than it is worth.
        self._traffic.handshakes[outcome] += 1
        self._refused = True
        self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        self._head_ended()
        self._unstall()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        if self._refused:
            return
        if self._preface is not None:
            data = self._after_preface(self._preface + data)
            if not data:
                return
        began_before = self._in_head
        self._piece = len(data)
        super().data_received(data)
        if self._in_head and began_before and not self._refused:
            # What of a head has come so far is kept by the parser: it may not grow for ever. The piece in which a
            # head begins is not counted, since it may be mostly the body of the request before.
            self._head_size += len(data)
            if self._head_size > self._max_size:
                self._refuse(HeadTooLargeError())

    def _after_preface(self, data: bytes) -> bytes:
        """What of the first bytes is the client's; nothing, if the proxy has not said all."""
        try:
            preface = read_preface(data)
        except ValueError:
            self._cut("preface")
            return b""
        if preface is None:
            self._preface = data
            return b""
        self._preface = None
        if preface.client is not None:
            self.client = preface.client
            if self._doorstep.bars(preface.client[0]):
                self._cut("barred")
                return b""
        return data[preface.size :]

    def on_message_begin(self) -> None:
        """See httptools."""
        super().on_message_begin()
        self._upgrades = None
        if not self._in_head:
            self._await_head()

    def on_headers_complete(self) -> None:
        """See httptools."""
        self._head_ended()
        # A head that came with few bytes in all need not be added up.
        if self._head_size + self._piece > self._max_size and self._length() > self._max_size:
            self._refuse(HeadTooLargeError())
        else:
            super().on_headers_complete()

    def _length(self) -> int:
        return len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)

    def _should_upgrade(self) -> bool:
        # uvicorn asks three times, and looks through the headers each time.
        if self._upgrades is None:
            self._upgrades = super()._should_upgrade()
        return self._upgrades

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
        if self._counted is not None:
            self._doorstep.leave(self._counted)
            self._counted = None
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _expired(self) -> None:
        if not self.transport.is_closing():
            self._refuse(HeadTimeoutError())

    def _refuse(self, error: LinkdError) -> None:
        self._refused = True
        self._head_ended()
        self._traffic.handshakes[str(error.code)] += 1
        log.info("head_refused", code=error.code, remote_address=self.client[0] if self.client else "")
        self.transport.write(refusal(error))
        self.transport.close()
        # A peer that does not read would keep the transport open until its buffer drains, which is never.
        self.loop.call_later(self._head_timeout, self.transport.abort)


def bounded_head(**limits: Any) -> Callable[..., BoundedHead]:
    """What uvicorn calls to make the protocol of a new connection; takes what BoundedHead is told by name."""

    def make(*args: Any, **options: Any) -> BoundedHead:
        return BoundedHead(*args, **limits, **options)

    return make
