"""Payloads that are larger than the bus takes, in parts. No socket; the time is an argument."""

from __future__ import annotations

from collections.abc import Iterator

from ...protocol.bus_pb2 import BusChunk
from .member import Member

MAX_TOTAL = 16 * 2**20
"""Bytes of the largest payload that is sent in chunks."""

_PATIENCE = 5.0  # seconds from the first chunk to the last
_MOST_KEPT = 64 * 2**20  # bytes of payloads that are not complete


class ChunkError(Exception):
    """A chunk does not fit to those before it: the payload is lost."""


def split(payload: bytes, size: int) -> Iterator[BusChunk]:
    """A payload in parts of so many bytes."""
    total = -(-len(payload) // size)
    for index in range(total):
        yield BusChunk(index=index, total=total, data=payload[index * size : (index + 1) * size])


class Assembly:
    """Payloads of which some chunks have come. An origin sends the chunks of one name one after the other."""

    def __init__(self) -> None:
        self._parts: dict[tuple[Member, str], _Parts] = {}
        self._kept = 0

    def take(self, origin: Member, name: str, chunk: BusChunk, now: float) -> bytes | None:
        """Take a chunk; the whole payload if it was the last.

        Raises:
            ChunkError: If it is out of order, or too much is kept.
        """
        key = (origin, name)
        parts = self._parts.get(key)
        if chunk.index == 0:
            self._drop(key)
            parts = self._parts[key] = _Parts(chunk.total, now + _PATIENCE)
        elif parts is None or parts.total != chunk.total or len(parts.chunks) != chunk.index:
            self._drop(key)
            raise ChunkError
        parts.chunks.append(chunk.data)
        parts.size += len(chunk.data)
        self._kept += len(chunk.data)
        if parts.size > MAX_TOTAL or self._kept > _MOST_KEPT:
            self._drop(key)
            raise ChunkError
        if len(parts.chunks) < parts.total:
            return None
        self._drop(key)
        return b"".join(parts.chunks)

    def expire(self, now: float) -> list[str]:
        """Give up what has not been completed in time; its names."""
        late = [key for key, parts in self._parts.items() if parts.due <= now]
        for key in late:
            self._drop(key)
        return [name for _, name in late]

    def clear(self) -> None:
        """Give up everything."""
        self._parts.clear()
        self._kept = 0

    def _drop(self, key: tuple[Member, str]) -> None:
        parts = self._parts.pop(key, None)
        if parts is not None:
            self._kept -= parts.size


class _Parts:
    __slots__ = ("chunks", "due", "size", "total")

    def __init__(self, total: int, due: float) -> None:
        self.total = total
        self.due = due
        self.size = 0
        self.chunks: list[bytes] = []
