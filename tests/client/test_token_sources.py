"""Sources of tokens that fail, hang, return something else, or are asked while the client is closed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from pylinkd.client import ConnectionLost, State, TokenReason, connect

from .clock import accelerated
from .servers import Peer, serve
from .watching import Watch


async def serve_all(peer: Peer) -> None:
    """A server that answers."""
    await peer.welcome()
    await peer.answer_all()


async def cancelled() -> str:
    """Waits for something that was cancelled, which is no cancellation of the one who waits."""
    task = asyncio.create_task(asyncio.sleep(3600))
    task.cancel()
    await task
    return "t"


def raising(error: BaseException) -> Callable[[TokenReason], str]:
    """A source that raises it."""

    def source(_: TokenReason) -> str:
        raise error

    return source


@pytest.mark.parametrize(
    "source",
    [
        raising(OSError("no network")),
        raising(asyncio.CancelledError()),
        lambda _: cancelled(),
        lambda _: 7,
        lambda _: b"t",
        lambda _: True,
        lambda _: ["t"],
        lambda _: "",
        lambda _: "a b",
        lambda _: "a\r\nX-Evil: 1",
        lambda _: "Ünicode €",
        lambda _: "x" * 100_000,
        lambda: "t",
    ],
    ids=[
        "raises", "raises CancelledError", "was cancelled", "int", "bytes", "bool", "list", "empty", "space", "lines",
        "unicode", "long", "takes no argument",
    ],
)  # fmt: skip
@accelerated
async def test_source_that_gives_no_token_is_asked_again_later(source: Any) -> None:
    """Its mistake is reported, and nothing is sent in its place."""
    async with serve(serve_all) as server:
        client = connect(server.url, token=source)
        watch = Watch(client)
        async with client:
            await asyncio.sleep(120)

            assert client.state is State.WAITING
            assert server.arrivals == []
            assert {*watch.sources} == {"token"}
            assert 6 < len(watch.failures) < 25


@pytest.mark.parametrize("token", ["", "a b", "a\r\nX-Evil: 1", "Ünicode €", 7, b"t"])
@accelerated
async def test_fixed_token_that_is_none_is_refused_at_once(token: Any) -> None:
    """It is a mistake of the program's."""
    with pytest.raises(ValueError, match="token"):
        connect("ws://127.0.0.1/", token=token)


@accelerated
async def test_source_that_hangs_is_given_up() -> None:
    """After thirty seconds, and asked again."""
    asked = 0

    async def source(_: TokenReason) -> str:
        nonlocal asked
        asked += 1
        await asyncio.Event().wait()
        return "t"

    async with serve(serve_all) as server:
        client = connect(server.url, token=source)
        watch = Watch(client)
        async with client:
            await asyncio.sleep(100)

            assert asked in (3, 4)
            assert [type(failure.error) for failure in watch.failures] == [TimeoutError] * (asked - 1)
            assert server.arrivals == []


@accelerated
async def test_source_that_does_not_know_anybody() -> None:
    """``None`` is a visitor who did not sign in."""
    async with serve(serve_all) as server, connect(server.url, token=lambda _: None) as client:
        await client.wait()

        assert "Authorization" not in server.requests[0].headers


@accelerated
async def test_client_is_closed_while_its_source_is_asked() -> None:
    """The source is cancelled, and nothing is connected."""
    asked, ended = asyncio.Event(), asyncio.Event()

    async def source(_: TokenReason) -> str:
        asked.set()
        try:
            await asyncio.sleep(20)
        finally:
            ended.set()
        return "t"

    async with serve(serve_all) as server:
        client = connect(server.url, token=source)
        async with client:
            await asked.wait()
        assert ended.is_set()
        await asyncio.sleep(60)

        assert server.arrivals == []


@accelerated
async def test_source_that_takes_long_to_end_delays_the_end() -> None:
    """And the client is of no use meanwhile: whoever calls it is told, and nothing is started any more."""
    asked, over = asyncio.Event(), asyncio.Event()

    async def source(_: TokenReason) -> str:
        asked.set()
        try:
            await asyncio.sleep(3600)
        finally:
            await over.wait()
        return "t"

    async def handler(_: Any) -> None: ...

    async with serve(serve_all) as server:
        client = connect(server.url, token=source)
        await client.__aenter__()
        await asked.wait()
        closing = asyncio.create_task(client.close())
        await asyncio.sleep(1)

        assert not closing.done()
        client.on("test.event", handler)
        client.room("r").presence.members  # noqa: B018  asks for them
        call = asyncio.create_task(client.call("test.call", timeout=None))
        over.set()
        await closing
        with pytest.raises(ConnectionLost):
            await call
        assert client.state is State.CLOSED


@accelerated
async def test_token_is_renewed_before_it_ends() -> None:
    """In the session, and shown to the next one."""
    reasons: list[TokenReason] = []

    async def source(reason: TokenReason) -> str:
        reasons.append(reason)
        return f"t-{len(reasons)}"

    async def script(peer: Peer) -> None:
        await peer.welcome()
        if peer.number == 1:
            await peer.say("linkd.auth.expiring", {"expiresInMs": 60_000})
            auth = await peer.hear()
            assert auth["type"] == "linkd.auth"
            assert auth["data"] == {"token": "t-2"}
            await peer.answer(auth, {"user": "u", "name": "U", "expiresAt": None})
            await asyncio.sleep(1)
            await peer.close(1001)
        await peer.answer_all()

    async with serve(script) as server, connect(server.url, token=source):
        await server.arrived(2)

        assert reasons == ["connect", "expiring"]
        assert server.requests[1].headers["Authorization"] == "Bearer t-2"


@accelerated
async def test_source_is_asked_once_however_often_the_server_says_that_the_token_ends() -> None:
    """A flood of such messages asks for one token at a time."""
    asked = most = now = 0

    async def source(_: TokenReason) -> str:
        nonlocal asked, most, now
        asked, now = asked + 1, now + 1
        most = max(most, now)
        await asyncio.sleep(1)
        now -= 1
        return "t"

    async def script(peer: Peer) -> None:
        await peer.welcome()
        for _ in range(1_000):
            await peer.say("linkd.auth.expiring", {"expiresInMs": 0})
        await peer.answer_all()

    async with serve(script) as server, connect(server.url, token=source) as client:
        await client.wait()
        before = len(asyncio.all_tasks())
        await client.call("test.call")
        await asyncio.sleep(5)

        assert most == 1
        assert asked < 10
        assert len(asyncio.all_tasks()) <= before + 1


def failing(reason: TokenReason) -> Awaitable[str]:
    """Gives the first one only."""

    async def source() -> str:
        if reason == "connect":
            return "t"
        raise OSError("no network")

    return source()


@accelerated
async def test_renewal_that_fails_is_reported_and_ends_nothing() -> None:
    """Whether the source fails or the server refuses."""

    async def script(peer: Peer) -> None:
        await peer.welcome()
        await peer.say("linkd.auth.expiring", {"expiresInMs": 60_000})
        await peer.answer_all()

    async def refuse(peer: Peer) -> None:
        await peer.welcome()
        await peer.say("linkd.auth.expiring", {"expiresInMs": 60_000})
        while (auth := await peer.hear())["type"] != "linkd.auth":
            await peer.answer(auth, auth["data"])
        await peer.say("error", id=auth["id"], error={"code": 403, "type": "OTHER_USER", "message": "no"})
        await peer.answer_all()

    for does, source in ((script, failing), (refuse, lambda _: "t")):
        async with serve(does) as server:
            client = connect(server.url, token=source)
            watch = Watch(client)
            async with client:
                assert await client.call("test.call", 1) == 1
                await asyncio.sleep(1)

                assert watch.sources == ["token"]
                assert client.state is State.OPEN


@accelerated
async def test_fixed_token_is_not_renewed() -> None:
    """There is no other one."""

    async def script(peer: Peer) -> None:
        await peer.welcome()
        await peer.say("linkd.auth.expiring", {"expiresInMs": 60_000})
        await peer.answer(await peer.hear(), "called")
        await peer.answer_all()

    async with serve(script) as server, connect(server.url, token="t") as client:
        assert await client.call("test.call") == "called"
