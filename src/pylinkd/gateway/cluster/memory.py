"""A bus inside one process, for tests: it keeps the promises of a server, or breaks them where it is asked to."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from .transport import TransportListener


class MemoryServer:
    """What the transports of one process are connected to.

    Attributes:
        id: Of the server.
        largest: Bytes of a message.
    """

    def __init__(self, id: str = "memory", *, largest: int = 2**20) -> None:
        self.id = id
        self.largest = largest
        self._transports: list[MemoryTransport] = []
        self._running = True
        self._turn = 0

    def attach(self, transport: MemoryTransport) -> None:
        """A transport wants to be connected, now or when the server runs."""
        self._transports.append(transport)
        if self._running:
            transport.connect()

    def detach(self, transport: MemoryTransport) -> None:
        """A transport is closed."""
        self._transports.remove(transport)

    def stop(self) -> None:
        """Lose every connection, and what is on its way."""
        self._running = False
        for transport in self._transports:
            transport.disconnect()

    def start(self) -> None:
        """Take connections again."""
        self._running = True
        for transport in self._transports:
            transport.connect()

    def route(self, sender: MemoryTransport, subject: str, data: bytes) -> None:
        """Pass a message on to whoever has subscribed."""
        groups: dict[str, list[MemoryTransport]] = {}
        for transport in self._transports:
            if transport is sender:
                continue
            group = transport.subscriptions.get(subject)
            if group is not None:
                groups.setdefault(group, []).append(transport)
        for group, members in groups.items():
            self._turn += 1
            taking = [members[self._turn % len(members)]] if group else members
            for transport in taking:
                transport.deliver(subject, data)


class MemoryTransport:
    """A Transport (transport.py) to a server in this process.

    Attributes:
        subscriptions: Subjects, and the group of each.
        deaf: Whether it hears nothing, as if its connection had died without a word.
        lost: Subjects under which nothing comes to it, as if the server had dropped it.
    """

    def __init__(self, server: MemoryServer) -> None:
        self._server = server
        self._loop = asyncio.get_running_loop()
        self._listener: TransportListener | None = None
        self._connections = 0  # which one is the present one; what is under way of an earlier one is lost
        self._connected = False
        self.subscriptions: dict[str, str] = {}
        self.deaf = False
        self.lost: set[str] = set()

    @property
    def largest(self) -> int:
        """See Transport."""
        return self._server.largest

    def open(self, listener: TransportListener) -> None:
        """See Transport."""
        self._listener = listener
        self._server.attach(self)

    async def close(self) -> None:
        """See Transport."""
        await asyncio.sleep(0)  # what was published has left
        if self._listener is not None:
            self._listener = None
            self._server.detach(self)

    def reconnect(self) -> None:
        """See Transport."""
        self.disconnect()
        self.deaf = False
        self.connect()

    def subscribe(self, subjects: Iterable[str], *, group: str = "") -> None:
        """See Transport."""
        self.subscriptions.update(dict.fromkeys(subjects, group))

    def unsubscribe(self, subjects: Iterable[str]) -> None:
        """See Transport."""
        for subject in subjects:
            self.subscriptions.pop(subject, None)

    def publish(self, subject: str, data: bytes) -> bool:
        """See Transport."""
        if not self._connected:
            return False
        self._loop.call_soon(self._write, self._connections, subject, data)
        return True

    def _write(self, connection: int, subject: str, data: bytes) -> None:
        if connection == self._connections:
            self._server.route(self, subject, data)

    async def flush(self) -> None:
        """See Transport."""
        connection = self._connections
        await asyncio.sleep(0)
        if not self._connected or connection != self._connections:
            raise ConnectionError("the connection was lost")

    # what the server does

    def connect(self) -> None:
        """There is a connection."""
        if self._listener is not None and not self._connected:
            self._connected = True
            self._listener.connected(self._server.id)

    def disconnect(self) -> None:
        """It is lost."""
        if self._listener is not None and self._connected:
            self._connected = False
            self._connections += 1
            self._listener.disconnected()

    def deliver(self, subject: str, data: bytes) -> None:
        """A message comes, in a later turn."""
        if not self.deaf and subject not in self.lost:
            self._loop.call_soon(self._receive, self._connections, subject, data)

    def _receive(self, connection: int, subject: str, data: bytes) -> None:
        if self._listener is not None and connection == self._connections and subject in self.subscriptions:
            self._listener.received(subject, data)
