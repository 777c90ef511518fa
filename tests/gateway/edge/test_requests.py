"""HTTP connections without a gateway: whose requests are taken when, and what is kept of their answers."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable

import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from pylinkd.gateway.core.traffic import Traffic
from pylinkd.gateway.edge.plain import HttpArrival
from pylinkd.gateway.edge.serving import Serving
from pylinkd.gateway.edge.stages import Deadlines
from pylinkd.gateway.edge.unread import Unread
from pylinkd.gateway.guard.hosts import Hosts
from pylinkd.gateway.guard.unfinished import Unfinished

_CLIENTS, _REQUESTS = 20, 10
_REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


def serving_for(app: ASGIApp) -> Serving:
    """The shared part of connections to this application."""
    return Serving(
        app,
        traffic=Traffic(),
        hosts=Hosts(),
        max_head_size=8192,
        deadlines=Deadlines(),
        bound=Unfinished(100, 100),
        unread=Unread(2**26, Traffic(), lambda: 0.0),
    )


async def test_few_pipelined_requests_are_taken_in_a_turn_of_the_loop() -> None:
    """The first request of a connection is taken at once, those behind it four in a turn, of all connections."""
    loop = asyncio.get_running_loop()
    turn = 0
    asked: Counter[object] = Counter()  # requests of each client
    taken: Counter[int] = Counter()  # requests of each turn, but for the first of each client

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        asked[scope["client"]] += 1
        taken[turn] += asked[scope["client"]] > 1
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    def count_turns() -> None:
        nonlocal turn
        turn += 1
        loop.call_soon(count_turns)

    serving = serving_for(app)
    server = await loop.create_server(lambda: HttpArrival(serving), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    loop.call_soon(count_turns)

    async def ask() -> int:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(_REQUEST * _REQUESTS)
        writer.write_eof()
        answers = (await reader.read()).count(b"HTTP/1.1 204")
        writer.close()
        return answers

    async with asyncio.timeout(10):
        assert await asyncio.gather(*(ask() for _ in range(_CLIENTS))) == [_REQUESTS] * _CLIENTS
    server.close()
    assert taken.total() == _CLIENTS * (_REQUESTS - 1)
    assert max(taken.values()) <= 4


async def until(true: Callable[[], bool]) -> None:
    """Wait for it."""
    while not true():
        await asyncio.sleep(0.001)


@pytest.mark.parametrize("more", [b"", b"Connection: close\r\n"])
async def test_nothing_is_kept_for_a_client_that_caught_up(more: bytes) -> None:
    """It does not read at first, and then everything, in whatever pieces that comes."""
    body = b"x" * 12_000_000

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    serving = serving_for(app)
    server = await asyncio.get_running_loop().create_server(lambda: HttpArrival(serving), "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    try:
        async with asyncio.timeout(20):
            for _ in range(1 if more else 3):
                writer.transport.pause_reading()  # type: ignore[attr-defined]
                writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n" + more + b"\r\n")
                await until(lambda: serving.unread.total > 0)
                assert serving.unread.total <= len(body)
                writer.transport.resume_reading()  # type: ignore[attr-defined]
                await reader.readuntil(b"\r\n\r\n")
                assert await reader.readexactly(len(body)) == body
                await until(lambda: not serving.unread.total)
    finally:
        writer.transport.abort()
        server.close()
