"""A Transport over Redis's PUBLISH and SUBSCRIBE (transport.py), for clusters that have Redis and want no other server.

One connection speaks RESP3 (Redis 6 or later), in which messages come between answers. hiredis reads it.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import ssl
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, cast

import hiredis
import structlog

from .frames import MAX_PAYLOAD, OVERHEAD
from .reconnecting import Reconnecting
from .redis_address import RedisAddress, RedisSettings
from .transport import TransportListener

log = structlog.get_logger("linkd.bus")

_CONNECT_TIMEOUT = 5.0  # seconds from the first packet to the last answer of the beginning
_PING_INTERVAL = 10.0  # seconds without a word of the server, after which it is asked for one; twice, and it is gone
_MOST_WAITING = 8 * 2**20  # bytes that wait to be written, above which nothing more is taken
_MOST_UNREAD = 4 * (MAX_PAYLOAD + OVERHEAD)  # bytes of an answer that is not complete
_CLOSE_TIMEOUT = 1.0  # seconds for what waits when this is closed
_AT_ONCE = 512  # subjects of one SUBSCRIBE


class RedisTransport:
    """A connection to one of several servers, made anew until it is closed.

    Redis sends what is published back to the publisher, too: bus.py drops that. It has no groups; a server of its own
    knows at once what was subscribed, so that bus.py asks nobody else.

    Args:
        settings: Where it is, and who the gateway is to it.
        dice: In which order servers are tried, and when.
    """

    def __init__(self, settings: RedisSettings, dice: random.Random) -> None:
        self._loop = asyncio.get_running_loop()
        self._settings = settings
        self._servers = Reconnecting(settings.addresses, self._serve, dice)
        self._listener: TransportListener | None = None
        self._subscribed: set[str] = set()
        self._connection: _Connection | None = None  # that is ready
        self.largest = MAX_PAYLOAD + OVERHEAD

    def open(self, listener: TransportListener) -> None:
        """See Transport."""
        self._listener = listener
        self._servers.begin("linkd-redis-bus")

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
        """See Transport. Every server is one of its own here: nobody asks a group."""
        new = [subject for subject in subjects if subject not in self._subscribed]
        self._subscribed.update(new)
        if self._connection is not None:
            self._connection.subscribe(new)

    def unsubscribe(self, subjects: Iterable[str]) -> None:
        """See Transport."""
        known = [subject for subject in subjects if subject in self._subscribed]
        self._subscribed.difference_update(known)
        if self._connection is not None and known:
            self._connection.command("UNSUBSCRIBE", *known)

    def publish(self, subject: str, data: bytes) -> bool:
        """See Transport."""
        connection = self._connection
        if connection is None or connection.waiting > _MOST_WAITING or len(data) > self.largest:
            return False
        connection.ask("PUBLISH", subject, data)
        return True

    async def flush(self) -> None:
        """See Transport."""
        if self._connection is None:
            raise ConnectionError("there is no connection to Redis")
        await self._connection.answer_to("PING")

    # the connection

    async def _serve(self, address: RedisAddress) -> bool:
        """Be connected to a server as long as it goes; ``False``: it did not come to that."""
        connection = _Connection(self._received)
        context = (self._settings.tls or ssl.create_default_context()) if address.tls else None
        try:
            async with asyncio.timeout(_CONNECT_TIMEOUT):
                await self._loop.create_connection(lambda: connection, address.host, address.port, ssl=context)
                who = ("AUTH", address.user or "default", address.password) if address.password else ()
                await connection.answer_to("HELLO", "3", *who, "SETNAME", "linkd")
                known = set(self._subscribed)
                connection.subscribe(sorted(known))
                await connection.answer_to("PING")
        except (OSError, TimeoutError, ssl.SSLError) as error:
            reason = connection.complaint or str(error) or type(error).__name__
            log.warning("bus_not_connected", host=address.host, port=address.port, error=reason)
            connection.abort()
            return False
        self._connection = connection
        connection.subscribe(sorted(self._subscribed - known))  # what came while the connection was made
        log.info("bus_connected", host=address.host, port=address.port)
        try:
            if self._listener is not None:
                self._listener.connected("redis")
            await connection.watch()
        finally:
            self._connection = None
            connection.abort()
            if self._listener is not None:  # else it is being closed
                log.warning("bus_lost", host=address.host, port=address.port, error=connection.complaint or "it ended")
                self._listener.disconnected()
        return True

    def _received(self, subject: bytes, data: bytes) -> None:
        if self._listener is not None:
            text = subject.decode("ascii", "replace")
            if text in self._subscribed:
                self._listener.received(text, data)


class _Connection(asyncio.Protocol):
    """One TCP connection."""

    def __init__(self, on_message: Callable[[bytes, bytes], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._on_message = on_message
        self._transport: asyncio.Transport | None = None
        self._reader = hiredis.Reader()
        self._unread = 0
        self._waiting: list[bytes] = []  # for the end of the turn
        # Of commands that are answered, in their order; None: nobody waits, as for the number of a PUBLISH.
        self._answers: deque[asyncio.Future[None] | None] = deque()
        self._heard_at = self._loop.time()
        self._ended: asyncio.Future[None] = self._loop.create_future()
        self.complaint = ""

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        self._heard_at = self._loop.time()
        self._reader.feed(data)
        self._unread += len(data)
        try:
            while (reply := self._reader.gets()) is not False:
                self._unread = 0
                self._take(reply)
        except hiredis.ProtocolError as error:
            self.complaint = str(error)
            self.abort()
        if self._unread > _MOST_UNREAD:
            self.complaint = "the server sends more than there can be"
            self.abort()

    def _take(self, reply: Any) -> None:
        if isinstance(reply, hiredis.PushNotification):
            if len(reply) == 3 and reply[0] == b"message":
                self._on_message(reply[1], reply[2])
            return  # subscribed, unsubscribed
        if not self._answers:
            self.complaint = "an answer came that nobody asked for"
            self.abort()
            return
        answer = self._answers.popleft()
        if isinstance(reply, hiredis.ReplyError):
            self.complaint = str(reply)
            if answer is None:
                log.error("bus_complains", error=self.complaint)
        if answer is not None and not answer.done():
            if isinstance(reply, hiredis.ReplyError):
                answer.set_exception(ConnectionError(self.complaint))
            else:
                answer.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        self._transport = None
        for answer in self._answers:
            if answer is not None and not answer.done():
                answer.set_exception(ConnectionError(self.complaint or "the connection was lost"))
                answer.exception()  # nobody may be waiting
        self._answers.clear()
        if not self._ended.done():
            self._ended.set_result(None)

    # for the transport

    @property
    def waiting(self) -> int:
        """Bytes that the kernel has not taken."""
        return 0 if self._transport is None else self._transport.get_write_buffer_size()

    def subscribe(self, subjects: list[str]) -> None:
        """Subscribe, which is answered by a push."""
        for start in range(0, len(subjects), _AT_ONCE):
            self.command("SUBSCRIBE", *subjects[start : start + _AT_ONCE])

    def command(self, *words: str | bytes) -> None:
        """Write a command, at the end of the turn, that has no answer of its own."""
        self._waiting.append(hiredis.pack_command(cast(Any, words)))
        if len(self._waiting) == 1:
            self._loop.call_soon(self._flush)

    def ask(self, *words: str | bytes) -> None:
        """Write a command whose answer matters to nobody."""
        self._answers.append(None)
        self.command(*words)

    async def answer_to(self, *words: str) -> None:
        """Write a command, and wait for its answer.

        Raises:
            ConnectionError: If the answer is an error, or the connection is lost before.
        """
        if self._transport is None:
            raise ConnectionError(self.complaint or "the connection was lost")
        answer: asyncio.Future[None] = self._loop.create_future()
        self._answers.append(answer)
        self.command(*words)
        await answer

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        if self._transport is not None:
            self._transport.write(b"".join(waiting))

    async def watch(self) -> None:
        """Return when the connection has ended; a server that says nothing counts as gone."""
        while not self._ended.done():
            await asyncio.wait({self._ended}, timeout=_PING_INTERVAL)
            silent = self._loop.time() - self._heard_at
            if silent > 2 * _PING_INTERVAL:
                self.complaint = "the server says nothing"
                self.abort()
            elif silent >= _PING_INTERVAL and self._transport is not None:
                self.ask("PING")

    def abort(self) -> None:
        """End it at once."""
        if self._transport is not None:
            self._transport.abort()
