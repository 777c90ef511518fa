"""A WebSocket client that sends whatever bytes a test wants, right or wrong."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import socket
import struct
from collections.abc import AsyncIterator

from tests.processes import Platform

WAIT = 15.0

TEXT, BINARY, CLOSE, PING, PONG = 0x1, 0x2, 0x8, 0x9, 0xA


def frame(opcode: int, payload: bytes, *, fin: bool = True, masked: bool = True, reserved: int = 0) -> bytes:
    """A client's frame (RFC 6455 §5.2)."""
    first = (0x80 if fin else 0) | (reserved << 4) | opcode
    mark = 0x80 if masked else 0
    size = len(payload)
    if size < 126:
        head = struct.pack(">BB", first, mark | size)
    elif size < 65536:
        head = struct.pack(">BBH", first, mark | 126, size)
    else:
        head = struct.pack(">BBQ", first, mark | 127, size)
    if not masked:
        return head + payload
    mask = os.urandom(4)
    return head + mask + bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))


class RawWebSocket:
    """A connection after its opening handshake."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, *pieces: bytes) -> None:
        """Send bytes as they are."""
        self._writer.write(b"".join(pieces))
        await self._writer.drain()

    async def receive(self) -> tuple[int, bytes]:
        """Opcode and payload of the next frame.

        Raises:
            asyncio.IncompleteReadError: If the connection ended.
        """
        async with asyncio.timeout(WAIT):
            first, second = await self._reader.readexactly(2)
            size = second & 0x7F
            if size == 126:
                (size,) = struct.unpack(">H", await self._reader.readexactly(2))
            elif size == 127:
                (size,) = struct.unpack(">Q", await self._reader.readexactly(8))
            assert not second & 0x80, "a server does not mask"
            assert first & 0x80, "the gateway does not fragment"
            return first & 0x0F, await self._reader.readexactly(size)

    async def close_code(self) -> int | None:
        """The code of the close frame that comes; ``None``: it has none. What comes before is passed over."""
        while True:
            opcode, payload = await self.receive()
            if opcode == CLOSE:
                return int.from_bytes(payload[:2], "big") if payload else None

    async def ended(self) -> bytes:
        """Everything up to the end of the TCP connection."""
        async with asyncio.timeout(WAIT):
            return await self._reader.read()

    def stop_reading(self) -> None:
        """Take nothing more from the socket, as a process that hangs does."""
        self._writer.transport.pause_reading()  # type: ignore[attr-defined]

    def reset(self) -> None:
        """End the TCP connection with a reset, as a crashed client's kernel does."""
        raw = self._writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        # Not close(): over TLS it would say goodbye first, which a crashed client does not.
        self._writer.transport.abort()

    def close(self) -> None:
        """End the TCP connection."""
        self._writer.close()


def opening(path: str, port: int, *extra: str) -> bytes:
    """The head of an opening handshake."""
    key = base64.b64encode(os.urandom(16)).decode()
    lines = (
        f"GET {path} HTTP/1.1",
        f"Host: 127.0.0.1:{port}",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Key: {key}",
        *extra,
        "",
        "",
    )
    return "\r\n".join(lines).encode("latin-1")


@contextlib.asynccontextmanager
async def raw_connection(running: Platform) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection to the gateway on which nothing was said, but for what TLS says."""
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port, ssl=running.trust)
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


@contextlib.asynccontextmanager
async def raw_websocket(running: Platform, path: str, *extra: str) -> AsyncIterator[RawWebSocket]:
    """A connection that was accepted."""
    async with raw_connection(running) as (reader, writer):
        writer.write(opening(path, running.port, *extra))
        async with asyncio.timeout(WAIT):
            head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 "), head
        yield RawWebSocket(reader, writer)


async def http_exchange(running: Platform, request: bytes) -> bytes:
    """Send bytes, and return everything that comes back until the other side ends the connection."""
    async with raw_connection(running) as (reader, writer):
        writer.write(request)
        async with asyncio.timeout(WAIT):
            return await reader.read()
