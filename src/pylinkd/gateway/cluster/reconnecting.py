"""What connections to servers of the bus do alike: try one server after the other, and come back."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

Address = TypeVar("Address")

_FIRST_DELAY, _LONGEST_DELAY = 0.1, 5.0  # seconds before another attempt


class Reconnecting(Generic[Address]):
    """Keeps being connected to one of several servers.

    Args:
        addresses: The servers; more may be added.
        serve: Is connected to a server as long as that goes; ``False``: it did not come to that.
        dice: In which order they are tried, and when.
    """

    def __init__(
        self, addresses: Sequence[Address], serve: Callable[[Address], Awaitable[bool]], dice: random.Random
    ) -> None:
        self.addresses = list(addresses)
        self._serve = serve
        self._dice = dice
        self._keeping: asyncio.Task[None] | None = None

    def begin(self, name: str) -> None:
        """Connect, in a task of this name."""
        self._keeping = asyncio.get_running_loop().create_task(self._keep(), name=name)

    async def end(self) -> None:
        """Connect no more; what ``serve`` does is cancelled."""
        if self._keeping is not None:
            self._keeping.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._keeping

    async def _keep(self) -> None:
        delay = _FIRST_DELAY
        while True:
            for address in self._dice.sample(self.addresses, len(self.addresses)):
                if await self._serve(address):
                    delay = _FIRST_DELAY
                    break
            await asyncio.sleep(delay * (0.5 + self._dice.random() / 2))
            delay = min(_LONGEST_DELAY, 2 * delay)
