"""How many bytes of HTTP answers are kept for clients that do not read them."""

from __future__ import annotations

import asyncio

import structlog

from ..core.traffic import Traffic

log = structlog.get_logger("linkd.edge")


class Unread:
    """The connections whose client has more to read than the kernel takes.

    When they hold too much together, the one that has not read for longest is cut: memory has a bound whatever clients
    ask for, and whoever reads gets everything.

    Args:
        limit: Bytes. A single answer is kept whatever its size.
        traffic: Counts those that are cut.
    """

    def __init__(self, limit: int, traffic: Traffic) -> None:
        self._limit = limit
        self._traffic = traffic
        self._held: dict[asyncio.Transport, int] = {}
        self.total = 0

    def hold(self, transport: asyncio.Transport, size: int) -> None:
        """So many bytes wait for the client from now on."""
        self.release(transport)
        self._held[transport] = size
        self.total += size
        while self.total > self._limit and len(self._held) > 1:
            longest = next(iter(self._held))
            self.release(longest)
            self._traffic.answers_cut += 1
            log.info("answer_cut", peer=longest.get_extra_info("peername"))
            longest.abort()

    def release(self, transport: asyncio.Transport) -> None:
        """The client has read what waited for it, or is gone."""
        self.total -= self._held.pop(transport, 0)
