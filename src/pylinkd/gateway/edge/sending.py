"""Whether a client reads what was written to it: slowly is fine, seemingly is not."""

from __future__ import annotations

import asyncio

from .tcp import unread

_PERIODS = 10  # of the stage's time limit, within which everything has to be read


class Sending:
    """How far one client has read.

    Args:
        transport: Of the client.

    Attributes:
        written: Bytes that were written to it.
    """

    __slots__ = ("_least", "_read", "_transport", "written")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._read = self._least = 0
        self.written = 0

    def begin(self, left: int = 0) -> None:
        """More was written than the kernel takes; so many bytes, as far as is known, are not written yet."""
        waiting = unread(self._transport)
        self._read = self.written - waiting
        self._least = max(1, (waiting + left) // _PERIODS)

    def goes_on(self) -> bool:
        """Whether the client has read a fair part since the last call: a tenth of what there was at first."""
        before, self._read = self._read, self.written - unread(self._transport)
        return self._read - before >= self._least
