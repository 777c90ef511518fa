"""What is left of a connection that has ended: nothing that waits for the garbage collector, which seldom comes."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
import ssl
import struct
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import uvloop

from pylinkd.gateway.server import Gateway
from pylinkd.gateway.settings import Settings
from pylinkd.protocol.link_pb2 import Frame

from ..certificates import Certificate
from .routing.rig import Process, registration

CONNECTIONS = 10
HEAD = b" HTTP/1.1\r\nHost: x\r\n"
UPGRADE = (
    b"GET /ws/chat" + HEAD + b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
CLOSE = b"\x88\x82\0\0\0\0\x03\xe8"


@contextlib.asynccontextmanager
async def running(folder: Path, certificate: Certificate | None) -> AsyncIterator[Gateway]:
    """A gateway in this process, with a service in memory."""
    files = {} if certificate is None else {"certfile": certificate.certfile, "keyfile": certificate.keyfile}
    gateway = Gateway(Settings(port=0, admin_port=0, link=folder / "l.sock", shutdown_timeout_ms=500, **files))  # type: ignore[arg-type]
    await gateway.start()
    process = Process(SimpleNamespace(commands=gateway.parts.routing.commands, link_window=8192))  # type: ignore[arg-type]
    process.ask(Frame(register=registration()))
    try:
        yield gateway
    finally:
        process.die()
        await gateway.stop()


def visit(port: int, secure: bool, request: bytes, farewell: bytes) -> None:
    """Ask, read a little, and reset the connection."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=10)
    if secure:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        connection = context.wrap_socket(connection)
    connection.sendall(request)
    assert connection.recv(100).startswith(b"HTTP/1.1 ")
    if farewell:
        connection.sendall(farewell)
        connection.recv(100)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def remains() -> list[str]:
    """Of connections."""
    names = (
        "SSLProtocol",
        "HttpConnection",
        "Connection",
        "WSProtocol",
        "Exchange",
        "Closing",
        "Handshaking",
        "Arrival",
    )
    ours = ("pylinkd.", "uvloop", "picows")
    kinds = [type(one) for one in gc.get_objects()]
    return sorted(kind.__name__ for kind in kinds if kind.__name__ in names and kind.__module__.startswith(ours))


@pytest.mark.parametrize("secure", [False, True])
@pytest.mark.parametrize(
    ("request_", "farewell"),
    [
        (b"GET /health" + HEAD + b"\r\n", b""),
        (b"GET /no" + HEAD + b"Connection: close\r\n\r\n", b""),
        (UPGRADE, b""),
        (UPGRADE, CLOSE),
    ],
    ids=["http", "http that closes", "websocket", "websocket that closes"],
)
def test_nothing_is_left_of_connections(
    tmp_path: Path, certificate: Certificate, secure: bool, request_: bytes, farewell: bytes
) -> None:
    """On the loop of production, with the collector turned off."""

    async def measure() -> list[str]:
        async with running(tmp_path, certificate if secure else None) as gateway:
            port = int(gateway.address.rpartition(":")[2])
            gc.collect()
            gc.disable()
            try:
                for _ in range(CONNECTIONS):
                    await asyncio.to_thread(visit, port, secure, request_, farewell)
                async with asyncio.timeout(10):
                    while gateway.parts.traffic.http.total() or gateway.parts.traffic.states.total():
                        await asyncio.sleep(0.01)
                await asyncio.sleep(0.05)
                return remains()
            finally:
                gc.enable()

    assert uvloop.run(measure()) == []
