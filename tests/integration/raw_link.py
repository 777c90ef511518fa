"""A process on the gateway's link that sends whatever bytes a test wants, right or wrong."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import struct
from collections.abc import AsyncIterator
from pathlib import Path

from pylinkd.protocol.link_pb2 import Frame
from pylinkd.protocol.rendezvous import Address

WAIT = 15.0


class RawLink:
    """A connection to the gateway's link."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send_bytes(self, data: bytes) -> None:
        """Send bytes as they are."""
        self._writer.write(data)
        await self._writer.drain()

    async def send(self, frame: Frame) -> None:
        """Send one frame."""
        body = frame.SerializeToString()
        await self.send_bytes(struct.pack(">I", len(body)) + body)

    async def receive(self, kind: str) -> Frame:
        """The next frame of this kind; others are passed over.

        Raises:
            asyncio.IncompleteReadError: If the gateway ended the connection.
        """
        async with asyncio.timeout(WAIT):
            while True:
                (size,) = struct.unpack(">I", await self._reader.readexactly(4))
                frame = Frame.FromString(await self._reader.readexactly(size))
                if frame.WhichOneof("body") == kind:
                    return frame

    async def register(self, name: str, *types: str, version: int = 1, secret: str = "") -> None:
        """Send a registration as request 1."""
        frame = Frame(request_id=1)
        frame.register.protocol_version = version
        frame.register.service = name
        frame.register.instance = f"{name}-test"
        frame.register.path = f"/ws/{name}"
        frame.register.secret = secret.encode()
        for type in types:
            frame.register.handlers.add(type=type)
        await self.send(frame)

    async def ended(self, timeout: float = WAIT) -> bytes:
        """Everything up to the end of the connection, which the gateway has to bring about."""
        async with asyncio.timeout(timeout):
            with contextlib.suppress(ConnectionResetError):
                return await self._reader.read()
        return b""

    def end_writing(self) -> None:
        """Say that nothing more comes."""
        self._writer.write_eof()


@contextlib.asynccontextmanager
async def raw_link(place: Path | str, trust: ssl.SSLContext | None = None) -> AsyncIterator[RawLink]:
    """A connected process that has not said who it is.

    Args:
        place: The socket's path, or ``tcp://host:port``.
        trust: With what to shake hands over TCP; ``None``: no TLS.
    """
    address = Address.parse(place)
    if address.path is not None:
        reader, writer = await asyncio.open_unix_connection(str(address.path))
    else:
        reader, writer = await asyncio.open_connection(address.host, address.port, ssl=trust)
    try:
        yield RawLink(reader, writer)
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
