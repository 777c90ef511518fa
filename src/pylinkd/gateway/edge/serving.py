"""What the HTTP connections of one port share: the application, the limits, and how many there may be."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from email.utils import formatdate
from typing import TYPE_CHECKING, Any

from starlette.types import ASGIApp

from ..core.traffic import Traffic
from ..guard.addresses import site
from ..guard.hosts import Hosts
from ..guard.unfinished import Unfinished
from .handshake import Head
from .stages import Deadlines
from .unread import Unread

if TYPE_CHECKING:
    from .exchange import Exchange
    from .requests import HttpConnection

_STEP = 0.02  # seconds between two looks at who is left
_PIPELINED_AT_ONCE = 4  # requests of a turn of the event loop: a pipeline waits for everybody else, not they for it


class Serving:
    """The shared part of the connections of one port.

    Args:
        app: The ASGI application.
        traffic: Counts connections and refusals.
        hosts: The hosts that may be asked for.
        max_head_size: Bytes of a request's head; of what stands around a body, too.
        deadlines: How long a connection may stay in each stage.
        bound: How many connections there may be.
        unread: Counts what waits for clients that do not read.
        upgrade: Answers a head that asks for WebSocket; ``None``: none is taken.

    Attributes:
        connections: Those that are open, new ones whose first head is awaited included.
        idle: Those that wait for another request, the one that waits longest first.
        closing: The port is closed.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        traffic: Traffic,
        hosts: Hosts,
        max_head_size: int,
        deadlines: Deadlines,
        bound: Unfinished,
        unread: Unread,
        upgrade: Callable[[asyncio.Transport, Head], None] | None = None,
    ) -> None:
        self._app = app
        self.traffic = traffic
        self.hosts = hosts
        self.max_head_size = max_head_size
        self.deadlines = deadlines
        self.bound = bound
        self.unread = unread
        self.upgrade = upgrade
        self.connections: set[Any] = set()
        self.idle: dict[HttpConnection, None] = {}
        self._idle_by_site: dict[str, dict[HttpConnection, None]] = {}
        self.closing = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._pipelined: deque[HttpConnection] = deque()
        self._date = 0, b""

    def run(self, exchange: Exchange) -> None:
        """Have the application answer."""
        task = exchange.start(self._app)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def headers(self) -> list[tuple[bytes, bytes]]:
        """What every answer says."""
        now = int(time.time())
        if self._date[0] != now:
            self._date = now, formatdate(now, usegmt=True).encode()
        return [(b"date", self._date[1])]

    def line_up(self, connection: HttpConnection) -> None:
        """The connection's next request is there already: it is taken in its turn, a few in each turn of the loop."""
        self._pipelined.append(connection)
        if len(self._pipelined) == 1:
            asyncio.get_running_loop().call_soon(self._take_pipelined)

    def _take_pipelined(self) -> None:
        loop = asyncio.get_running_loop()
        for _ in range(min(_PIPELINED_AT_ONCE, len(self._pipelined))):
            loop.call_soon(self._pipelined.popleft().take_pipelined)
        if self._pipelined:
            loop.call_soon(self._take_pipelined)

    def enter(self, address: str, *, shared: bool) -> bool:
        """Count one more HTTP connection; ``False``: there are too many, though an idle one was closed for it.

        Where an address has too many, it is one of its own: nobody closes the connections of others by opening more.
        """
        if self.bound.enter(address, shared=shared):
            return True
        candidates = self.idle if shared or not self.bound.crowded(address) else self._idle_by_site.get(site(address))
        if not candidates:
            return False
        next(iter(candidates)).close_idle()
        return self.bound.enter(address, shared=shared)

    def rest(self, connection: HttpConnection) -> None:
        """The connection is idle from now on."""
        self.idle[connection] = None
        self._idle_by_site.setdefault(site(connection.address), {})[connection] = None

    def wake(self, connection: HttpConnection) -> None:
        """The connection is not idle any more, if it was."""
        if connection not in self.idle:
            return
        del self.idle[connection]
        place = site(connection.address)
        of_site = self._idle_by_site[place]
        del of_site[connection]
        if not of_site:
            del self._idle_by_site[place]

    def close_idle(self, count: int) -> None:
        """Close so many idle connections, those first that wait longest."""
        for connection in list(self.idle)[:count]:
            connection.close_idle()

    async def close(self, timeout: float) -> None:
        """Close what is idle, and wait ``timeout`` seconds for what is being answered; then cut it."""
        self.closing = True
        for connection in list(self.connections):
            connection.shutdown()
        clock = asyncio.get_running_loop().time
        deadline = clock() + timeout
        while (self.connections or self._tasks) and clock() < deadline:
            await asyncio.sleep(_STEP)
        for task in list(self._tasks):
            task.cancel()
        for connection in list(self.connections):
            connection.cut()
