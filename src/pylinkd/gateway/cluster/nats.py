"""A Transport over NATS (transport.py).

Own code for the few verbs that it takes: measured against nats-py, a message costs a sixth, and a subscription no task
and no queue of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import ssl
from collections.abc import Callable, Iterable
from typing import Any

import structlog

from .nats_address import NatsAddress, NatsSettings
from .nats_protocol import PING, PONG, NatsProtocolError, NatsReader, connect, publish, subscribe, unsubscribe
from .server_address import ServerAddressError
from .server_transport import ServerConnection, ServerTransport

log = structlog.get_logger("linkd.bus")

_MOST_SERVERS = 64  # that are tried, those that others name included
_LARGEST = 2**20  # bytes of a payload, until a server says something else


class NatsTransport(ServerTransport[NatsAddress, "_Connection"]):
    """A connection to one of several servers, made anew until it is closed.

    Args:
        settings: Where they are, and who the gateway is to them.
        dice: In which order they are tried, and when.
    """

    def __init__(self, settings: NatsSettings, dice: random.Random) -> None:
        super().__init__(settings.addresses, dice)
        self._settings = settings
        self._subscriptions: dict[str, tuple[bytes, str]] = {}  # numbers and groups, by subject
        self._subjects: dict[bytes, str] = {}  # by number
        self._last_sid = 0
        self.largest = _LARGEST

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
        connection = self._taking(len(data))
        if connection is None:
            return False
        connection.write(publish(subject, data))
        return True

    # the connection

    def _new_connection(self) -> _Connection:
        return _Connection(self._received)

    async def _begin(self, connection: _Connection, address: NatsAddress) -> str:
        await self._loop.create_connection(lambda: connection, address.host, address.port)
        info = await connection.info
        if address.tls or info.get("tls_required"):
            await connection.start_tls(self._settings.tls or ssl.create_default_context(), address.host)
        connection.reader.largest = self.largest = int(info.get("max_payload", _LARGEST))
        connection.write(connect(self._settings.options(address, str(info.get("nonce", "")))))
        for subject, (sid, group) in self._subscriptions.items():
            connection.write(subscribe(subject, sid, group))
        known = set(self._subscriptions)
        await connection.flush()
        for subject, (sid, group) in self._subscriptions.items():
            if subject not in known:  # it came while the connection was made
                connection.write(subscribe(subject, sid, group))
        self._learn(address, info)
        return str(info.get("server_id", ""))

    def _learn(self, address: NatsAddress, info: dict[str, Any]) -> None:
        """Add the servers that one names; they are of its cluster, and take who is let in by it."""
        for text in info.get("connect_urls") or ():
            with contextlib.suppress(ServerAddressError):
                named = NatsAddress.parse(str(text))
                found = NatsAddress(named.host, named.port, address.tls, address.user, address.password)
                if found not in self._addresses and len(self._addresses) < _MOST_SERVERS:
                    self._addresses.append(found)

    def _received(self, sid: bytes, payload: bytes) -> None:
        subject = self._subjects.get(sid)
        if subject is not None and self._listener is not None:
            self._listener.received(subject, payload)


class _Connection(ServerConnection):
    """One TCP connection. A NatsListener (nats_protocol.py)."""

    def __init__(self, on_message: Callable[[bytes, bytes], None]) -> None:
        super().__init__()
        self.on_message = on_message
        self.reader = NatsReader(self)
        self.info: asyncio.Future[dict[str, Any]] = self._loop.create_future()

    def read(self, data: bytes) -> None:
        """See ServerConnection."""
        try:
            self.reader.feed(data)
        except NatsProtocolError as error:
            self.fail(str(error))

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        super().connection_lost(exc)
        if not self.info.done():
            self.info.set_exception(self.lost())
            self.info.exception()  # nobody may be waiting

    def ping(self) -> None:
        """See ServerConnection."""
        self.write(PING)

    # nats_protocol.NatsListener

    def on_info(self, info: dict[str, Any]) -> None:
        """See NatsListener."""
        if not self.info.done():
            self.info.set_result(info)
        elif info.get("ldm"):
            self.fail("the server is about to stop")

    def on_ping(self) -> None:
        """See NatsListener."""
        self.write(PONG)

    def on_pong(self) -> None:
        """See NatsListener."""
        answer = self._answers.popleft() if self._answers else None
        if answer is not None and not answer.done():
            answer.set_result(None)

    def on_error(self, text: str) -> None:
        """See NatsListener."""
        self.complaint = text
        log.error("bus_complains", error=text)

    async def start_tls(self, context: ssl.SSLContext, host: str) -> None:
        """Go on over TLS."""
        if self._transport is None:
            raise self.lost()
        secured = await self._loop.start_tls(self._transport, self, context, server_hostname=host)
        if secured is None:
            raise self.lost()
        self._transport = secured
