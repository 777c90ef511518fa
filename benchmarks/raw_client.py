"""WebSocket clients without a library, for what no library does: bad manners, and thousands of sockets at once."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator, Sequence

TEXT = 0x1
CLOSE = 0x8
PING = 0x9
PONG = 0xA

_TIMEOUT = 30.0  # seconds for an opening handshake
_AT_ONCE = 100  # opening handshakes under way
_KEY = "dGhlIHNhbXBsZSBub25jZQ=="  # the example of RFC 6455: the server computes as much as for any other


class HandshakeError(Exception):
    """The server did not switch protocols."""


def frame(payload: bytes, opcode: int = TEXT, *, compressed: bool = False) -> bytes:
    """A final frame. Masked with zeros, as is allowed: the server unmasks all the same, and we need not mask."""
    first = 0x80 | (0x40 if compressed else 0) | opcode
    size = len(payload)
    if size < 126:
        head = struct.pack(">BB", first, 0x80 | size)
    elif size < 2**16:
        head = struct.pack(">BBH", first, 0x80 | 126, size)
    else:
        head = struct.pack(">BBQ", first, 0x80 | 127, size)
    return head + bytes(4) + payload


def opening_request(port: int, path: str, headers: Sequence[str] = ()) -> bytes:
    """The request that opens a WebSocket.

    Args:
        port: Of the server, on 127.0.0.1.
        path: What is asked for.
        headers: More lines of the request.
    """
    lines = [
        f"GET {path} HTTP/1.1", f"Host: 127.0.0.1:{port}", "Upgrade: websocket", "Connection: Upgrade",
        f"Sec-WebSocket-Key: {_KEY}", "Sec-WebSocket-Version: 13", *headers, "", "",
    ]  # fmt: skip
    return "\r\n".join(lines).encode()


def connect(port: int, source: str = "127.0.0.1", *, send_buffer: int = 0, receive_buffer: int = 0) -> socket.socket:
    """A TCP connection to 127.0.0.1, blocking with a timeout; the arguments are those of ``open_clients``."""
    client = socket.socket()
    try:
        client.settimeout(_TIMEOUT)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for option, size in ((socket.SO_SNDBUF, send_buffer), (socket.SO_RCVBUF, receive_buffer)):
            if size:
                client.setsockopt(socket.SOL_SOCKET, option, size)
        client.bind((source, 0))
        client.connect(("127.0.0.1", port))
    except BaseException:
        client.close()
        raise
    return client


def open_clients(
    port: int,
    path: str,
    count: int,
    *,
    source: str = "127.0.0.1",
    headers: Sequence[str] = (),
    send_buffer: int = 0,
    receive_buffer: int = 0,
) -> Iterator[socket.socket]:
    """Connections after their opening handshake, not blocking.

    Args:
        port: Of the server, on 127.0.0.1.
        path: What the handshake asks for.
        count: How many.
        source: Address to connect from.
        headers: More lines of the request.
        send_buffer: Bytes of the kernel's buffer; 0 leaves its size to the kernel.
        receive_buffer: Likewise.

    Raises:
        HandshakeError: If one is refused.
    """
    request = opening_request(port, path, headers)
    while count:
        opening = []
        for _ in range(min(_AT_ONCE, count)):
            client = connect(port, source, send_buffer=send_buffer, receive_buffer=receive_buffer)
            client.sendall(request)
            opening.append(client)
        count -= len(opening)
        for client in opening:
            _read_answer(client)
            client.setblocking(False)
            yield client


def _read_answer(client: socket.socket) -> None:
    answer = b""
    while b"\r\n\r\n" not in answer:
        # What follows the head is dropped: only a member of a room gets something unasked.
        part = client.recv(4096)
        if not part:
            raise HandshakeError(f"closed after {answer!r}")
        answer += part
    if not answer.startswith(b"HTTP/1.1 101 "):
        raise HandshakeError(answer.decode("latin-1").splitlines()[0])


def whole_frames(data: bytes | bytearray) -> Iterator[tuple[int, int, int]]:
    """Opcode, start and end of the payload of each frame that is whole, as a server sends them: unmasked."""
    at = 0
    while len(data) - at >= 2:
        size, start = data[at + 1] & 0x7F, at + 2
        if size >= 126:
            wide = 2 if size == 126 else 8
            if len(data) - start < wide:
                return
            size = int.from_bytes(data[start : start + wide], "big")
            start += wide
        if len(data) - start < size:
            return
        yield data[at] & 0x0F, start, start + size
        at = start + size


def close_code(tail: bytes) -> int | None:
    """The code of the close frame that ends these bytes of a stream of ASCII text; ``None``: they end otherwise."""
    at = tail.rfind(b"\x88")
    if at < 0 or len(tail) - at < 4 or tail[at + 1] != len(tail) - at - 2:
        return None
    return int.from_bytes(tail[at + 2 : at + 4], "big")
