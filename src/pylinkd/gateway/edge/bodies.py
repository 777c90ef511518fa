"""How many large request bodies are kept at once, over all connections."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator

from ...protocol.errors import ServiceUnavailableError

_SMALL = 16 * 1024  # bytes; about what one read brings anyway
_COPIES = 2  # of a body that exist at once: what arrived, and what is sent to the service


class Bodies:
    """Room for the bodies of HTTP requests. A request waits for its room in the order of arrival, unread.

    A body of up to 16 KiB needs none: otherwise a few large ones could keep everybody out.

    Args:
        limit: Bytes that bodies and their copies may take together. A single one is taken whatever its size.
        patience: Seconds that a request waits.
    """

    def __init__(self, limit: int, patience: float) -> None:
        self._limit = limit
        self._patience = patience
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()
        self.taken = 0

    @property
    def waiting(self) -> int:
        """Requests that wait for room."""
        return len(self._waiting)

    @contextlib.asynccontextmanager
    async def room(self, size: int) -> AsyncIterator[None]:
        """Room for a body of up to ``size`` bytes, until the request is answered.

        Raises:
            ServiceUnavailableError: If there was none for as long as a request waits.
        """
        taken = 0 if size <= _SMALL else size * _COPIES
        if taken:
            await self._take(taken)
        try:
            yield
        finally:
            self.taken -= taken
            self._admit()

    def _fits(self, size: int) -> bool:
        return not self.taken or self.taken + size <= self._limit

    async def _take(self, size: int) -> None:
        if not self._waiting and self._fits(size):
            self.taken += size
            return
        place = size, asyncio.get_running_loop().create_future()
        self._waiting.append(place)
        try:
            async with asyncio.timeout(self._patience):
                await place[1]
        except BaseException as cause:
            if place in self._waiting:
                self._waiting.remove(place)
            elif place[1].done() and not place[1].cancelled():
                self.taken -= size  # it was given in the same turn
            self._admit()
            if isinstance(cause, TimeoutError):
                raise ServiceUnavailableError("Too many large requests arrive at once.", retry_after=1.0) from cause
            raise

    def _admit(self) -> None:
        while self._waiting and self._fits(self._waiting[0][0]):
            size, granted = self._waiting.popleft()
            if not granted.done():
                self.taken += size
                granted.set_result(None)
