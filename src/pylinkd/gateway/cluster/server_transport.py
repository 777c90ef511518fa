"""What Transports over a server do alike (transport.py): one server after the other, again and again, and what waits
to be written. What they say to it is nats.py's and redis.py's affair.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import ssl
from collections import deque
from collections.abc import Sequence
from typing import Generic, TypeVar, cast

import structlog

from .server_address import ServerAddress, ServerAddressError
from .transport import TransportListener

log = structlog.get_logger("linkd.bus")

_CONNECT_TIMEOUT = 5.0  # seconds from the first packet to the last answer of the beginning
_SILENCE = 10.0  # seconds without a word of the server, after which it is asked for one; twice, and it is gone
_FIRST_DELAY, _LONGEST_DELAY = 0.1, 5.0  # seconds before another attempt
_MOST_WAITING = 8 * 2**20  # bytes that wait to be written, above which nothing more is taken
_CLOSE_TIMEOUT = 1.0  # seconds for what waits when a transport is closed


class ServerConnection(asyncio.Protocol):
    """One TCP connection. Questions are answered in their order.

    Attributes:
        complaint: What the server, or this end, had to complain about last; empty: nothing.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._unwritten: list[bytes] = []  # for the end of the turn
        self._answers: deque[asyncio.Future[None] | None] = deque()  # None: nobody waits for it
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
        self.read(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        self._transport = None
        for answer in self._answers:
            if answer is not None and not answer.done():
                answer.set_exception(self.lost())
                answer.exception()  # nobody may be waiting
        self._answers.clear()
        if not self._ended.done():
            self._ended.set_result(None)

    # a subclass's

    def read(self, data: bytes) -> None:
        """Bytes came."""
        raise NotImplementedError

    def ping(self) -> None:
        """Write what the server answers to."""
        raise NotImplementedError

    # for the transport

    @property
    def waiting(self) -> int:
        """Bytes that the kernel has not taken."""
        return 0 if self._transport is None else self._transport.get_write_buffer_size()

    def lost(self) -> ConnectionError:
        """Why the connection is gone."""
        return ConnectionError(self.complaint or "the connection was lost")

    def write(self, data: bytes) -> None:
        """Write at the end of the turn."""
        self._unwritten.append(data)
        if len(self._unwritten) == 1:
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        unwritten, self._unwritten = self._unwritten, []
        if self._transport is not None:
            self._transport.write(b"".join(unwritten))

    async def answer(self) -> None:
        """The answer to what is written next, in this turn.

        Raises:
            ConnectionError: If it is an error, or the connection is lost before.
        """
        if self._transport is None:
            raise self.lost()
        answer: asyncio.Future[None] = self._loop.create_future()
        self._answers.append(answer)
        await answer

    async def flush(self) -> None:
        """Return when the server has carried out what was written.

        Raises:
            ConnectionError: If the connection is lost before.
        """
        self.ping()
        await self.answer()

    async def watch(self) -> None:
        """Return when the connection has ended; a server that says nothing counts as gone."""
        while not self._ended.done():
            await asyncio.wait({self._ended}, timeout=_SILENCE)
            silent = self._loop.time() - self._heard_at
            if silent > 2 * _SILENCE:
                self.fail("the server says nothing")
            elif silent >= _SILENCE and self._transport is not None:
                self._answers.append(None)
                self.ping()

    def fail(self, complaint: str) -> None:
        """End it at once, for a reason."""
        self.complaint = complaint
        self.abort()

    def abort(self) -> None:
        """End it at once."""
        if self._transport is not None:
            self._transport.abort()


Address = TypeVar("Address", bound=ServerAddress)
Connection = TypeVar("Connection", bound=ServerConnection)


class ServerTransport(Generic[Address, Connection]):
    """A connection to one of several servers, made anew until it is closed.

    Args:
        addresses: The servers.
        dice: In which order they are tried, and when.

    Attributes:
        largest: See Transport.
    """

    def __init__(self, addresses: Sequence[Address], dice: random.Random) -> None:
        self._loop = asyncio.get_running_loop()
        self._addresses = list(addresses)
        self._dice = dice
        self._listener: TransportListener | None = None
        self._keeping: asyncio.Task[None] | None = None
        self._connection: Connection | None = None  # that is ready
        self.largest = 0

    # a subclass's

    def _new_connection(self) -> Connection:
        raise NotImplementedError

    async def _begin(self, connection: Connection, address: Address) -> str:
        """Connect, sign in and have everything subscribed; the id of the server.

        Raises:
            OSError: If that does not work, and other errors of connections.
        """
        raise NotImplementedError

    # transport.Transport

    def open(self, listener: TransportListener) -> None:
        """See Transport."""
        self._listener = listener
        self._keeping = self._loop.create_task(self._keep(), name="linkd-bus")

    async def close(self) -> None:
        """See Transport."""
        with contextlib.suppress(ConnectionError, TimeoutError):
            async with asyncio.timeout(_CLOSE_TIMEOUT):
                await self.flush()
        self._listener = None
        if self._keeping is not None:
            self._keeping.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._keeping

    def reconnect(self) -> None:
        """See Transport."""
        if self._connection is not None:
            self._connection.abort()

    async def flush(self) -> None:
        """See Transport."""
        if self._connection is None:
            raise ConnectionError("there is no connection to the bus")
        await self._connection.flush()

    def _taking(self, size: int) -> Connection | None:
        """The connection, if it takes so many bytes more."""
        connection = self._connection
        if connection is None or connection.waiting > _MOST_WAITING or size > self.largest:
            return None
        return connection

    # the connection

    async def _keep(self) -> None:
        delay = _FIRST_DELAY
        while True:
            for address in self._dice.sample(self._addresses, len(self._addresses)):
                if await self._serve(address):
                    delay = _FIRST_DELAY
                    break
            await asyncio.sleep(delay * (0.5 + self._dice.random() / 2))
            delay = min(_LONGEST_DELAY, 2 * delay)

    async def _serve(self, address: Address) -> bool:
        """Be connected to a server as long as it goes; ``False``: it did not come to that."""
        where = {"host": address.host, "port": address.port}
        connection = self._new_connection()
        try:
            async with asyncio.timeout(_CONNECT_TIMEOUT):
                server = await self._begin(connection, address)
        except (OSError, TimeoutError, ssl.SSLError, ServerAddressError) as error:
            reason = connection.complaint or str(error) or type(error).__name__
            log.warning("bus_not_connected", **where, error=reason)
            connection.abort()
            return False
        self._connection = connection
        log.info("bus_connected", **where, server=server)
        try:
            if self._listener is not None:
                self._listener.connected(server)
            await connection.watch()
        finally:
            self._connection = None
            connection.abort()
            if self._listener is not None:  # else it is being closed
                log.warning("bus_lost", **where, error=connection.complaint or "it ended")
                self._listener.disconnected()
        return True
