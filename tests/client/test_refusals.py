"""Servers that refuse the opening handshake, or answer it with something else: whether the client comes back, and
when.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable

import pytest
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from pylinkd.client import ConnectionLost, State, TokenReason, connect

from .clock import accelerated
from .servers import Peer, serve, serve_bytes
from .watching import Watch

COME_BACK = [408, 425, 429, 500, 502, 503, 504, 507, 521, 599]
STAY_AWAY = [200, 204, 304, 400, 402, 403, 404, 405, 410, 418, 426, 431]


def refusing(status: int, *headers: tuple[str, str]) -> Callable[[Request], Response]:
    """Refuses everybody so."""
    return lambda _: Response(status, "No", Headers([("Content-Length", "0"), *headers]))


async def welcome(peer: Peer) -> None:
    """A server that has nothing to say."""
    await peer.welcome()
    await peer.answer_all()


@pytest.mark.parametrize("status", COME_BACK)
@accelerated
async def test_client_comes_back_to_a_server_that_cannot_serve_now(status: int) -> None:
    """Ever later, up to thirty seconds."""
    async with serve(welcome, refuse=refusing(status)) as server:
        client = connect(server.url)
        watch = Watch(client)
        async with client:
            await asyncio.sleep(300)

            assert client.state in (State.WAITING, State.CONNECTING)
            assert watch.changes[1].reason == f"refused with {status}"
            assert 12 < len(server.arrivals) < 30
            waits = [change.retry_in for change in watch.changes if change.retry_in is not None]
            assert 0.25 <= waits[0] <= 0.5
            assert 15 <= waits[-1] <= 30


@pytest.mark.parametrize("status", STAY_AWAY)
@accelerated
async def test_client_stays_away_where_the_same_would_happen_again(status: int) -> None:
    """Whoever waits for it is told."""
    async with serve(welcome, refuse=refusing(status)) as server:
        client = connect(server.url)
        watch = Watch(client)
        async with client:
            with pytest.raises(ConnectionLost, match=str(status)):
                await client.wait()
            await asyncio.sleep(300)

            assert watch.states == [State.CONNECTING, State.CLOSED]
            assert len(server.arrivals) == 1


@accelerated
async def test_fixed_token_that_is_refused_is_not_shown_again() -> None:
    """It would not be believed the next time either."""
    async with serve(welcome, refuse=refusing(401)) as server, connect(server.url, token="t") as client:
        with pytest.raises(ConnectionLost, match="401"):
            await client.wait()

        assert [request.headers["Authorization"] for request in server.requests] == ["Bearer t"]


@accelerated
async def test_source_is_asked_for_another_token() -> None:
    """And told why."""
    reasons: list[TokenReason] = []

    def source(reason: TokenReason) -> str:
        reasons.append(reason)
        return f"t-{len(reasons)}"

    def refuse(request: Request) -> Response | None:
        return refusing(401)(request) if len(server.arrivals) < 3 else None

    async with serve(welcome, refuse=refuse) as server, connect(server.url, token=source) as client:
        await client.wait()

        assert reasons == ["connect", "refused", "refused"]
        assert [request.headers["Authorization"] for request in server.requests] == [
            "Bearer t-1", "Bearer t-2", "Bearer t-3",
        ]  # fmt: skip


@accelerated
async def test_source_whose_tokens_are_all_refused_is_not_asked_faster_than_any_client_comes_back() -> None:
    """A refused token that is tried again at once is a flood."""
    async with serve(welcome, refuse=refusing(401)) as server, connect(server.url, token=lambda _: "t") as client:
        await asyncio.sleep(300)

        assert client.state is not State.CLOSED
        assert 12 < len(server.arrivals) < 30


@accelerated
async def test_source_without_another_token_ends_the_client() -> None:
    """Such as after the user has signed out."""
    tokens = iter(["t", None])

    async with serve(welcome, refuse=refusing(401)) as server:
        client = connect(server.url, token=lambda _: next(tokens))
        watch = Watch(client)
        async with client:
            with pytest.raises(ConnectionLost):
                await client.wait()

            assert watch.changes[-1].code == 4401
            assert len(server.arrivals) == 1


@pytest.mark.parametrize(
    ("headers", "least", "most"),
    [
        (["7"], 7, 7.2),
        (["0"], 0.2, 0.6),
        (["-5"], 0.2, 0.6),
        (["nan"], 0.2, 0.6),
        (["inf"], 0.2, 0.6),
        (["1e9"], 0.2, 0.6),
        (["601"], 599, 601),
        (["9" * 5_000], 599, 601),
        (["Fri, 31 Dec 1999 23:59:59 GMT"], 0.2, 0.6),
        (["soon"], 0.2, 0.6),
        ([""], 0.2, 0.6),
        (["7", "9"], 0.2, 0.6),
        ([], 0.2, 0.6),
    ],
)
@accelerated
async def test_retry_after_is_kept_to_where_it_can_be(headers: list[str], least: float, most: float) -> None:
    """Within ten minutes."""
    retry_after = [("Retry-After", value) for value in headers]
    async with serve(welcome, refuse=refusing(503, *retry_after)) as server, connect(server.url):
        await server.arrived(2)

        first, second = server.arrivals
        assert least <= second - first <= most


@accelerated
async def test_wake_does_not_shorten_retry_after() -> None:
    """The server wants to be left alone until then."""
    async with serve(welcome, refuse=refusing(429, ("Retry-After", "60"))) as server, connect(server.url) as client:
        await client.wait(State.WAITING)
        for _ in range(10):
            client.wake()
            await asyncio.sleep(3)

        assert len(server.arrivals) == 1


@accelerated
async def test_wake_shortens_any_other_delay_but_not_more_often_than_every_two_seconds() -> None:
    """Several signs that a network is back come at once."""
    async with serve(welcome, refuse=refusing(503)) as server, connect(server.url) as client:
        await server.arrived(10)  # the delays are long by now
        await client.wait(State.WAITING)
        before = len(server.arrivals)
        for _ in range(100):
            client.wake()
            await asyncio.sleep(0.1)

        assert 4 <= len(server.arrivals) - before <= 6


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("location", ["", "/", "ws://127.0.0.1:1/", "http://127.0.0.1/", "no address", None])
@accelerated
async def test_redirects_lead_to_no_flood(status: int, location: str | None) -> None:
    """Wherever they lead; the library follows some of them, ten in a row at most."""
    headers = [] if location is None else [("Location", location)]
    async with serve(welcome, refuse=refusing(status, *headers)) as server, connect(server.url) as client:
        await asyncio.sleep(60)

        assert server.most_in(60) <= 10 * 10
        assert client.state in (State.WAITING, State.CONNECTING, State.CLOSED)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\x00" * 100,
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n",
        b"HTTP/1.1 503 Busy\r\nContent-Length: 100\r\n\r\nshort",
        b"HTTP/1.1 503 Busy\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 xyz Busy\r\n\r\n",
        b"HTTP/1.1 200 " + b"x" * 100_000,
        b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 10_000,
        b"\x15\x03\x01\x00\x02\x02\x46",
    ],
    ids=lambda answer: str(answer[:50]),
)
@accelerated
async def test_answers_that_are_no_handshake_are_a_failure(answer: bytes) -> None:
    """Something else listens there, and the server may be back soon."""
    async with serve_bytes(answer) as server, connect(server.url) as client:
        await asyncio.sleep(120)

        assert client.state in (State.WAITING, State.CONNECTING)
        assert 5 < len(server.arrivals) < 25


@accelerated
async def test_server_that_does_not_answer_the_handshake_is_given_up() -> None:
    """After ten seconds."""
    async with serve_bytes(None) as server, connect(server.url) as client:
        await server.arrived(2)

        assert 9 < server.arrivals[1] - server.arrivals[0] < 12
        assert client.state is State.CONNECTING
    assert server.connected == 0


@accelerated
async def test_port_where_nobody_listens() -> None:
    """Nobody listens yet."""
    async with serve(welcome) as server:
        url = server.url
    client = connect(url)
    watch = Watch(client)
    async with client:
        await asyncio.sleep(120)

        assert watch.changes[-1].state in (State.WAITING, State.CONNECTING)
        assert 5 < watch.states.count(State.CONNECTING) < 25


@accelerated
async def test_server_without_tls_behind_an_address_with_it() -> None:
    """A proxy in between may be about to be mended."""
    async with serve(welcome) as server:
        client = connect(server.url.replace("ws://", "wss://"), ssl=ssl.create_default_context())
        watch = Watch(client)
        async with client:
            await asyncio.sleep(60)

            assert watch.changes[-1].state in (State.WAITING, State.CONNECTING)
            assert 4 < watch.states.count(State.CONNECTING) < 20
