"""A WebSocket client for asyncio without a library: for many clients in one process, and for rude ones among them."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import Callable, Sequence
from typing import cast

from .raw_client import CLOSE, PING, PONG, HandshakeError, frame, opening_request, whole_frames

_TIMEOUT = 30.0  # seconds for an opening handshake
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: closing sends a reset


class AsyncClient(asyncio.Protocol):
    """One connection. Pings are answered, and so is the server's close frame.

    Args:
        take: Given the payload of each text message.
        ended: Called once when the connection has ended.

    Attributes:
        code: The code of the server's close frame; ``None``: none came.
        closing: Whether this side has sent a close frame of its own accord, or a reset.
        open: Whether messages can be sent.
    """

    def __init__(self, take: Callable[[bytes], None], ended: Callable[[], None]) -> None:
        self._take = take
        self._tell_end = ended
        self._received = bytearray()
        self._answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._transport: asyncio.Transport | None = None
        self.code: int | None = None
        self.closing = False
        self.open = False

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        self._received += data
        if not self._answer.done() and not self._read_answer():
            return
        end = 0
        for opcode, start, end in whole_frames(self._received):
            payload = bytes(self._received[start:end])
            if opcode == CLOSE:
                self._closed_by_server(payload)
            elif opcode == PING:
                self._write(frame(payload, PONG))
            elif opcode != PONG:
                self._take(payload)
        del self._received[:end]

    def _read_answer(self) -> bool:
        head, end, rest = self._received.partition(b"\r\n\r\n")
        if not end:
            return False
        if not head.startswith(b"HTTP/1.1 101 "):
            self._answer.set_exception(HandshakeError(head.decode("latin-1").splitlines()[0]))
            self._received.clear()
            return False
        self._received = rest
        self.open = True
        self._answer.set_result(None)
        return True

    def _closed_by_server(self, payload: bytes) -> None:
        self.code = int.from_bytes(payload[:2], "big") if payload else None
        if not self.closing:
            self._write(frame(payload[:2], CLOSE))
        self.open = False

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        self._transport = None
        self.open = False
        if not self._answer.done():
            self._answer.set_exception(HandshakeError(f"the connection ended: {exc or 'closed'}"))
        self._tell_end()

    # for its owner

    async def opened(self) -> None:
        """Wait for the answer to the opening handshake.

        Raises:
            HandshakeError: If it is a refusal.
            TimeoutError: If there is none.
        """
        async with asyncio.timeout(_TIMEOUT):
            await self._answer

    def send(self, payload: bytes) -> bool:
        """Send a text message; whether it could be."""
        if self.open and not self.closing:
            self._write(frame(payload))
            return True
        return False

    def _write(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def close(self) -> None:
        """Begin the closing handshake."""
        if self._transport is not None and not self.closing:
            self._write(frame((1000).to_bytes(2, "big"), CLOSE))
            self.closing = True

    def reset(self) -> None:
        """End the TCP connection with a reset, as a crashed client's kernel does."""
        if self._transport is not None:
            self.closing = True
            plain = self._transport.get_extra_info("socket")
            with contextlib.suppress(OSError):
                plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self._transport.abort()

    def pause_reading(self) -> None:
        """Take nothing from the socket."""
        if self._transport is not None and self._transport.is_reading():
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Read again."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()


async def open_client(
    port: int,
    path: str,
    take: Callable[[bytes], None],
    ended: Callable[[], None],
    *,
    headers: Sequence[str] = (),
    receive_buffer: int = 0,
    tls: ssl.SSLContext | None = None,
) -> AsyncClient:
    """A connection to 127.0.0.1 after its opening handshake.

    Args:
        port: Of the server.
        path: What the handshake asks for.
        take, ended: See AsyncClient.
        headers: More lines of the request.
        receive_buffer: Bytes of the kernel's buffer; 0 leaves its size to the kernel.
        tls: Whom to trust; ``None``: no TLS.

    Raises:
        HandshakeError: If it is refused.
        OSError: If there is no connection; a TimeoutError is one.
    """
    plain = socket.socket()
    try:
        if receive_buffer:
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        plain.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(plain, ("127.0.0.1", port))
        name = None if tls is None else "127.0.0.1"
        transport, client = await loop.create_connection(
            lambda: AsyncClient(take, ended), sock=plain, ssl=tls, server_hostname=name
        )
    except BaseException:
        plain.close()
        raise
    try:
        transport.write(opening_request(port, path, headers))
        await client.opened()
    except BaseException:
        transport.abort()
        raise
    return client
