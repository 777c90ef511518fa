"""A client that pipelines requests waits for everybody else, not they for it."""

from __future__ import annotations

import asyncio
from collections import Counter

from starlette.types import Receive, Scope, Send

from pylinkd.gateway.core.traffic import Traffic
from pylinkd.gateway.edge.plain import HttpArrival
from pylinkd.gateway.edge.serving import Serving
from pylinkd.gateway.edge.stages import Deadlines
from pylinkd.gateway.edge.unread import Unread
from pylinkd.gateway.guard.hosts import Hosts
from pylinkd.gateway.guard.unfinished import Unfinished

_CLIENTS, _REQUESTS = 20, 10
_REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


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

    serving = Serving(
        app,
        traffic=Traffic(),
        hosts=Hosts(),
        max_head_size=8192,
        deadlines=Deadlines(),
        bound=Unfinished(100, 100),
        unread=Unread(2**20, Traffic()),
    )
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
