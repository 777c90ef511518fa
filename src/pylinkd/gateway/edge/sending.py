"""Whether a client reads what was written to it: slowly is fine, seemingly is not."""

from __future__ import annotations

import asyncio
import fcntl
import struct
import termios

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
        self._left = self._unread() + left
        self._least = max(1, self._left // _PERIODS)

    def goes_on(self, left: int = 0) -> bool:
        """Whether the client has read a fair part since the last call: a tenth of what there was at first."""
        before, self._left = self._left, self._unread() + left
        return before - self._left >= self._least

    def _unread(self) -> int:
        """Bytes that were written and that the client's kernel has not acknowledged."""
        # The transport's buffer alone stands still for long: the kernel takes more only when a third of its is free.
        size = self._transport.get_write_buffer_size()
        connection = self._transport.get_extra_info("socket")
        if connection is None:
            return size
        (queued,) = struct.unpack("i", fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, bytes(4)))
        return int(size + queued)
