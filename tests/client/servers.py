"""Servers that keep to the protocol as far as a test wants it, on the library ``websockets``."""

from __future__ import annotations

import asyncio
import contextlib
import json
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec
from websockets.asyncio.server import ServerConnection
from websockets.asyncio.server import serve as serve_websockets
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

QUICK = {"baseMs": 50, "capMs": 100, "jitter": 0, "attempts": 0}
"""A policy of coming back that costs a test little."""

_ACKNOWLEDGED = 16  # messages that a server acknowledges together

Refusal = Callable[[Request], Response | None]


class Peer:
    """A connection of a client's, as its server sees it. It counts as the protocol wants it.

    Args:
        websocket: The connection.
        number: Which one it is, from 1.

    Attributes:
        number: See above.
        received: Counted messages that came.
        sent: Counted messages that were sent.
        acks: The data of what the client acknowledged.
    """

    def __init__(self, websocket: ServerConnection, number: int) -> None:
        self.number = number
        self.received = self.sent = 0
        self.acks: list[dict[str, Any]] = []
        self._websocket = websocket
        self._binary = websocket.subprotocol == "linkd.v1+msgpack"

    @property
    def headers(self) -> Headers:
        """Of the opening handshake."""
        assert self._websocket.request is not None
        return self._websocket.request.headers

    @property
    def offer(self) -> str:
        """What the client says of its session in the opening handshake."""
        return self.headers["Sec-WebSocket-Protocol"].split(",")[1].strip()

    async def say(self, type: str, data: Any = None, **more: Any) -> None:
        """Send a message."""
        message = {"type": type, "data": data, **more}
        self.sent += not type.startswith("linkd.")
        await self.raw(msgspec.msgpack.encode(message) if self._binary else json.dumps(message))

    async def raw(self, payload: str | bytes, *, text: bool | None = None) -> None:
        """Send a frame, whatever is in it."""
        await self._websocket.send(payload, text=text)

    async def welcome(self, **fields: Any) -> None:
        """Welcome the client to a session of this connection's own; ``None`` leaves a field out."""
        data = {"session": f"s-{self.number}", "resume": f"t-{self.number}", "retry": QUICK, **fields}
        await self.say("linkd.welcome", {name: value for name, value in data.items() if value is not None})

    async def answer(self, message: dict[str, Any], data: Any = None) -> None:
        """Answer a message."""
        await self.say("response", data, id=message["id"])

    async def hear(self) -> dict[str, Any]:
        """The next message but acknowledgements. Those that want an echo get one."""
        while True:
            payload = await self._websocket.recv()
            assert isinstance(payload, bytes) is self._binary
            message: dict[str, Any]
            message = json.loads(payload) if isinstance(payload, str) else msgspec.msgpack.decode(payload)
            if message["type"] == "linkd.ack":
                self.acks.append(message["data"])
                if message["data"].get("echo"):
                    await self._acknowledge()
                continue
            if not message["type"].startswith("linkd."):
                self.received += 1
                if self.received % _ACKNOWLEDGED == 0:
                    await self._acknowledge()
            return message

    async def _acknowledge(self) -> None:
        with contextlib.suppress(ConnectionClosed):  # what came before the end is still read
            await self.say("linkd.ack", {"received": self.received, "sent": self.sent})

    async def hear_answers(self, count: int) -> list[dict[str, Any]]:
        """The next answers of the client's; what it asks meanwhile gets its own data."""
        answers: list[dict[str, Any]] = []
        while len(answers) < count:
            message = await self.hear()
            if message["type"] in ("response", "error"):
                answers.append(message)
            elif "id" in message:
                await self.answer(message, message.get("data"))
        return answers

    async def hear_all(self) -> list[dict[str, Any]]:
        """Every message until the connection ends."""
        heard: list[dict[str, Any]] = []
        with contextlib.suppress(ConnectionClosed):
            while True:
                heard.append(await self.hear())
        return heard

    async def answer_all(self) -> None:
        """Answer everything with its own data until the connection ends."""
        with contextlib.suppress(ConnectionClosed):
            while True:
                message = await self.hear()
                if "id" in message:
                    await self.answer(message, message.get("data"))

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close the connection."""
        await self._websocket.close(code, reason)

    async def close_badly(self, code: int | None) -> None:
        """Close it with a code that no library sends; ``None``: without one."""
        payload = b"" if code is None else struct.pack("!H", code)
        self._websocket.transport.write(bytes([0x88, len(payload)]) + payload)
        await self._websocket.wait_closed()

    def cut(self) -> None:
        """Drop the connection without a close frame."""
        self._websocket.transport.abort()

    def pause_reading(self) -> None:
        """Take nothing more of what the client sends."""
        self._websocket.transport.pause_reading()

    async def linger(self) -> None:
        """Say nothing more, and stay until the connection ends."""
        await self._websocket.wait_closed()

    async def closed(self) -> int | None:
        """Wait for the end; the client's close code."""
        await self._websocket.wait_closed()
        return self._websocket.close_code


Script = Callable[[Peer], Awaitable[Any]]


@dataclass
class Server:
    """A running server.

    Attributes:
        url: Where it is.
        arrivals: When opening handshakes came, by the loop's clock.
        requests: The requests of these handshakes.
        peers: Connections that were made.
        connected: How many of them there are now.
    """

    url: str = ""
    arrivals: list[float] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    peers: list[Peer] = field(default_factory=list)
    connected: int = 0
    _arrived: asyncio.Event = field(default_factory=asyncio.Event)

    def arrive(self) -> None:
        """An opening handshake came."""
        self.arrivals.append(asyncio.get_running_loop().time())
        self._arrived.set()

    async def arrived(self, count: int) -> None:
        """Wait until so many came."""
        while len(self.arrivals) < count:
            self._arrived.clear()
            await self._arrived.wait()

    def most_in(self, seconds: float) -> int:
        """The most arrivals in any time of this length."""
        return max(
            (sum(start <= other < start + seconds for other in self.arrivals) for start in self.arrivals), default=0
        )


@contextlib.asynccontextmanager
async def serve(script: Script, *, refuse: Refusal | None = None) -> AsyncIterator[Server]:
    """A server that does this with each connection, and drops it when that is done."""
    server = Server()

    def arrive(_: ServerConnection, request: Request) -> Response | None:
        server.arrive()
        server.requests.append(request)
        return None if refuse is None else refuse(request)

    async def handle(websocket: ServerConnection) -> None:
        peer = Peer(websocket, len(server.peers) + 1)
        server.peers.append(peer)
        server.connected += 1
        try:
            await script(peer)
        except ConnectionClosed:
            pass
        finally:
            server.connected -= 1
            peer.cut()

    async with serve_websockets(
        handle,
        "127.0.0.1",
        0,
        subprotocols=[Subprotocol("linkd.v1+json"), Subprotocol("linkd.v1+msgpack")],
        process_request=arrive,
        ping_interval=None,
        compression=None,
        close_timeout=1.0,
    ) as listening:
        server.url = f"ws://127.0.0.1:{listening.sockets[0].getsockname()[1]}/ws/test"
        yield server
        listening.close(close_connections=True)


@contextlib.asynccontextmanager
async def serve_bytes(answer: bytes | None) -> AsyncIterator[Server]:
    """A server that answers each connection with these bytes and ends it, or with ``None`` says nothing at all."""
    server = Server()
    handlers: set[asyncio.Task[None]] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        handlers.add(task)
        server.arrive()
        server.connected += 1
        try:
            if answer is not None:
                await reader.readuntil(b"\r\n\r\n")
                writer.write(answer)
                await writer.drain()
            else:
                await reader.read()
        except (OSError, EOFError):
            pass
        finally:
            server.connected -= 1
            writer.transport.abort()
            handlers.discard(task)

    listening = await asyncio.start_server(handle, "127.0.0.1", 0)
    server.url = f"ws://127.0.0.1:{listening.sockets[0].getsockname()[1]}/ws/test"
    try:
        yield server
    finally:
        listening.close()
        for task in list(handlers):
            task.cancel()
        await asyncio.gather(*handlers, return_exceptions=True)
