"""A process on the gateway's link that sends whatever bytes a test wants, right or wrong."""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator
from pathlib import Path

from pylinkd.protocol.link_pb2 import Frame

WAIT = 15.0


class RawLink:
    """A connection to the gateway's Unix socket."""

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

    async def register(self, name: str, *types: str, version: int = 1) -> None:
        """Send a registration as request 1."""
        frame = Frame(request_id=1)
        frame.register.protocol_version = version
        frame.register.service = name
        frame.register.instance = f"{name}-test"
        frame.register.path = f"/ws/{name}"
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
async def raw_link(path: Path) -> AsyncIterator[RawLink]:
    """A connected process that has not said who it is."""
    reader, writer = await asyncio.open_unix_connection(str(path))
    try:
        yield RawLink(reader, writer)
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
