"""A server that says ``linkd.closing``: what is due still comes, nothing more is sent, and the client comes back when
it is told to.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from pylinkd.client import State, connect

from .clock import JumpingLoop, accelerated
from .servers import Peer, serve
from .watching import Watch

CLOSING = "linkd.closing"


@accelerated
async def test_client_waits_without_work_for_the_end() -> None:
    """What comes after ``linkd.closing`` sets no timer that is due and never done."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, JumpingLoop)
    heard = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.welcome(pingMs=1_000, ack={"messages": 1, "bytes": 1, "ms": 0})
        await peer.say(CLOSING, {"retryAfterMs": 1_000, "resumable": False})
        await peer.say("test.event")
        await peer.linger()

    async with serve(script) as server:
        client = connect(server.url)
        client.on("test.event", lambda _: heard.set())
        async with client:
            await heard.wait()
            before = loop.turns
            await asyncio.sleep(30)

            assert loop.turns - before < 100


@accelerated
async def test_server_that_dies_while_it_stops_is_given_up() -> None:
    """Also where a message came after ``linkd.closing``."""

    async def script(peer: Peer) -> None:
        await peer.welcome()
        if peer.number == 1:
            await peer.say(CLOSING, {"retryAfterMs": 1_000, "resumable": False})
            await peer.say("test.event")
        await peer.linger()

    async with serve(script) as server, connect(server.url):
        async with asyncio.timeout(60):
            await server.arrived(2)


@accelerated
async def test_answers_come_and_messages_wait() -> None:
    """What is called after ``linkd.closing`` goes to the next session; what was called before is answered in this."""
    closing = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.welcome()
        if peer.number > 1:
            await peer.answer_all()
            return
        due = await peer.hear()
        await peer.say(CLOSING, {"retryAfterMs": 1_000, "resumable": False})
        await peer.say("test.closing")
        await closing.wait()
        await peer.answer(due, "due")
        await asyncio.sleep(1)
        assert peer.received == 1
        await peer.close(1001)

    async with serve(script) as server:
        client = connect(server.url)
        client.on("test.closing", lambda _: closing.set())
        async with client:
            due = asyncio.create_task(client.call("test.due"))
            await closing.wait()
            late = asyncio.create_task(client.call("test.late", "late"))

            assert await due == "due"
            assert await late == "late"


@pytest.mark.parametrize(
    ("retry_after", "least", "most"),
    [
        (3_000, 2.9, 3.1),
        (3_000.5, 2.9, 3.1),
        (0, 0, 0.2),
        (-1, 0, 0.2),
        (None, 0, 0.2),
        ("3000", 0, 0.2),
        (True, 0, 0.2),
        ([], 0, 0.2),
        (10**30, 0, 0.2),
        (1e308, 0, 0.2),
        (600_000, 599, 601),
        (600_001, 0, 0.2),
    ],
)
@accelerated
async def test_client_comes_back_when_it_is_told(retry_after: Any, least: float, most: float) -> None:
    """At the moment that was named, if it is one, and within ten minutes; else as after any break."""

    async def script(peer: Peer) -> None:
        await peer.welcome()
        if peer.number == 1:
            await peer.say(CLOSING, {"retryAfterMs": retry_after, "resumable": False})
            await peer.close(1001)
        await peer.linger()

    async with serve(script) as server, connect(server.url):
        await server.arrived(2)

        first, second = server.arrivals
        assert least <= second - first <= most


@pytest.mark.parametrize("data", [None, 1, "text", [], {}])
@accelerated
async def test_closing_without_its_fields_is_heard(data: Any) -> None:
    """Whatever the data is."""

    async def script(peer: Peer) -> None:
        await peer.welcome()
        await peer.say(CLOSING, data)
        await peer.linger()

    async with serve(script) as server, connect(server.url) as client:
        await client.wait()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5):
                await client.call("test.call")


@accelerated
async def test_wake_does_not_shorten_what_the_server_wants() -> None:
    """The server wants to be left alone until then, also by a client whose network has come back."""

    async def script(peer: Peer) -> None:
        await peer.welcome()
        await peer.say(CLOSING, {"retryAfterMs": 60_000, "resumable": False})
        await peer.close(1001)

    async with serve(script) as server:
        client = connect(server.url)
        watch = Watch(client)
        async with client:
            await client.wait(State.WAITING)
            for _ in range(10):
                client.wake()
                await asyncio.sleep(3)

            assert len(server.arrivals) == 1
            assert watch.changes[-1].retry_in == pytest.approx(60, abs=1)
