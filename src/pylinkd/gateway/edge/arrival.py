"""A connection before it is known what it wants: its first head, and how large and how slow that may be.

Nearly all want a WebSocket, and are handed to the upgrade. Of the others uvicorn takes over, as if it had been there
from the beginning: its protocol, made for each connection, would be a tenth of a handshake.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

import httptools

from ...protocol.errors import LinkdError
from ..core.traffic import Traffic
from ..guard.doorstep import Doorstep
from ..guard.proxy_protocol import read_preface
from .handshake import Head
from .head import BoundedHead, HeadTimeoutError, HeadTooLargeError, head_size, refuse_head

Upgrade = Callable[[asyncio.Transport, Head], None]


class Arrival(asyncio.Protocol):
    """The first head of one connection.

    Args:
        doorstep: Says whose connection is worth a head, and counts those that have sent none.
        upgrade: Answers a head that asks for WebSocket.
        make_http: Makes uvicorn's protocol, for every other head.
        connections: Those that uvicorn shuts down when it stops.
        traffic: Counts the refusals.
        max_size: Bytes of a head.
        timeout: Seconds that it may take.
    """

    __slots__ = (
        "_client",
        "_complete",
        "_connections",
        "_counted",
        "_deadline",
        "_done",
        "_doorstep",
        "_make_http",
        "_max_size",
        "_parser",
        "_preface",
        "_raw",
        "_size",
        "_timeout",
        "_traffic",
        "_transport",
        "_upgrade",
        "fields",
        "target",
    )

    def __init__(
        self,
        doorstep: Doorstep,
        upgrade: Upgrade,
        make_http: Callable[[], BoundedHead],
        connections: set[Any],
        traffic: Traffic,
        max_size: int,
        timeout: float,
    ) -> None:
        self._doorstep = doorstep
        self._upgrade = upgrade
        self._make_http = make_http
        self._connections = connections
        self._traffic = traffic
        self._max_size = max_size
        self._timeout = timeout
        self._parser: Any = httptools.HttpRequestParser(self)
        self._raw: list[bytes] = []
        self._size = 0
        self._preface: bytes | None = None
        self._counted: str | None = None
        self._complete = False
        self._done = False
        self._deadline: asyncio.TimerHandle | None = None
        self.target = b""
        self.fields: list[tuple[bytes, bytes]] = []

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        self._transport = cast(asyncio.Transport, transport)
        peer = transport.get_extra_info("peername")
        self._client = (peer[0], peer[1]) if isinstance(peer, tuple) else None
        address = self._address
        if self._doorstep.bars(address):
            self._cut("barred")
        elif not self._doorstep.enter(address):
            self._cut("unfinished")
        else:
            self._counted = address
            if self._doorstep.hears_preface(address):
                self._preface = b""
            self._connections.add(self)
            self._deadline = asyncio.get_running_loop().call_later(self._timeout, self._expired)

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        if self._done:
            return
        if self._preface is not None:
            data = self._after_preface(self._preface + data)
        if not data:
            return
        self._raw.append(data)
        self._size += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._decide()
        except httptools.HttpParserError:
            self._hand_over()  # what is wrong with it, uvicorn says
        else:
            if self._complete:
                self._hand_over()
            elif self._size > self._max_size:
                self._refuse(HeadTooLargeError())

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        self._end()

    # httptools

    def on_url(self, url: bytes) -> None:
        """See httptools."""
        self.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """See httptools."""
        self.fields.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """See httptools."""
        self._complete = True

    # what becomes of it

    def shutdown(self) -> None:
        """See uvicorn: it stops. Who has said nothing yet is told nothing."""
        self._transport.abort()

    @property
    def _address(self) -> str:
        return self._client[0] if self._client else ""

    def _decide(self) -> None:
        wanted = dict(self.fields)
        options = [option.strip().lower() for option in wanted.get(b"connection", b"").split(b",")]
        if b"upgrade" not in options or wanted.get(b"upgrade", b"").lower() != b"websocket":
            self._hand_over()
        elif self._size > self._max_size and head_size(self.target, self.fields) > self._max_size:
            self._refuse(HeadTooLargeError())
        else:
            head = Head(self._parser.get_method(), self.target, self.fields, self._address)
            self._end()
            self._upgrade(self._transport, head)

    def _hand_over(self) -> None:
        self._end()
        http = self._make_http()
        http.connection_made(self._transport)
        if self._client is not None:
            http.client = self._client
        self._transport.set_protocol(http)
        http.data_received(b"".join(self._raw))

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
            self._client = preface.client
            if self._doorstep.bars(self._address):
                self._cut("barred")
                return b""
        return data[preface.size :]

    def _expired(self) -> None:
        if not self._transport.is_closing():
            self._refuse(HeadTimeoutError())

    def _refuse(self, error: LinkdError) -> None:
        self._end()
        refuse_head(self._transport, error, self._traffic, self._address, self._timeout)

    def _cut(self, outcome: str) -> None:
        # An answer would cost more than it is worth.
        self._traffic.handshakes[outcome] += 1
        self._end()
        self._transport.abort()

    def _end(self) -> None:
        self._done = True
        # Parser and protocol hold each other, and would be left to the garbage collector, which comes seldom here.
        self._parser = None
        self._connections.discard(self)
        if self._counted is not None:
            self._doorstep.leave(self._counted)
            self._counted = None
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


def arrivals(
    *, doorstep: Doorstep, upgrade: Upgrade, traffic: Traffic, max_size: int, timeout: float
) -> Callable[..., Arrival]:
    """What uvicorn calls to make the protocol of a new connection; see Arrival."""

    def make(**uvicorns: Any) -> Arrival:
        def make_http() -> BoundedHead:
            return BoundedHead(max_size=max_size, timeout=timeout, traffic=traffic, upgrade=upgrade, **uvicorns)

        connections = uvicorns["server_state"].connections
        return Arrival(doorstep, upgrade, make_http, connections, traffic, max_size, timeout)

    return make
