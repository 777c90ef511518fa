"""The buffer that connections are read into before they are WebSockets: one for all.

Whoever is read from takes a copy before anything else is read, so that one buffer does. It bounds what a single read
brings: uvloop's own is 256 KiB, which a connection that is paused right after would keep.
"""

from __future__ import annotations

READ_SIZE = 16 * 1024
"""Bytes of one read."""

BUFFER = memoryview(bytearray(READ_SIZE))


def received(nbytes: int) -> bytes:
    """What the last read brought."""
    return bytes(BUFFER[:nbytes])
