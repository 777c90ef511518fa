"""How many large request bodies are kept at once, over all connections."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from ...protocol.errors import ServiceUnavailableError
from ..guard.addresses import site

_SMALL = 16 * 1024  # bytes; about what one read brings anyway
_COPIES = 2  # of a body that exist at once: what arrived, and what is sent to the service
_SHARES = 4  # one address may take so large a part of the room


class Bodies:
    """Space for the bodies of HTTP requests. A request waits for its space in the order of arrival, unread.

    A body of up to 16 KiB needs none, and one address gets a quarter of it at most: otherwise a few large ones
    that never arrive could keep everybody out.

    Args:
        limit: Bytes that bodies and their copies may take together. A single one is taken whatever its size.
        patience: Seconds that a request waits.
    """

    def __init__(self, limit: int, patience: float) -> None:
        self._limit = limit
        self._patience = patience
        self._waiting: list[_Place] = []
        self._by_site: dict[str, int] = {}
        self.taken = 0

    @property
    def waiting(self) -> int:
        """Requests that wait for room."""
        return len(self._waiting)

    @contextlib.asynccontextmanager
    async def space(self, size: int, address: str) -> AsyncIterator[None]:
        """Space for a body of up to ``size`` bytes from ``address``, until the request is answered.

        Raises:
            ServiceUnavailableError: If there was none for as long as a request waits.
        """
        if size <= _SMALL:
            yield
            return
        place = _Place(size * _COPIES, site(address))
        await self._take(place)
        try:
            yield
        finally:
            self._leave(place)

    async def _take(self, place: _Place) -> None:
        self._waiting.append(place)
        self._admit()
        try:
            async with asyncio.timeout(self._patience):
                await place.granted
        except BaseException as cause:
            if place in self._waiting:
                self._waiting.remove(place)
                self._admit()
            else:
                self._leave(place)  # it was given in the same turn
            if isinstance(cause, TimeoutError):
                raise ServiceUnavailableError("Too many large requests arrive at once.", retry_after=1.0) from cause
            raise

    def _leave(self, place: _Place) -> None:
        self.taken -= place.size
        self._by_site[place.site] -= place.size
        if not self._by_site[place.site]:
            del self._by_site[place.site]
        self._admit()

    def _admit(self) -> None:
        """Give space to those that wait, but for addresses that have enough: these are passed over."""
        for place in list(self._waiting):
            if place.granted.cancelled():
                continue  # it leaves by itself in the next turn
            if self.taken and self.taken + place.size > self._limit:
                break
            of_site = self._by_site.get(place.site, 0)
            if of_site and of_site + place.size > self._limit // _SHARES:
                continue
            self._waiting.remove(place)
            self.taken += place.size
            self._by_site[place.site] = of_site + place.size
            place.granted.set_result(None)


class _Place:
    """A request that waits for room, or has it."""

    __slots__ = ("granted", "site", "size")

    def __init__(self, size: int, site: str) -> None:
        self.size = size
        self.site = site
        self.granted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
