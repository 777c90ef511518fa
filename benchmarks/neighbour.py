"""One well-behaved client: it asks at a steady pace, whatever comes back, and how long it waits is measured."""

from __future__ import annotations

import asyncio
import ssl
import time
from typing import Any

from .async_client import AsyncClient, open_client
from .raw_client import HandshakeError

_RATE = 50.0  # requests a second; half of what the default limits allow
_PATIENCE = 10.0  # seconds for the last answers
_ID = b'"id":'


class Neighbour:
    """The client of the echo service that the others do not care for."""

    def __init__(self) -> None:
        self._due: dict[int, float] = {}  # when a request should have been sent, of those without answer
        self._waits: list[float] = []
        self._refused = 0
        self._ended = False

    def _take(self, payload: bytes) -> None:
        start = payload.find(_ID) + len(_ID)
        number = int(payload[start:].partition(b",")[0].rstrip(b"}"))
        self._waits.append(time.monotonic() - self._due.pop(number))
        self._refused += payload.startswith(b'{"type":"error"')

    def _lost(self) -> None:
        self._ended = True

    async def open(self, port: int, tls: ssl.SSLContext | None) -> AsyncClient:
        """Connect to the gateway on this port; ``tls`` as for ``open_client``."""
        return await open_client(port, "/ws/bench", self._take, self._lost, tls=tls)

    async def ask(self, client: AsyncClient, seconds: float) -> dict[str, Any]:
        """Ask for so long; the figures. What is never answered counts as answered at the end."""
        number, due = 0, time.monotonic()
        until = due + seconds
        while due < until and not self._ended:
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            number += 1
            self._due[number] = due
            client.send(b'{"type":"bench.echo","data":{"text":"still there?"},"id":%d}' % number)
            due += 1 / _RATE
        deadline = time.monotonic() + _PATIENCE
        while self._due and not self._ended and time.monotonic() < deadline:
            await asyncio.sleep(0.01)
        return self._figures()

    def _figures(self) -> dict[str, Any]:
        now = time.monotonic()
        waits = sorted([*self._waits, *(now - due for due in self._due.values())]) or [_PATIENCE]  # it was cut before
        figures = {
            "asked": len(waits), "unanswered": len(self._due), "refused": self._refused, "lost": self._ended,
            "p50_ms": 1000 * waits[len(waits) // 2], "p99_ms": 1000 * waits[int(len(waits) * 0.99)],
            "max_ms": 1000 * waits[-1],
        }  # fmt: skip
        self._waits, self._due, self._refused = [], {}, 0
        return figures


async def visit(port: int, tls: ssl.SSLContext | None, every: float) -> int:
    """Connect anew again and again until this is cancelled; how often that failed."""
    failures = 0
    try:
        while True:
            try:
                client = await open_client(port, "/ws/bench", lambda _: None, lambda: None, tls=tls)
                client.reset()
            except (HandshakeError, OSError):
                failures += 1
            await asyncio.sleep(every)
    except asyncio.CancelledError:
        return failures
