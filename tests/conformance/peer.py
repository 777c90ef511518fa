"""The other end of a case: sends bytes in pieces, and reads frames with a parser that forgives nothing."""

from __future__ import annotations

import asyncio
import contextlib
import struct
import zlib
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass

from tests.integration.raw_websocket import opening

WAIT = 30.0  # seconds; a busy machine may take long over anything


@dataclass(frozen=True)
class Received:
    """A frame of the gateway's, inflated."""

    opcode: int
    payload: bytes


class Parser:
    """Reads what a server sends.

    Args:
        window_bits: The server may compress with this window at most, and then compresses every message; ``None``:
            nothing was agreed on.
    """

    def __init__(self, window_bits: int | None = None) -> None:
        self._window_bits = window_bits
        self._buffer = bytearray()
        self._closed = False

    def feed(self, data: bytes) -> list[Received]:
        """The frames that these bytes complete.

        Raises:
            AssertionError: If they break RFC 6455 or RFC 7692.
        """
        self._buffer += data
        frames = []
        while (size := self._size()) is not None:
            frames.append(self._take(size))
        return frames

    @property
    def empty(self) -> bool:
        """Whether no part of a frame is left."""
        return not self._buffer

    def _size(self) -> int | None:
        """Of the next frame with its head; ``None``: not all of it is there."""
        buffer = self._buffer
        if len(buffer) < 2:
            return None
        assert not buffer[1] & 0x80, "a server does not mask"
        size, head = buffer[1] & 0x7F, 2
        if size >= 126:
            head = 4 if size == 126 else 10
            if len(buffer) < head:
                return None
            least = 126 if size == 126 else 65536
            (size,) = struct.unpack_from(">H" if size == 126 else ">Q", buffer, 2)
            assert size >= least, "a length has its shortest form"
        return head + size if len(buffer) >= head + size else None

    def _take(self, size: int) -> Received:
        assert not self._closed, "nothing follows a close frame"
        first = self._buffer[0]
        head = {126: 4, 127: 10}.get(self._buffer[1], 2)
        payload = bytes(self._buffer[head:size])
        del self._buffer[:size]
        opcode = first & 0x0F
        assert first & 0x80, "the gateway does not fragment"
        assert not first & 0x30, "no extension uses RSV2 or RSV3"
        assert opcode in (0x1, 0x2, 0x8, 0x9, 0xA)
        if opcode >= 0x8:
            assert len(payload) <= 125, "a control frame is short"
        compressed = bool(first & 0x40)
        assert compressed == (self._window_bits is not None and opcode < 0x8)
        if compressed:
            assert self._window_bits is not None
            payload = zlib.decompressobj(-self._window_bits).decompress(payload + b"\x00\x00\xff\xff")
        if opcode == 0x8:
            self._closed = True
            assert len(payload) != 1
            payload[2:].decode()
        return Received(opcode, payload)


class Peer(asyncio.Protocol):
    """A connection, from its opening handshake to its end.

    Not over streams: a stream that is reset forgets what it has read, and with it the close frame.

    Args:
        window_bits: See Parser.

    Attributes:
        head: The gateway's answer to the opening handshake.
    """

    def __init__(self, window_bits: int | None) -> None:
        self._parser = Parser(window_bits)
        self._unread = bytearray()
        self._frames: deque[Received] = deque()
        self._news = asyncio.Event()
        self._drained = asyncio.Event()
        self._drained.set()
        self._transport: asyncio.Transport | None = None
        self._failure: AssertionError | None = None
        self._ended = False
        self.head = b""

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        if not self.head:
            self._unread += data
            head, end, rest = bytes(self._unread).partition(b"\r\n\r\n")
            if not end:
                return
            self.head, data = head + end, rest
        try:
            self._frames.extend(self._parser.feed(data))
        except AssertionError as failure:
            # Raised where the test waits: here asyncio would only log it.
            self._failure = failure
        self._news.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        self._ended = True
        self._news.set()
        self._drained.set()

    def pause_writing(self) -> None:
        """See asyncio.Protocol."""
        self._drained.clear()

    def resume_writing(self) -> None:
        """See asyncio.Protocol."""
        self._drained.set()

    # the test

    async def send(self, data: bytes, size: int) -> None:
        """Send bytes in pieces of this size; a connection that the gateway has ended takes the rest in silence."""
        assert self._transport is not None
        view = memoryview(data)
        for start in range(0, len(data), size):
            if self._ended:
                return
            self._transport.write(view[start : start + size])
            # The gateway's turn: pieces that are sent at once arrive as one.
            await asyncio.sleep(0)
            if not self._drained.is_set():
                async with asyncio.timeout(WAIT):
                    await self._drained.wait()

    async def frame(self) -> Received | None:
        """The next frame; ``None``: the connection has ended."""
        async with asyncio.timeout(WAIT):
            while not self._frames:
                if self._failure is not None:
                    raise self._failure
                if self._ended:
                    assert self._parser.empty, "the connection ended within a frame"
                    return None
                self._news.clear()
                await self._news.wait()
        return self._frames.popleft()

    async def accepted(self) -> dict[str, str]:
        """The headers of the answer to the opening handshake, by lower-case name."""
        async with asyncio.timeout(WAIT):
            while not self.head:
                assert not self._ended, "the opening handshake got no answer"
                self._news.clear()
                await self._news.wait()
        status, *lines = self.head.decode().strip().split("\r\n")
        assert status.startswith("HTTP/1.1 101 "), status
        return {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}

    def abort(self) -> None:
        """End it, whatever its state."""
        assert self._transport is not None
        self._transport.abort()


@contextlib.asynccontextmanager
async def peer(port: int, *headers: str, window_bits: int | None = None) -> AsyncIterator[Peer]:
    """A connection whose opening handshake is sent."""
    _, other = await asyncio.get_running_loop().create_connection(lambda: Peer(window_bits), "127.0.0.1", port)
    try:
        await other.send(opening("/ws/echo", port, *headers), 2**16)
        yield other
    finally:
        other.abort()
