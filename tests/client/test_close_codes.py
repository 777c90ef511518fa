"""Servers that close: whether the client comes back, for every code."""

from __future__ import annotations

import asyncio

import pytest

from pylinkd.client import ConnectionLost, State, TokenReason, connect
from pylinkd.protocol.close import CloseCode

from .clock import accelerated
from .servers import Peer, Script, serve
from .watching import Watch

# As docs/protocol.md, "Closing", says; not taken from the table that the client takes it from.
COME_BACK = [1001, 1010, 1011, 1012, 1013, 1014, 4408, 4410]
STAY_AWAY = [1000, 1002, 1003, 1007, 1008, 1009, 3000, 3999, 4000, 4402, 4403, 4409, 4429, 4500, 4999]
NO_CODES = [None, 0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535]  # or none that a frame may have


def closing(code: int | None, *, welcomed: bool) -> Script:
    """Closes each connection so."""

    async def script(peer: Peer) -> None:
        if welcomed:
            await peer.welcome(retry=None)
        if code is None or code in NO_CODES:
            await peer.close_badly(code)
        else:
            await peer.close(code, "why")

    return script


def test_every_code_of_ours_is_in_the_table() -> None:
    """A new one has to be decided here as well."""
    assert {*CloseCode} <= {*COME_BACK, *STAY_AWAY, 4401}


@pytest.mark.parametrize("welcomed", [True, False], ids=["welcomed", "not welcomed"])
@pytest.mark.parametrize("code", COME_BACK)
@accelerated
async def test_client_comes_back(code: int, welcomed: bool) -> None:
    """Ever later, up to thirty seconds, and with the session that it has."""
    async with serve(closing(code, welcomed=welcomed)) as server:
        client = connect(server.url)
        watch = Watch(client)
        async with client:
            await asyncio.sleep(300)

            assert 12 < len(server.arrivals) < 30
            assert {change.code for change in watch.changes if change.state is State.WAITING} == {code}
            assert server.peers[1].offer == ("linkd.resume.t-1.0" if welcomed else "linkd.resume")


@pytest.mark.parametrize("welcomed", [True, False], ids=["welcomed", "not welcomed"])
@pytest.mark.parametrize("code", STAY_AWAY)
@accelerated
async def test_client_stays_away(code: int, welcomed: bool) -> None:
    """And whoever waits for it is told the reason of the close frame."""
    async with serve(closing(code, welcomed=welcomed)) as server:
        client = connect(server.url, token=lambda _: "t")
        watch = Watch(client)
        async with client:
            with pytest.raises(ConnectionLost, match="why"):
                await client.wait(State.WAITING)
            await asyncio.sleep(300)

            assert len(server.arrivals) == 1
            assert watch.changes[-1].state is State.CLOSED
            assert watch.changes[-1].code == code
            assert watch.changes[-1].reason == "why"
            with pytest.raises(ConnectionLost):
                await client.call("test.call")


@pytest.mark.parametrize("code", NO_CODES)
@accelerated
async def test_client_comes_back_after_a_frame_without_a_code_that_may_be(code: int | None) -> None:
    """A proxy made it, or the server is out of its mind."""
    async with serve(closing(code, welcomed=True)) as server, connect(server.url):
        await asyncio.sleep(300)

        assert 12 < len(server.arrivals) < 30


@accelerated
async def test_client_comes_back_after_a_cut() -> None:
    """Without a close frame."""

    async def script(peer: Peer) -> None:
        await peer.welcome(retry=None)

    async with serve(script) as server:
        client = connect(server.url)
        watch = Watch(client)
        async with client:
            await asyncio.sleep(300)

            assert 12 < len(server.arrivals) < 30
            assert {change.code for change in watch.changes if change.state is State.WAITING} == {1006}


@accelerated
async def test_fixed_token_that_has_ended_ends_the_client() -> None:
    """There is no other one."""
    async with serve(closing(4401, welcomed=True)) as server, connect(server.url, token="t") as client:
        with pytest.raises(ConnectionLost, match="why"):
            await client.wait(State.WAITING)

        assert len(server.arrivals) == 1


@accelerated
async def test_client_comes_back_with_another_token() -> None:
    """Asked for once for each attempt, and ever later."""
    reasons: list[TokenReason] = []

    def source(reason: TokenReason) -> str:
        reasons.append(reason)
        return f"t-{len(reasons)}"

    async with serve(closing(4401, welcomed=True)) as server, connect(server.url, token=source):
        await asyncio.sleep(300)

        assert 12 < len(server.arrivals) < 30
        assert reasons[0] == "connect"
        assert {*reasons[1:]} == {"refused"}
        shown = [request.headers["Authorization"] for request in server.requests]
        assert shown == [f"Bearer t-{number + 1}" for number in range(len(shown))]


@accelerated
async def test_close_reason_of_the_servers_cannot_pass_for_one_of_ours() -> None:
    """What the client does depends on the code alone."""

    async def script(peer: Peer) -> None:
        await peer.welcome()
        await peer.close(4401, "there is no other token")

    async with serve(script) as server, connect(server.url, token=lambda _: "t"):
        async with asyncio.timeout(60):
            await server.arrived(3)


@accelerated
async def test_client_gives_up_after_as_many_attempts_as_the_server_wants() -> None:
    """Failures in a row; a connection that lasted ends the row."""

    async def script(peer: Peer) -> None:
        await peer.welcome(retry={"baseMs": 100, "capMs": 100, "jitter": 0, "attempts": 3})
        if peer.number == 2:
            await asyncio.sleep(11)
        await peer.close(1011)

    async with serve(script) as server:
        client = connect(server.url)
        watch = Watch(client)
        async with client:
            await client.wait(State.CLOSED)

            assert watch.changes[-1].reason == "gave up"
            assert watch.changes[-1].code == 1011
            assert len(server.arrivals) == 5


@pytest.mark.parametrize(("resumed", "lasts", "steady"), [(True, 2.5, True), (True, 1.5, False), (False, 9, False)])
@accelerated
async def test_connection_that_lasted_ends_the_row_of_failures(resumed: bool, lasts: float, steady: bool) -> None:
    """Two seconds are enough of a session that goes on, ten of a new one."""

    async def script(peer: Peer) -> None:
        if resumed and peer.number > 1:
            await peer.welcome(resumed=True, received=0, retry={"baseMs": 100, "capMs": 10_000, "jitter": 0})
        else:
            await peer.welcome(retry={"baseMs": 100, "capMs": 10_000, "jitter": 0})
        await asyncio.sleep(lasts)
        peer.cut()

    async with serve(script) as server:
        client = connect(server.url)
        watch = Watch(client)
        async with client:
            await server.arrived(10)

            waits = [change.retry_in for change in watch.changes if change.retry_in is not None]
            assert waits[-1] == (0.1 if steady else 10)
