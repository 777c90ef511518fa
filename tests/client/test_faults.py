"""A server that sends what cannot be: the client ends the session, and begins anew."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from pylinkd.client import State, connect

from .clock import accelerated
from .servers import Peer, serve
from .watching import Watch

FIRST = "linkd.resume"
DEEP = "[" * 100_000 + "]" * 100_000


def welcome(**fields: Any) -> str:
    """A welcome as text, for what ``Peer.welcome`` does not say."""
    return json.dumps({"type": "linkd.welcome", "data": {"session": "s", "resume": "t", **fields}})


@pytest.mark.parametrize(
    "payload",
    [
        "",
        "{",
        "null",
        "[]",
        '"text"',
        "{}",
        '{"type":null}',
        '{"type":1}',
        '{"type":""}',
        json.dumps({"type": "x" * 129}),
        '{"type":"test.event","id":1.5}',
        '{"type":"test.event","id":[]}',
        json.dumps({"type": "test.event", "id": "x" * 129}),
        '{"type":"test.event","id":18446744073709551616}',
        '{"type":"test.event","room":1}',
        '{"type":"test.event","offset":"1"}',
        '{"type":"error","id":1,"error":{}}',
        '{"type":"error","id":1,"error":"text"}',
        '{"type":"test.event","data":tru}',
        r'{"type":"test.event","data":"\ud800"}',
        '{"type":"test.event","data":' + DEEP + "}",
        '{"type":"test.event"}{"type":"test.event"}',
        b'{"type":"test.event"}',
        b"\xff\x00",
        welcome(),
        welcome(resumed=True, received=0),
        '{"type":"linkd.ack","data":{"received":0,"sent":1}}',
        '{"type":"linkd.ack","data":{"received":0,"sent":-1}}',
        '{"type":"linkd.ack","data":{"received":1,"sent":0}}',
        '{"type":"linkd.ack","data":{"received":-1,"sent":0}}',
        '{"type":"linkd.ack","data":{"received":9007199254740993,"sent":0}}',
        '{"type":"linkd.ack","data":{"received":1e308,"sent":0}}',
        '{"type":"linkd.ack","data":{"received":0.5,"sent":0}}',
        '{"type":"linkd.ack","data":{"received":"0","sent":0}}',
        '{"type":"linkd.ack","data":{"received":"NaN","sent":0}}',
        '{"type":"linkd.ack","data":{"received":0,"sent":null}}',
        '{"type":"linkd.ack","data":{"received":true,"sent":0}}',
        '{"type":"linkd.ack","data":{"received":0}}',
        '{"type":"linkd.ack","data":{"sent":0}}',
        '{"type":"linkd.ack","data":{}}',
        '{"type":"linkd.ack","data":[]}',
        '{"type":"linkd.ack","data":1e999}',
        '{"type":"linkd.ack"}',
    ],
    ids=lambda payload: str(payload)[:60],
)
@accelerated
async def test_what_cannot_be_ends_the_session(payload: str | bytes) -> None:
    """The client closes with 1000, offers no token the next time, and says that events were lost. What comes behind it
    is not looked at.
    """
    codes: list[int | None] = []

    async def script(peer: Peer) -> None:
        await peer.welcome()
        if peer.number == 1:
            await peer.raw(payload)
            await peer.say("test.event", "behind")
            await peer.welcome()
            codes.append(await peer.closed())
        await peer.linger()

    async with serve(script) as server:
        client = connect(server.url)
        watch = Watch(client)
        events: list[Any] = []
        client.on("*", events.append)
        async with client:
            await server.arrived(2)
            await client.wait()

            assert codes == [1000]
            assert [peer.offer for peer in server.peers] == [FIRST, FIRST]
            assert [gap.reason for gap in watch.gaps] == ["fault"]
            assert watch.states == [
                State.CONNECTING, State.OPEN, State.WAITING, State.CONNECTING, State.OPEN,
            ]  # fmt: skip
            assert events == []
            assert not watch.failures


@pytest.mark.parametrize("payload", [b'{"type":"test.event","data":"\xff"}', b'{"type":"\xff"}'])
@accelerated
async def test_text_that_is_not_utf8_ends_the_session(payload: bytes) -> None:
    """The connection is failed with 1007 (RFC 6455 §8.1), and the session is not gone on with: what would come again is
    the same.
    """

    async def script(peer: Peer) -> None:
        await peer.welcome()
        if peer.number == 1:
            await peer.raw(payload, text=True)
            assert await peer.closed() == 1007
        await peer.linger()

    async with serve(script) as server:
        client = connect(server.url)
        watch = Watch(client)
        async with client:
            await server.arrived(2)
            await client.wait()

            assert server.peers[1].offer == FIRST
            assert [gap.reason for gap in watch.gaps] == ["fault"]


@pytest.mark.parametrize("payload", ['{"type":"test.event"}', b"", b"\xc0", b"\x81\xa4type\x01", b"\xff" * 40])
@accelerated
async def test_what_cannot_be_in_messagepack(payload: str | bytes) -> None:
    """Text among it."""

    async def script(peer: Peer) -> None:
        await peer.welcome()
        if peer.number == 1:
            await peer.raw(payload)
        await peer.linger()

    async with serve(script) as server:
        client = connect(server.url, encoding="msgpack")
        watch = Watch(client)
        async with client:
            await server.arrived(2)
            await client.wait()

            assert [gap.reason for gap in watch.gaps] == ["fault"]


# before the welcome


@pytest.mark.parametrize("says", [(), ("linkd.new",), ("linkd.room", "linkd.presence", "linkd.dropped")])
@accelerated
async def test_server_that_does_not_welcome_is_given_up(says: tuple[str, ...]) -> None:
    """Within some ten seconds, whatever control messages it sends."""

    async def script(peer: Peer) -> None:
        for _ in range(60):
            for type in says:
                await peer.say(type, {"room": "r"})
            await asyncio.sleep(1)

    async with serve(script) as server, connect(server.url) as client:
        await server.arrived(2)

        first, second = server.arrivals
        assert 8 < second - first < 12
        assert client.state is State.CONNECTING


@pytest.mark.parametrize("type", ["test.event", "response", "error"])
@accelerated
async def test_counted_message_before_the_welcome_is_a_fault(type: str) -> None:
    """Of which session would it be?"""

    async def script(peer: Peer) -> None:
        if peer.number == 1:
            await peer.say(type)
        await peer.welcome()
        await peer.linger()

    async with serve(script) as server:
        client = connect(server.url)
        watch = Watch(client)
        events: list[Any] = []
        client.on("*", events.append)
        async with client:
            await client.wait()

            assert len(server.peers) == 2
            assert watch.states == [State.CONNECTING, State.WAITING, State.CONNECTING, State.OPEN]
            assert events == []


# coming back


@pytest.mark.parametrize("received", [None, -1, 3, "2", 10**30])
@accelerated
async def test_resumed_with_a_count_that_cannot_be(received: Any) -> None:
    """Two messages were written, one is confirmed: the server has one or two of them."""
    answered = asyncio.Event()

    async def script(peer: Peer) -> None:
        match peer.number:
            case 1:
                await peer.welcome()
                await peer.answer(await peer.hear())
                await peer.hear()
                await answered.wait()
                peer.cut()
            case 2:
                await peer.welcome(resumed=True, received=received)
            case _:
                await peer.welcome()
        await peer.answer_all()

    async with serve(script) as server:
        client = connect(server.url)
        watch = Watch(client)
        async with client:
            await client.call("test.one")
            await client.send("test.two")
            answered.set()
            await server.arrived(3)
            await client.wait()

            assert [peer.offer for peer in server.peers] == [FIRST, "linkd.resume.t-1.1", FIRST]
            assert [gap.reason for gap in watch.gaps] == ["fault"]
