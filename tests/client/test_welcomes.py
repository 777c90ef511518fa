"""Welcomes of every kind: the client believes what can be."""

from __future__ import annotations

import asyncio
import json
import math
from typing import Any

import pytest

from pylinkd.client import State, connect

from .clock import accelerated
from .servers import Peer, serve
from .watching import Watch

FIRST = "linkd.resume"
NUMBERS: tuple[Any, ...] = (0, -1, 10**30, "NaN", [])


def welcome(**fields: Any) -> str:
    """A welcome as text, for what ``Peer.welcome`` does not say."""
    return json.dumps({"type": "linkd.welcome", "data": {"session": "s", "resume": "t", **fields}})


@pytest.mark.parametrize(
    "fields",
    [
        {"session": None},
        {"session": 1},
        {"resumed": True, "received": 0},
        {"resumed": "yes"},
        {"resume": 1},
        {"received": "0"},
        {"dropped": "0"},
        {"rooms": []},
        {"rooms": {"r": 1}},
        {"rooms": {"r": {"epoch": "e"}}},
        {"presence": {"r": "1"}},
    ],
)
@accelerated
async def test_welcome_that_is_none(fields: dict[str, Any]) -> None:
    """Without a session, or with parts that are of another type: nothing of it is believed."""

    async def script(peer: Peer) -> None:
        await peer.raw(welcome(**fields))
        await peer.linger()

    async with serve(script) as server:
        client = connect(server.url)
        watch = Watch(client)
        async with client:
            await server.arrived(3)

            assert State.OPEN not in watch.states
            assert {peer.offer for peer in server.peers} == {FIRST}


@pytest.mark.parametrize("name", ["maxMessageSize", "window", "pingMs", "graceMs", "messageRate"])
@pytest.mark.parametrize("value", [*NUMBERS, "0/s"])
@accelerated
async def test_numbers_that_cannot_be_are_not_believed(name: str, value: Any) -> None:
    """What the protocol's page says holds instead."""

    async def script(peer: Peer) -> None:
        await peer.welcome(**{name: value})
        await peer.answer_all()

    async with serve(script) as server, connect(server.url) as client:
        assert await asyncio.gather(*(client.call("test.call", number) for number in range(100))) == list(range(100))
        await asyncio.sleep(300)

        assert await client.call("test.call", "later") == "later"
        assert len(server.peers) == 1
        assert 5 <= len(server.peers[0].acks) <= 100


@pytest.mark.parametrize("name", ["messages", "bytes", "ms"])
@pytest.mark.parametrize("value", NUMBERS)
@accelerated
async def test_acknowledgements_are_bounded_whatever_is_wanted(name: str, value: Any) -> None:
    """One a message at most."""

    async def script(peer: Peer) -> None:
        await peer.welcome(ack={name: value})
        for number in range(200):
            await peer.say("test.event", number)
        await peer.answer_all()

    async with serve(script) as server, connect(server.url) as client:
        await client.call("test.call")
        await asyncio.sleep(20)

        assert 1 <= len(server.peers[0].acks) <= 201
        assert server.peers[0].acks[-1] == {"received": 201, "sent": 1}


@pytest.mark.parametrize("name", ["baseMs", "capMs", "jitter", "attempts"])
@pytest.mark.parametrize("value", NUMBERS)
@accelerated
async def test_policy_that_cannot_be_is_not_believed(name: str, value: Any) -> None:
    """The client comes back, and not faster than is good for anybody."""

    async def script(peer: Peer) -> None:
        await peer.welcome(retry={name: value})
        await peer.close(1001)

    async with serve(script) as server, connect(server.url) as client:
        await asyncio.sleep(120)

        assert len(server.arrivals) >= 5
        assert server.most_in(60) < 60
        assert client.state is not State.CLOSED


@pytest.mark.parametrize("value", ["text", []])
@pytest.mark.parametrize("name", ["retry", "ack"])
@accelerated
async def test_parts_of_another_form_are_not_believed(name: str, value: Any) -> None:
    """The same holds for them."""

    async def script(peer: Peer) -> None:
        await peer.welcome(**{name: value})
        await peer.answer_all()

    async with serve(script) as server, connect(server.url) as client:
        assert await client.call("test.call", 1) == 1


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@accelerated
async def test_numbers_that_are_none_are_not_believed(value: float) -> None:
    """MessagePack has them."""

    async def script(peer: Peer) -> None:
        await peer.welcome(
            maxMessageSize=value,
            window=value,
            pingMs=value,
            ack={"messages": value, "bytes": value, "ms": value},
            retry={"baseMs": value, "capMs": value, "jitter": value, "attempts": value},
        )
        await peer.answer(await peer.hear())
        await peer.say("linkd.dropped", {"events": value, "total": value})
        await peer.say("linkd.closing", {"retryAfterMs": value})
        await peer.close(1001)

    async with serve(script) as server:
        client = connect(server.url, encoding="msgpack")
        watch = Watch(client)
        async with client:
            await client.call("test.call")
            await server.arrived(2)

            assert 0.2 < server.arrivals[1] - server.arrivals[0] < 0.7
            assert not watch.gaps


@pytest.mark.parametrize(
    "resume", ["", "a b", "a,b", "a\r\nX-Evil: 1", "\x00", "Ünicode", "x" * 100_000], ids=lambda resume: resume[:20]
)
@accelerated
async def test_resume_token_that_no_handshake_can_carry(resume: str) -> None:
    """It is as if the session was not kept. Nothing of it comes into a head."""

    async def script(peer: Peer) -> None:
        await peer.welcome(resume=resume)
        if peer.number == 1:
            peer.cut()
        await peer.linger()

    async with serve(script) as server:
        client = connect(server.url)
        watch = Watch(client)
        async with client:
            await server.arrived(2)
            await client.wait()

            assert server.peers[1].offer == FIRST
            assert "X-Evil" not in server.peers[1].headers
            assert [gap.reason for gap in watch.gaps] == ["not_kept"]
