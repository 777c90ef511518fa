"""One end of the link between gateway and service: what both ends do alike with frames and with the socket.

How each waits for answers is its own: gateway/routing/link.py, sdk/link.py.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from collections.abc import Iterator
from typing import NamedTuple, cast

from .protocol.errors import LinkdError
from .protocol.link import BATCH_FRAMES, MAX_FRAME_SIZE, Batch, FrameReader, encode
from .protocol.link_pb2 import Frame
from .protocol.link_values import fill_failure

_CREDENTIALS = struct.Struct("3i")  # struct ucred of unix(7)
_CHUNK = 256 * 1024  # bytes read at once
_MOST_LEFT = 64 * 2**20  # bytes; more than any kernel keeps for a socket


class Credentials(NamedTuple):
    """Whose the process at the other end of a Unix socket is, at the time of connecting."""

    pid: int
    uid: int
    gid: int


def peer_credentials(transport: asyncio.BaseTransport) -> Credentials | None:
    """Who is at the other end, by the word of the kernel; ``None``: it came over the network."""
    connection = transport.get_extra_info("socket")
    if connection is None or connection.family != socket.AF_UNIX:
        return None
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return Credentials(*_CREDENTIALS.unpack(raw))


class LinkEndpoint(asyncio.Protocol):
    """One end of one connection. What becomes ready in one loop turn leaves in few writes.

    Args:
        limit: Bytes of the largest frame that is taken.
    """

    def __init__(self, limit: int = MAX_FRAME_SIZE) -> None:
        self._loop = asyncio.get_running_loop()
        self._reader = FrameReader(limit)
        self._batch = Batch()
        self._last_id = 0
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        self._transport = cast(asyncio.Transport, transport)

    def answer(self, request_id: int, frame: Frame) -> None:
        """Answer the peer's question.

        Raises:
            LinkProtocolError: If the answer is too large. Nothing was sent.
        """
        frame.request_id = request_id
        encoded = encode(frame)
        if self._transport is not None:
            self._write(encoded)

    def fail(self, request_id: int, error: LinkdError) -> None:
        """Answer the peer's question with an error."""
        frame = Frame()
        fill_failure(frame.failure, error)
        self.answer(request_id, frame)

    def done(self, request_id: int) -> None:
        """Answer the peer's question with nothing but that it was carried out."""
        frame = Frame()
        frame.done.SetInParent()
        self.answer(request_id, frame)

    def abort(self) -> None:
        """End the connection at once."""
        if self._transport is not None:
            self._transport.abort()

    def flush(self) -> None:
        """Write what waits."""
        if self._transport is not None:
            waiting = self._batch.take()
            if waiting:
                self._transport.write(waiting)

    def _write(self, encoded: bytes) -> None:
        waiting = self._batch.add(encoded)
        if waiting == 1:
            self._loop.call_soon(self.flush)
        elif waiting >= BATCH_FRAMES:
            self.flush()


def read_rest(transport: asyncio.BaseTransport) -> Iterator[bytes]:
    """What the peer wrote before it ended, and nobody has read. For ``connection_lost``, while the socket is open.

    A transport whose write fails ends at once, though answers of the peer may still wait in the kernel. Over TLS there
    is nothing to be had: what waits cannot be decrypted any more.
    """
    connection = transport.get_extra_info("socket")
    if connection is None or transport.get_extra_info("ssl_object") is not None:
        return
    size = 0
    while size < _MOST_LEFT:
        try:
            data = os.read(connection.fileno(), _CHUNK)
        except OSError:  # nothing is left for now, or the reset that ended the connection
            return
        if not data:
            return
        size += len(data)
        yield data
