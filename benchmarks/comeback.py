"""Thousands of sessions that lose their connections in the same moment, and come back within their back-off."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

from .programs import HERE, Server, linkd, metrics
from .raw_client import frame, opening_request
from .usage import resident_kib

_SERVICE = HERE / "echo_service.py"
_PATH = "/ws/bench"
_AT_ONCE = 200  # handshakes under way
_BACK_OFF = (0.25, 0.5)  # seconds: the first delay of the protocol, half of it random
_FIRST, _AWAY, _LAST = 5, 20, 5  # events before the cut, while everybody is away, and after it
_PATIENCE = 120.0  # seconds for everybody to come back
_SETTINGS = {"LINKD_MAX_CONNECTIONS_PER_USER": "0"}


class Client(asyncio.Protocol):
    """A client without a library, since there are thousands: it reads frames, counts messages, and resumes.

    Attributes:
        events: How many came.
        answers: Ids of the answers that came.
        welcome: The last welcome; ``None``: none has come over the present connection.
    """

    def __init__(self) -> None:
        self.events = 0
        self.answers: list[int] = []
        self.welcome: dict[str, Any] | None = None
        self.received = 0
        self.token = ""
        self.asked: dict[int, bytes] = {}
        self.welcomed = asyncio.Event()
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self._open = False

    async def connect(self, server: Server) -> None:
        """Connect, and wait for the welcome."""
        self.welcome, self._open, self._buffer = None, False, b""
        self.welcomed.clear()
        offer = f"linkd.resume.{self.token}.{self.received}" if self.token else "linkd.resume"
        loop = asyncio.get_running_loop()
        await loop.create_connection(lambda: self, "127.0.0.1", server.port)
        header = f"Sec-WebSocket-Protocol: linkd.v1+json, {offer}"
        assert self._transport is not None
        self._transport.write(opening_request(server.port, server.path, [header]))
        await self.welcomed.wait()

    def ask(self, id: int) -> None:
        """Send a request, now or with the next connection."""
        message = frame(json.dumps({"type": "bench.echo", "data": {"text": "x"}, "id": id}).encode())
        self.asked[id] = message
        if self._transport is not None and self.welcome is not None:
            self._transport.write(message)

    def write(self, message: dict[str, Any]) -> None:
        """Send a message over the present connection."""
        assert self._transport is not None
        self._transport.write(frame(json.dumps(message).encode()))

    def cut(self) -> None:
        """Break the connection."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        self._transport, self.welcome = None, None

    def data_received(self, data: bytes) -> None:
        """Read frames; all are short, or of at most 64 KiB."""
        self._buffer += data
        if not self._open:
            head, found, rest = self._buffer.partition(b"\r\n\r\n")
            if not found:
                return
            if b" 101 " not in head:
                raise RuntimeError(f"the handshake was refused: {head!r}")
            self._open, self._buffer = True, rest
        while len(self._buffer) >= 2:
            size = self._buffer[1] & 0x7F
            start = 2 if size < 126 else 4
            if start == 4:
                size = int.from_bytes(self._buffer[2:4], "big")
            if len(self._buffer) < start + size:
                return
            opcode, payload = self._buffer[0] & 0x0F, self._buffer[start : start + size]
            self._buffer = self._buffer[start + size :]
            if opcode == 1:
                self._message(json.loads(payload))

    def _message(self, message: dict[str, Any]) -> None:
        if message["type"] == "linkd.welcome":
            self.welcome = message["data"]
            self.token = message["data"]["resume"]
            if message["data"].get("resumed"):
                self._resend(message["data"]["received"])
            self.welcomed.set()
        elif not message["type"].startswith("linkd."):
            self.received += 1
            if message["type"] == "bench.event":
                self.events += 1
            elif message.get("id"):
                self.answers.append(message["id"])

    def _resend(self, received: int) -> None:
        """Send once more what had not come: everything behind the join and so many requests."""
        assert self._transport is not None
        for message in list(self.asked.values())[max(0, received - 1) :]:
            self._transport.write(message)


def come_back(count: int) -> dict[str, Any]:
    """Cut so many sessions at once, and see how they come back."""
    with linkd(_SERVICE, _PATH, _SETTINGS) as server:
        return asyncio.run(_measure(server, count))


async def _measure(server: Server, count: int) -> dict[str, Any]:
    clients, publisher = [Client() for _ in range(count)], Client()
    await publisher.connect(server)
    await _each(clients, lambda client: client.connect(server))
    for client in clients:
        client.write({"type": "bench.join", "id": 0})
    await _until(lambda: all(client.received for client in clients))
    await _publish(publisher, _FIRST)
    await _hear(clients, _FIRST)
    gateway = server.pids["gateway"]
    before = resident_kib(gateway) / 1024
    retained = metrics(server)["linkd_retained_bytes"]
    for client in clients:
        client.cut()
        client.ask(1)
    await _until(lambda: metrics(server)["linkd_sessions_detached"] == count)
    await _publish(publisher, _AWAY)
    kept = (metrics(server)["linkd_retained_bytes"] - retained) / (count * _AWAY)
    began = time.monotonic()
    watching = _Peak(gateway)

    async def back(client: Client) -> None:
        await asyncio.sleep(random.uniform(*_BACK_OFF))
        await client.connect(server)

    await asyncio.wait_for(asyncio.gather(*(back(client) for client in clients)), _PATIENCE)
    seconds = time.monotonic() - began
    await _publish(publisher, _LAST)
    expected = _FIRST + _AWAY + _LAST
    await _hear(clients, expected)
    peak = max(before, watching.stop())
    outcomes = Counter(bool(client.welcome and client.welcome.get("resumed")) for client in clients)
    faults = sum(client.events != expected for client in clients)
    faults += sum(client.answers != [1] for client in clients)
    return {
        "sessions": count,
        "resumed": outcomes[True],
        "seconds": seconds,
        "events": count * _AWAY,
        "requests": count,
        "faults": faults,
        "before_mib": before,
        "peak_mib": peak,
        "kept_bytes": kept,
    }


class _Peak:
    """The most memory of a process, looked at 20 times a second.

    Args:
        pid: The process.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._most = 0.0
        self._task = asyncio.create_task(self._watch())

    async def _watch(self) -> None:
        while True:
            self._most = max(self._most, resident_kib(self._pid) / 1024)
            await asyncio.sleep(0.05)

    def stop(self) -> float:
        """In MiB."""
        self._task.cancel()
        return self._most


async def _publish(publisher: Client, events: int) -> None:
    """Have so many events sent to the room, one after the other."""
    for _ in range(events):
        answered = len(publisher.answers)
        publisher.write({"type": "bench.publish", "id": answered + 1})
        await _until(partial(_answered, publisher, answered))


def _answered(publisher: Client, before: int) -> bool:
    return len(publisher.answers) > before


async def _hear(clients: Sequence[Client], events: int) -> None:
    """Wait until these clients have so many events."""
    await _until(lambda: all(client.events >= events for client in clients))


async def _each(clients: Sequence[Client], what: Callable[[Client], Awaitable[None]]) -> None:
    limit = asyncio.Semaphore(_AT_ONCE)

    async def one(client: Client) -> None:
        async with limit:
            await what(client)

    await asyncio.gather(*(one(client) for client in clients))


async def _until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError("it did not come to pass")
        await asyncio.sleep(0.01)
