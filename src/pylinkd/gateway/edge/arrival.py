"""A connection before it is known what it wants: its first head, and how large and how slow that may be.

Nearly all want a WebSocket, and are handed to the upgrade. Every other is handed to an HttpConnection (requests.py)
with what was read so far: made for each connection, it would be a tenth of a handshake.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

import httptools

from ...protocol.errors import BadRequestError, LinkdError, ServiceUnavailableError
from ..guard.doorstep import Doorstep
from ..guard.proxy_protocol import read_preface
from .handshake import Head
from .head import HeadTimeoutError, HeadTooLargeError, head_size, wants_websocket
from .reading import BUFFER, received
from .refuse import refuse_head
from .requests import HttpConnection
from .serving import Serving

Upgrade = Callable[[asyncio.Transport, Head], None]


class Arrival(asyncio.BufferedProtocol):
    """The first head of one connection.

    Args:
        doorstep: Says whose connection is worth a head, and counts those that have sent none.
        upgrade: Answers a head that asks for WebSocket.
        serving: Takes the connections with any other head; has the limits of all.
        counted: The address that was counted already, of a connection that comes from a TLS handshake.
    """

    __slots__ = (
        "_client",
        "_counted",
        "_deadline",
        "_done",
        "_doorstep",
        "_heads",
        "_parser",
        "_preface",
        "_raw",
        "_serving",
        "_size",
        "_transport",
        "_upgrade",
        "fields",
        "target",
    )

    def __init__(self, doorstep: Doorstep, upgrade: Upgrade, serving: Serving, counted: str | None = None) -> None:
        self._doorstep = doorstep
        self._upgrade = upgrade
        self._serving = serving
        self._parser: Any = httptools.HttpRequestParser(self)
        self._raw: list[bytes] = []
        self._size = 0
        self._preface: bytes | None = None
        self._counted = counted
        self._heads = 0
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
        if self._counted is None and not self._enter():
            return
        if self._doorstep.hears_preface(self._address):
            self._preface = b""
        serving = self._serving
        serving.connections.add(self)
        self._deadline = asyncio.get_running_loop().call_later(serving.deadlines.head, self._expired)

    def _enter(self) -> bool:
        address = self._address
        if self._doorstep.bars(address):
            self._cut("barred")
        elif not self._doorstep.enter(address):
            self._cut("unfinished")
        else:
            self._counted = address
        return self._counted is not None

    def get_buffer(self, sizehint: int) -> memoryview:
        """See asyncio.BufferedProtocol."""
        return BUFFER

    def buffer_updated(self, nbytes: int) -> None:
        """See asyncio.BufferedProtocol."""
        self.data_received(received(nbytes))

    def data_received(self, data: bytes) -> None:
        """Read what came."""
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
        except httptools.HttpParserUpgrade as upgrade:
            self._decide(ends=upgrade.args[0] == len(data))
        except httptools.HttpParserError:
            self._hand_over()  # where it is said what is wrong with it
        else:
            if self._heads:
                self._hand_over()
            elif self._size > self._serving.max_head_size:
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
        self._heads += 1

    # what becomes of it

    def shutdown(self) -> None:
        """The gateway stops. Who has said nothing yet gets no answer."""
        self._transport.abort()

    cut = shutdown

    @property
    def _address(self) -> str:
        return self._client[0] if self._client else ""

    def _decide(self, *, ends: bool) -> None:
        """Go on with a head that asks for an upgrade; ``ends``: nothing came behind it."""
        limit = self._serving.max_head_size
        if self._heads != 1 or not self._wants_websocket():
            self._hand_over()  # a request came before it, whose head stands in the fields; or it is another upgrade
        elif self._size > limit and head_size(self.target, self.fields) > limit:
            self._refuse(HeadTooLargeError())
        elif not ends:
            self._refuse(BadRequestError("Nothing may follow an opening handshake before it is answered."))
        else:
            parser = self._parser
            head = Head(parser.get_method(), self.target, self.fields, self._address, parser.get_http_version())
            self._end()
            self._upgrade(self._transport, head)

    def _wants_websocket(self) -> bool:
        wanted = dict(self.fields)
        if wanted.get(b"upgrade") == b"websocket" and wanted.get(b"connection") in (b"Upgrade", b"upgrade"):
            return True  # nearly always; in several lines, or beside other options, it takes longer to see
        return wants_websocket(self.fields)

    def _hand_over(self) -> None:
        self._end()
        serving, address = self._serving, self._address
        shared = self._doorstep.shares(address)
        if not serving.enter(address, shared=shared):
            self._refuse(ServiceUnavailableError("There are too many connections.", retry_after=1.0))
            return
        connection = HttpConnection(
            serving, self._transport, self._client, lambda: serving.bound.leave(address, shared=shared)
        )
        self._transport.set_protocol(connection)
        connection.begin(b"".join(self._raw))

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
        serving = self._serving
        refuse_head(self._transport, error, serving.traffic, self._address, serving.deadlines.sending)

    def _cut(self, outcome: str) -> None:
        # An answer would cost more than it is worth.
        self._serving.traffic.handshakes[outcome] += 1
        self._end()
        self._transport.abort()

    def _end(self) -> None:
        self._done = True
        # Parser and protocol hold each other, and would be left to the garbage collector, which comes seldom here.
        self._parser = None
        self._serving.connections.discard(self)
        if self._counted is not None:
            self._doorstep.leave(self._counted)
            self._counted = None
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
