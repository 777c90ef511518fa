"""Whether a client reads what was written to it: slowly is fine, seemingly is not."""

from __future__ import annotations

import asyncio

from .tcp import unread

_PERIODS = 10  # of the stage's time limit, within which everything has to be read


class Sending:
    """What one client has not read yet.

    Args:
        transport: Of the client.
    """

    __slots__ = ("_least", "_left", "_transport")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._left = self._least = 0

    def begin(self, left: int = 0) -> None:
        """More was written than the kernel takes; so many bytes are not written yet."""
        self._left = unread(self._transport) + left
        self._least = max(1, self._left // _PERIODS)

    def goes_on(self, left: int = 0) -> bool:
        """Whether the client has read a fair part since the last call: a tenth of what there was at first."""
        before, self._left = self._left, unread(self._transport) + left
        return before - self._left >= self._least
