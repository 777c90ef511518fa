"""A Transport over NATS (transport.py).

Own code for the few verbs that it takes: measured against nats-py, a message costs a sixth, and a subscription no task
and no queue of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import ssl
from collections import deque
from collections.abc import Iterable
from typing import Any, cast

import structlog

from .nats_address import NatsAddress, NatsAddressError, NatsSettings
from .nats_protocol import PING, PONG, NatsProtocolError, NatsReader, connect, publish, subscribe, unsubscribe
from .reconnecting import Reconnecting
from .transport import TransportListener

log = structlog.get_logger("linkd.bus")

_CONNECT_TIMEOUT = 5.0  # seconds from the first packet to the first PONG
_PING_INTERVAL = 10.0  # seconds without a word of the server, after which it is asked for one; twice, and it is gone
_MOST_WAITING = 8 * 2**20  # bytes that wait to be written, above which nothing more is taken
_CLOSE_TIMEOUT = 1.0  # seconds for what waits when this is closed
_MOST_SERVERS = 64  # that are tried, those that others name included
_LARGEST = 2**20  # bytes of a payload, until a server says something else


class NatsTransport:
    """A connection to one of several servers, made anew until it is closed.

    Args:
        settings: Where they are, and who the gateway is to them.
        dice: In which order they are tried, and when.
    """

    def __init__(self, settings: NatsSettings, dice: random.Random) -> None:
        self._loop = asyncio.get_running_loop()
        self._settings = settings
        self._servers = Reconnecting(settings.addresses, self._serve, dice)
        self._listener: TransportListener | None = None
        self._subscriptions: dict[str, tuple[bytes, str]] = {}  # numbers and groups, by subject
        self._subjects: dict[bytes, str] = {}  # by number
        self._last_sid = 0
        self._connection: _Connection | None = None  # that is ready
        self.largest = _LARGEST

    def open(self, listener: TransportListener) -> None:
        """See Transport."""
        self._listener = listener
        self._servers.begin("linkd-nats")

    async def close(self) -> None:
        """See Transport."""
        if self._connection is not None:
            with contextlib.suppress(ConnectionError, TimeoutError):
                async with asyncio.timeout(_CLOSE_TIMEOUT):
                    await self.flush()
        self._listener = None
        await self._servers.end()

    def reconnect(self) -> None:
        """See Transport."""
        if self._connection is not None:
            self._connection.abort()

    def subscribe(self, subjects: Iterable[str], *, group: str = "") -> None:
        """See Transport."""
        for subject in subjects:
            if subject in self._subscriptions:
                continue
            self._last_sid += 1
            sid = b"%d" % self._last_sid
            self._subscriptions[subject] = (sid, group)
            self._subjects[sid] = subject
            if self._connection is not None:
                self._connection.write(subscribe(subject, sid, group))

    def unsubscribe(self, subjects: Iterable[str]) -> None:
        """See Transport."""
        for subject in subjects:
            known = self._subscriptions.pop(subject, None)
            if known is not None:
                del self._subjects[known[0]]
                if self._connection is not None:
                    self._connection.write(unsubscribe(known[0]))

    def publish(self, subject: str, data: bytes) -> bool:
        """See Transport."""
        connection = self._connection
        if connection is None or connection.waiting > _MOST_WAITING or len(data) > self.largest:
            return False
        connection.write(publish(subject, data))
        return True

    async def flush(self) -> None:
        """See Transport."""
        if self._connection is None:
            raise ConnectionError("there is no connection to NATS")
        await self._connection.ping()

    # the connection

    async def _serve(self, address: NatsAddress) -> bool:
        """Be connected to a server as long as it goes; ``False``: it did not come to that."""
        connection = _Connection(self._received)
        try:
            async with asyncio.timeout(_CONNECT_TIMEOUT):
                await self._loop.create_connection(lambda: connection, address.host, address.port)
                info = await connection.info
                await self._secure(connection, address, info)
                connection.reader.largest = self.largest = int(info.get("max_payload", _LARGEST))
                connection.write(connect(self._settings.options(address, str(info.get("nonce", "")))))
                for subject, (sid, group) in self._subscriptions.items():
                    connection.write(subscribe(subject, sid, group))
                known = set(self._subscriptions)
                await connection.ping()
        except (OSError, TimeoutError, ssl.SSLError, NatsAddressError) as error:
            reason = connection.complaint or str(error) or type(error).__name__
            log.warning("bus_not_connected", host=address.host, port=address.port, error=reason)
            connection.abort()
            return False
        self._learn(address, info)
        self._begin(connection, known, str(info.get("server_id", "")), address)
        try:
            await connection.watch()
        finally:
            self._connection = None
            connection.abort()
            if self._listener is not None:  # else it is being closed
                log.warning("bus_lost", host=address.host, port=address.port, error=connection.complaint or "it ended")
                self._listener.disconnected()
        return True

    def _begin(self, connection: _Connection, known: set[str], server: str, address: NatsAddress) -> None:
        self._connection = connection
        for subject, (sid, group) in self._subscriptions.items():
            if subject not in known:  # it came while the connection was made
                connection.write(subscribe(subject, sid, group))
        log.info("bus_connected", host=address.host, port=address.port, server=server)
        if self._listener is not None:
            self._listener.connected(server)

    async def _secure(self, connection: _Connection, address: NatsAddress, info: dict[str, Any]) -> None:
        """Begin TLS, where the address or the server asks for it."""
        if address.tls or info.get("tls_required"):
            context = self._settings.tls or ssl.create_default_context()
            await connection.start_tls(context, address.host)

    def _learn(self, address: NatsAddress, info: dict[str, Any]) -> None:
        """Add the servers that one names; they are of its cluster, and take who is let in by it."""
        for text in info.get("connect_urls") or ():
            with contextlib.suppress(NatsAddressError):
                found = NatsAddress.parse(str(text))
                found = NatsAddress(found.host, found.port, address.tls, address.user, address.password)
                if found not in self._servers.addresses and len(self._servers.addresses) < _MOST_SERVERS:
                    self._servers.addresses.append(found)

    def _received(self, sid: bytes, payload: bytes) -> None:
        subject = self._subjects.get(sid)
        if subject is not None and self._listener is not None:
            self._listener.received(subject, payload)


class _Connection(asyncio.Protocol):
    """One TCP connection. A NatsListener (nats_protocol.py)."""

    def __init__(self, on_message: Any) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._waiting: list[bytes] = []  # for the end of the turn
        self._pings: deque[asyncio.Future[None]] = deque()
        self._heard_at = self._loop.time()
        self._ended: asyncio.Future[None] = self._loop.create_future()
        self.on_message = on_message
        self.reader = NatsReader(self)
        self.info: asyncio.Future[dict[str, Any]] = self._loop.create_future()
        self.complaint = ""

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        self._heard_at = self._loop.time()
        try:
            self.reader.feed(data)
        except NatsProtocolError as error:
            self.complaint = str(error)
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        self._transport = None
        lost = ConnectionError(self.complaint or "the connection was lost")
        futures: list[asyncio.Future[Any]] = [self.info, *self._pings]
        for future in futures:
            if not future.done():
                future.set_exception(lost)
                future.exception()  # nobody may be waiting
        self._pings.clear()
        if not self._ended.done():
            self._ended.set_result(None)

    # nats_protocol.NatsListener

    def on_info(self, info: dict[str, Any]) -> None:
        """See NatsListener."""
        if not self.info.done():
            self.info.set_result(info)
        elif info.get("ldm"):
            self.complaint = "the server is about to stop"
            self.abort()

    def on_ping(self) -> None:
        """See NatsListener."""
        self.write(PONG)

    def on_pong(self) -> None:
        """See NatsListener."""
        if self._pings:
            waiting = self._pings.popleft()
            if not waiting.done():
                waiting.set_result(None)

    def on_error(self, text: str) -> None:
        """See NatsListener."""
        self.complaint = text
        log.error("bus_complains", error=text)

    # for the transport

    @property
    def waiting(self) -> int:
        """Bytes that the kernel has not taken."""
        return 0 if self._transport is None else self._transport.get_write_buffer_size()

    async def start_tls(self, context: ssl.SSLContext, host: str) -> None:
        """Go on over TLS."""
        if self._transport is None:
            raise ConnectionError("the connection was lost")
        secured = await self._loop.start_tls(self._transport, self, context, server_hostname=host)
        if secured is None:
            raise ConnectionError("the connection was lost")
        self._transport = secured

    def write(self, data: bytes) -> None:
        """Write at the end of the turn."""
        self._waiting.append(data)
        if len(self._waiting) == 1:
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        if self._transport is not None:
            self._transport.write(b"".join(waiting))

    async def ping(self) -> None:
        """Return when the server has carried out what was written.

        Raises:
            ConnectionError: If the connection is lost before.
        """
        if self._transport is None:
            raise ConnectionError(self.complaint or "the connection was lost")
        pong: asyncio.Future[None] = self._loop.create_future()
        self._pings.append(pong)
        self.write(PING)
        await pong

    async def watch(self) -> None:
        """Return when the connection has ended; a server that says nothing counts as gone."""
        while not self._ended.done():
            await asyncio.wait({self._ended}, timeout=_PING_INTERVAL)
            silent = self._loop.time() - self._heard_at
            if silent > 2 * _PING_INTERVAL:
                self.complaint = "the server says nothing"
                self.abort()
            elif silent >= _PING_INTERVAL and self._transport is not None:
                self._pings.append(self._loop.create_future())
                self.write(PING)

    def abort(self) -> None:
        """End it at once."""
        if self._transport is not None:
            self._transport.abort()
