"""How many bytes of HTTP answers are kept for clients that do not read them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from ..core.traffic import Traffic

log = structlog.get_logger("linkd.edge")

_PATIENCE = 1.0  # seconds without reading anything, after which a client makes room for others


class Unread:
    """The connections whose client has more to read than the kernel takes.

    When they hold too much together, the one is cut that has not read for longest; where each has read within the last
    second, the one that came last. So memory has a bound whatever clients ask for, and whoever reads gets everything.

    Args:
        limit: Bytes. A single answer is kept whatever its size.
        traffic: Counts those that are cut.
        clock: Seconds, monotonic.
    """

    def __init__(self, limit: int, traffic: Traffic, clock: Callable[[], float]) -> None:
        self._limit = limit
        self._traffic = traffic
        self._clock = clock
        self._held: dict[asyncio.Transport, tuple[int, float]] = {}  # bytes, and since when; longest first
        self.total = 0

    def hold(self, transport: asyncio.Transport, size: int) -> None:
        """So many bytes wait for the client from now on; some of those before it has read."""
        self.release(transport)
        now = self._clock()
        self._held[transport] = size, now
        self.total += size
        while self.total > self._limit and len(self._held) > 1:
            longest = next(iter(self._held))
            idle = now - self._held[longest][1] >= _PATIENCE
            self._cut(longest if idle else next(reversed(self._held)))

    def _cut(self, transport: asyncio.Transport) -> None:
        self.release(transport)
        self._traffic.answers_cut += 1
        log.info("answer_cut", peer=transport.get_extra_info("peername"))
        transport.abort()

    def release(self, transport: asyncio.Transport) -> None:
        """The client has read what waited for it, or is gone."""
        size, _ = self._held.pop(transport, (0, 0.0))
        self.total -= size
