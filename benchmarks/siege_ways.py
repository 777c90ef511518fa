"""The ways in which one client is at its worst: what it sends on how many connections, and whether it reads."""

from __future__ import annotations

import base64
import os
import zlib
from dataclasses import dataclass

from .raw_client import PING, frame

_BINARY = 0x2
_BLOCK = 2**16  # bytes that are sent together
_PIPELINED = 256 * 1024
_BODY = 2**20
_JUNK = 65_000
_DEFLATE = "Sec-WebSocket-Extensions: permessage-deflate"
_HEALTH = b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n"


@dataclass(frozen=True)
class Way:
    """One way to be a bad client.

    Attributes:
        title: What it does, for people.
        connections: That it has at once; each that ends is opened again.
        websocket: Whether each begins with an opening handshake.
        headers: More lines of that handshake.
        first: What each sends first.
        block: What it sends then, again and again; empty: nothing.
        most: Bytes of it on one connection; ``None``: without end.
        rate: Blocks a second on each connection, the first after a pause; ``None``: as fast as they are taken.
        reads: Whether it reads what comes.
        stubborn: Whether it goes on sending after a close frame.
        admin: Whether the connections are to the admin port.
        tls: Whether the gateway serves TLS; what is sent is not TLS's, or half of it.
    """

    title: str
    connections: int
    websocket: bool = False
    headers: tuple[str, ...] = ()
    first: bytes = b""
    block: bytes = b""
    most: int | None = None
    rate: float | None = None
    reads: bool = True
    stubborn: bool = False
    admin: bool = False
    tls: bool = False


def _repeated(piece: bytes) -> bytes:
    """The piece as often as makes a block."""
    return piece * max(1, _BLOCK // len(piece))


def _incompressible() -> bytes:
    """Text that is no JSON, compressed, which helps little."""
    deflater = zlib.compressobj(9, zlib.DEFLATED, -15)
    text = base64.b64encode(os.urandom(_JUNK))[:_JUNK]
    return (deflater.compress(text) + deflater.flush(zlib.Z_SYNC_FLUSH))[:-4]


def _echo() -> bytes:
    return frame(b'{"type":"bench.echo","data":{"text":"x"},"id":1}')


_METRICS = b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n"
_CHUNKED = _HEALTH + b"Transfer-Encoding: chunked\r\n\r\n"
_POST = f"POST /nowhere HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {_BODY}\r\n\r\n".encode()
# RFC 8446 §4: a record of 512 bytes with a ClientHello, of which the first few bytes come.
_HALF_HELLO = bytes.fromhex("16030102000100 01fc0303") + bytes(16)

WAYS: dict[str, Way] = {
    "trailers": Way("trailer lines for ever", 4, first=_CHUNKED + b"0\r\n", block=_repeated(b"a:b\r\n")),
    "trailer": Way("one trailer without end", 4, first=_CHUNKED + b"0\r\na:", block=_repeated(b"b")),
    "extension": Way("a chunk extension without end", 4, first=_CHUNKED + b"1;a=", block=_repeated(b"b")),
    "pipeline": Way(
        "256 KiB of pipelined GETs, answers unread", 40,
        block=_repeated(_HEALTH + b"\r\n"), most=_PIPELINED, reads=False,
    ),
    "bodies": Way(
        "1 MiB but for a byte to a path that does not exist", 900, first=_POST, block=bytes(_BLOCK), most=_BODY - 1
    ),
    "silent": Way(
        "a request, an empty line after its answer, and silence", 2000,
        first=_HEALTH + b"\r\n", block=b"\r\n", most=2, rate=1.0,
    ),
    "unspoken": Way("connected, and silence", 2000),
    "tls": Way("TLS: connected, and silence", 400, tls=True),
    "hello": Way("TLS: half a ClientHello, and silence", 400, first=_HALF_HELLO, tls=True),
    "admin": Way("admin port: a head without end", 4, first=_METRICS + b"a: ", block=_repeated(b"b"), admin=True),
    "admin-silent": Way("admin port: half a head, and silence", 400, first=_METRICS, admin=True),
    "malformed": Way("messages that are no JSON, 3,000 a second", 1, True, block=frame(b"{") * 30, rate=100),
    "junk": Way(
        "incompressible junk of 65 KB, compressed", 4, True, headers=(_DEFLATE,),
        block=frame(_incompressible(), compressed=True),
    ),
    "pings": Way("empty pings as fast as they are taken", 10, True, block=_repeated(frame(b"", PING)), reads=False),
    "leftovers": Way(
        "chunks of a stream after it was refused with 413", 4, True,
        first=frame(b'{"type":"bench.upload","stream":true,"id":1}'), block=frame(bytes(_BLOCK - 16), _BINARY),
    ),
    "deaf": Way(
        "messages after it was closed with 4429", 4, True, block=_repeated(_echo()), reads=False, stubborn=True
    ),
}  # fmt: skip
"""By name."""
