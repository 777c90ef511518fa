"""The life of a client: entered, closed in every state, and what is left of it then."""

from __future__ import annotations

import asyncio
import gc
import os
import warnings
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from pylinkd.client import Client, ConnectionLost, Event, QueueFull, State, connect

from .clock import accelerated
from .servers import Peer, serve, serve_bytes
from .watching import Watch


async def serve_all(peer: Peer) -> None:
    """A server that answers."""
    await peer.welcome()
    await peer.answer_all()


async def hang(peer: Peer) -> None:
    """A server that welcomes, reads, and never answers, not even a close frame."""
    await peer.welcome()
    peer.pause_reading()
    await peer.linger()


def descriptors() -> int:
    """How many files and sockets are open in this process."""
    return len(os.listdir("/proc/self/fd"))


def elapsed(since: float) -> float:
    """Seconds by the loop's clock."""
    return asyncio.get_running_loop().time() - since


# without being entered


@accelerated
async def test_client_that_is_never_entered_leaves_nothing() -> None:
    """Whatever it was given."""

    async def handler(_: Event) -> None: ...

    async def join(_: object) -> None: ...

    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        client = connect("ws://127.0.0.1:1/")
        client.on("test.event", handler)
        client.on_state(print)
        client.on_request("test.ask", handler)
        room = client.room("r", join=join, load=join)
        assert room.presence.members == {}
        client.events()
        client.wake()
        assert client.state is State.IDLE
        assert client.pending == 0
        del client, room
        gc.collect()

        assert [str(warning.message) for warning in warned] == []


@accelerated
async def test_client_that_is_closed_without_being_entered_is_closed() -> None:
    """It can be entered no more, and whoever waits for something is told."""
    client = connect("ws://127.0.0.1:1/")
    watch = Watch(client)
    call = asyncio.create_task(client.call("test.call"))
    wait = asyncio.create_task(client.wait())
    await asyncio.sleep(0)

    await client.close()

    for task in (call, wait):
        with pytest.raises(ConnectionLost):
            await task
    assert [event async for event in client.events()] == []
    with pytest.raises(RuntimeError):
        await client.__aenter__()
    assert watch.states == [State.CLOSED]


@accelerated
async def test_what_is_sent_before_it_is_entered_waits() -> None:
    """As it does whenever there is no connection."""
    async with serve(serve_all) as server:
        client = connect(server.url)
        call = asyncio.create_task(client.call("test.call", 1))
        await asyncio.sleep(5)
        async with client:
            assert await call == 1


@accelerated
async def test_client_is_entered_once() -> None:
    """Each connect() makes another one."""
    async with serve(serve_all) as server:
        client = connect(server.url)
        async with client:
            with pytest.raises(RuntimeError):
                await client.__aenter__()
        with pytest.raises(RuntimeError):
            await client.__aenter__()


# its end


@accelerated
async def test_client_is_left_at_once() -> None:
    """Before it has begun to connect."""
    heard: list[Event] = []

    async def handler(event: Event) -> None:
        heard.append(event)

    async with serve(serve_all) as server:
        client = connect(server.url)
        watch = Watch(client)
        client.on("test.event", handler)
        async with client:
            call = asyncio.create_task(client.call("test.call", timeout=None))
            stream = client.events()
        with pytest.raises(ConnectionLost):
            await call

        assert client.state is State.CLOSED
        assert watch.states[-1] is State.CLOSED
        assert [event async for event in stream] == []
        with pytest.raises(ConnectionLost):
            await client.wait()
        with pytest.raises(ConnectionLost):
            await client.call("test.call")
        with pytest.raises(ConnectionLost):
            await client.send("test.send")


async def when_connecting(client: Client) -> None:
    """It is about to."""
    await client.wait(State.CONNECTING)


async def when_waiting(client: Client) -> None:
    """It failed to."""
    await client.wait(State.WAITING)


async def when_open(client: Client) -> None:
    """It did."""
    await client.wait()


async def when_closed(client: Client) -> None:
    """It was closed."""
    await client.wait(State.CLOSED)


async def refuse(peer: Peer) -> None:
    """A server that does not want anybody."""
    await peer.welcome()
    await peer.close(1000)


async def cut(peer: Peer) -> None:
    """A server that drops everybody."""
    await peer.welcome()


STATES: list[tuple[Callable[[Peer], Awaitable[None]], Callable[[Client], Awaitable[None]]]] = [
    (serve_all, when_connecting),
    (serve_all, when_open),
    (cut, when_waiting),
    (refuse, when_closed),
]


@pytest.mark.parametrize(("script", "reach"), STATES, ids=["connecting", "open", "waiting", "closed"])
@pytest.mark.parametrize("times", [1, 2])
@accelerated
async def test_client_is_closed_in_every_state(
    script: Callable[[Peer], Awaitable[None]], reach: Callable[[Client], Awaitable[None]], times: int
) -> None:
    """At once, and once or twice. Nothing comes after it, and everything that was waited for has an end."""
    async with serve(script) as server:
        client = connect(server.url)
        watch = Watch(client)
        async with client:
            await reach(client)
            before = len(server.arrivals)
            started = asyncio.get_running_loop().time()
            await asyncio.gather(*(client.close() for _ in range(times)))

            assert client.state is State.CLOSED
            assert elapsed(started) < 1
            assert watch.states[-1] is State.CLOSED
            assert watch.states.count(State.CLOSED) == 1
            assert not watch.failures
            await asyncio.sleep(120)
            assert len(server.arrivals) <= before + (reach is when_connecting)
            assert server.connected == 0
            client.wake()
            for refused in (client.call("test.call"), client.send("test.send"), client.wait()):
                with pytest.raises(ConnectionLost):
                    await refused
        await client.close()


@accelerated
async def test_client_that_closes_says_so() -> None:
    """The reason is its own, whatever the server answers."""
    async with serve(serve_all) as server:
        client = connect(server.url)
        watch = Watch(client)
        async with client:
            await client.wait()

        assert watch.states == [State.CONNECTING, State.OPEN, State.CLOSED]
        assert watch.changes[-1].reason == "closed by this client"
        assert watch.changes[-1].code is None


@accelerated
async def test_session_ends_behind_what_was_sent() -> None:
    """The close frame of 1000 comes behind it. What the server has read then has come, and is no failure."""
    heard: list[Any] = []
    codes: list[int | None] = []
    over = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.welcome()
        heard.extend(message["data"] for message in await peer.hear_all())
        codes.append(await peer.closed())
        over.set()

    async with serve(script) as server:
        client = connect(server.url)
        watch = Watch(client)
        async with client:
            await client.wait()
            for number in range(60):
                await client.send("test.send", number)
            call = asyncio.create_task(client.call("test.call", 60))
            await asyncio.sleep(0)
        await over.wait()

        assert heard == list(range(61))
        assert codes == [1000]
        assert not watch.failures
        with pytest.raises(ConnectionLost) as lost:
            await call
        assert lost.value.sent is True


@accelerated
async def test_what_could_not_be_sent_is_reported() -> None:
    """Each message, with the fact that it was not."""
    async with serve_bytes(None) as server:
        client = connect(server.url)
        watch = Watch(client)
        async with client:
            for number in range(3):
                await client.send("test.send", number)
            call = asyncio.create_task(client.call("test.call"))
            await asyncio.sleep(1)

        assert watch.sources == ["send"] * 3
        assert [getattr(failure.error, "sent", None) for failure in watch.failures] == [False] * 3
        with pytest.raises(ConnectionLost) as lost:
            await call
        assert lost.value.sent is False


@accelerated
async def test_server_that_does_not_answer_the_close_frame_is_dropped() -> None:
    """After five seconds; what it was sent, it may have got."""
    async with serve(hang) as server:
        client = connect(server.url)
        watch = Watch(client)
        async with client:
            await client.wait()
            await client.send("test.send")
            call = asyncio.create_task(client.call("test.call"))
            await asyncio.sleep(1)
            started = asyncio.get_running_loop().time()
        assert 4.5 < elapsed(started) < 6

        assert watch.states == [State.CONNECTING, State.OPEN, State.CLOSED]
        assert [getattr(failure.error, "sent", None) for failure in watch.failures] == ["unknown"]
        with pytest.raises(ConnectionLost) as lost:
            await call
        assert lost.value.sent == "unknown"


@accelerated
async def test_server_that_takes_nothing_is_dropped() -> None:
    """After five seconds, with more to be written than is buffered on the way."""

    async def script(peer: Peer) -> None:
        await peer.welcome(maxMessageSize=10_000_000)
        peer.pause_reading()
        await peer.linger()

    async with serve(script) as server:
        client = connect(server.url, queue_bytes=100_000_000)
        async with client:
            await client.wait()
            for _ in range(20):
                await client.send("test.send", "x" * 1_000_000)
            started = asyncio.get_running_loop().time()
        assert 4.5 < elapsed(started) < 6


@accelerated
async def test_connection_that_breaks_while_the_client_closes_is_not_made_again() -> None:
    """It is over, and only once."""

    async def script(peer: Peer) -> None:
        await peer.welcome()
        peer.pause_reading()
        await asyncio.sleep(3)

    async with serve(script) as server:
        client = connect(server.url)
        watch = Watch(client)
        async with client:
            await client.wait()
            started = asyncio.get_running_loop().time()
            closing = asyncio.create_task(client.close())
            await asyncio.sleep(1)
            await client.close()
            await closing
        assert elapsed(started) < 4
        await asyncio.sleep(60)

        assert watch.states == [State.CONNECTING, State.OPEN, State.CLOSED]
        assert len(server.arrivals) == 1


@accelerated
async def test_client_is_closed_while_a_faulty_connection_ends() -> None:
    """Nothing is left of that connection either."""

    async def script(peer: Peer) -> None:
        await peer.welcome()
        if peer.number == 1:
            await peer.raw("no message")
            peer.pause_reading()
        await peer.linger()

    async with serve(script) as server:
        before = descriptors()
        async with connect(server.url):
            await server.arrived(2)
        await asyncio.sleep(1)

        assert descriptors() - before == server.connected == 1  # the server's end of the one that it does not read


@accelerated
async def test_close_that_is_cancelled_closes() -> None:
    """Without waiting for the server."""
    async with serve(hang) as server:
        client = connect(server.url)
        await client.__aenter__()
        await client.wait()
        closing = asyncio.create_task(client.close())
        await asyncio.sleep(1)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        await asyncio.sleep(0)

        assert client.state is State.CLOSED


@accelerated
async def test_error_of_the_body_is_the_programs_own() -> None:
    """It comes out as it was raised, and the client is closed."""
    error = KeyError("mine")
    async with serve(serve_all) as server:
        client = connect(server.url)

        async def live() -> None:
            async with client:
                await client.wait()
                raise error

        with pytest.raises(KeyError) as raised:
            await live()

        assert raised.value is error
        assert client.state is State.CLOSED


@accelerated
async def test_task_of_the_body_is_cancelled() -> None:
    """The client is closed then as well."""
    async with serve(serve_all) as server:
        client = connect(server.url)

        async def live() -> None:
            async with client:
                await client.wait()
                await asyncio.Event().wait()

        task = asyncio.create_task(live())
        await server.arrived(1)
        await client.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

        assert client.state is State.CLOSED


# two at a time


@accelerated
async def test_two_clients_of_one_loop_know_nothing_of_each_other() -> None:
    """One is closed, the other goes on."""
    async with serve(serve_all) as server, connect(server.url) as one:
        async with connect(server.url, encoding="msgpack") as other:
            assert await one.call("test.call", 1) == 1
            assert await other.call("test.call", 2) == 2

        assert other.state is State.CLOSED
        assert await one.call("test.call", 3) == 3


@accelerated
async def test_second_task_uses_a_client_that_closes() -> None:
    """Each thing that it does has an end: an answer, or the error that says that there is none."""
    outcomes: list[object] = []

    async def use(client: Client) -> None:
        while True:
            try:
                outcomes.append(await client.call("test.call", 1))
                await client.send("test.send")
                await client.wait()
            except (ConnectionLost, QueueFull) as error:
                outcomes.append(error)
                return

    async with serve(serve_all) as server:
        client = connect(server.url)
        async with client:
            await client.wait()
            users = [asyncio.create_task(use(client)) for _ in range(20)]
            while len(outcomes) < 100:
                await asyncio.sleep(0)
        await asyncio.gather(*users)

        assert sum(isinstance(outcome, ConnectionLost) for outcome in outcomes) == 20
        assert {outcome for outcome in outcomes if not isinstance(outcome, Exception)} == {1}


@pytest.mark.parametrize("where", ["handler", "answerer", "join", "load", "plain"])
@accelerated
async def test_client_is_closed_by_a_task_of_its_own(where: str) -> None:
    """Such as a handler of the event that says that all is over."""
    tasks: list[asyncio.Task[None]] = []

    async def script(peer: Peer) -> None:
        await peer.welcome()
        await peer.say("linkd.room", {"room": "r", "epoch": "e", "offset": 0})
        await peer.say("test.event", id="q")
        await peer.answer_all()

    async with serve(script) as server:
        client = connect(server.url)

        async def close(_: object) -> None:
            await client.close()

        if where == "handler":
            client.on("test.event", close)
        elif where == "answerer":
            client.on_request("test.event", close)
        elif where == "plain":
            client.on("test.event", lambda _: tasks.append(asyncio.create_task(client.close())))
        else:
            client.room("r", **{where: close})
        async with client, asyncio.timeout(10):
            await client.wait(State.CLOSED)
        await asyncio.gather(*tasks)


@accelerated
async def test_what_ends_slowly_delays_the_end() -> None:
    """And nothing is started meanwhile."""
    begun, over = asyncio.Event(), asyncio.Event()
    started: list[Event] = []

    async def slow(_: Event) -> None:
        begun.set()
        try:
            await asyncio.sleep(3600)
        finally:
            await over.wait()

    async def other(event: Event) -> None:
        started.append(event)

    async def script(peer: Peer) -> None:
        await peer.welcome()
        await peer.say("test.event")
        await peer.answer_all()

    async with serve(script) as server:
        client = connect(server.url)
        client.on("test.event", slow)
        await client.__aenter__()
        await begun.wait()
        closing = asyncio.create_task(client.close())
        await asyncio.sleep(1)
        client.on("test.event", other)
        client.room("r").presence.members  # noqa: B018  asks for them
        client.room("s", join=lambda _: client.call("test.join"))

        assert not closing.done()
        over.set()
        await closing
        assert started == []
