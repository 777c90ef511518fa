"""The Python client and servers that are broken, hostile or away: it is bounded, it says so, and it goes on."""

from __future__ import annotations

import asyncio
import gc
import json
import os
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from pylinkd.client import ConnectionLost, Event, State, connect
from pylinkd.protocol.close import CloseCode, Reconnect, reconnect_after

from .hosts import QUICK, Guest, Host

_CODES = sorted({*map(int, CloseCode), 1014, 3000, 3999, 4000, 4999} - {CloseCode.UNAUTHORIZED})


@pytest.mark.parametrize("code", _CODES)
async def test_close_codes(code: int) -> None:
    """Of the table, and others."""

    async def behave(guest: Guest) -> None:
        if guest.number == 1:
            await guest.welcome()
            await guest.end(code)
        else:
            await guest.welcome(resumed=True, received=0)
            await guest.serve()

    known = code in set(CloseCode)
    returns = reconnect_after(code) is Reconnect.YES if known else code < 3000
    async with Host(behave).run() as host, connect(host.url) as client:
        if returns:
            await host.guest(2)
            assert await client.call("a.b", 1) == 1
        else:
            await client.wait(State.CLOSED)
            assert len(host.guests) == 1


@pytest.mark.parametrize("status", [401, 403, 404, 426, 400, 429, 500, 503, 502])
async def test_refusals(status: int) -> None:
    """What may be over later is tried again, when the server says; the rest is an end, with its reason."""

    async def behave(guest: Guest) -> None:
        await guest.welcome()
        await guest.serve()

    host = Host(behave)
    host.refuse = (status, {"Retry-After": "0"})
    async with host.run(), connect(host.url) as client:
        if status in (429, 500, 503, 502):
            await client.wait(State.WAITING)
            host.refuse = None
            assert await client.call("a.b", 1) == 1
        else:
            with pytest.raises(ConnectionLost, match=str(status)):
                await client.wait(State.OPEN)


async def _garbage(guest: Guest, text: str | bytes) -> None:
    await guest.welcome()
    await guest.connection.send(text)
    await guest.connection.wait_closed()


def _raw(text: str | bytes) -> Callable[[Guest], Awaitable[None]]:
    return lambda guest: _garbage(guest, text)


def _welcome(**data: Any) -> Callable[[Guest], Awaitable[None]]:
    async def behave(guest: Guest) -> None:
        await guest.say("linkd.welcome", {"session": "s", "resume": "t", "retry": QUICK, **data})
        await guest.say("n.e", 1)
        await guest.end(1011)

    return behave


async def _nothing(guest: Guest) -> None:
    guest.abort()


async def _closing(guest: Guest) -> None:
    await guest.welcome()
    await guest.say("linkd.closing", {"retryAfterMs": 1, "resumable": False})
    await guest.end(1001)


async def _resumes_and_closes(guest: Guest) -> None:
    await guest.welcome(resumed=guest.number > 1, received=0)
    await guest.end(1011)


async def _resume_fails(guest: Guest) -> None:
    await guest.welcome(f"s{guest.number}", resumed=False, reason="unknown")
    await guest.end(1011)


_BAD: dict[str, Callable[[Guest], Awaitable[None]]] = {
    "breaks at once": _nothing,
    "accepts and closes": lambda guest: guest.end(1011),
    "welcomes and closes": _welcome(),
    "resumes and closes": _resumes_and_closes,
    "never resumes": _resume_fails,
    "says closing, and comes back at once": _closing,
    "no json": _raw("{"),
    "binary": _raw(b"\x00\xff"),
    "a list": _raw("[]"),
    "a number": _raw("7"),
    "no type": _raw("{}"),
    "odd type": _raw('{"type": 7}'),
    "two welcomes": _raw(json.dumps({"type": "linkd.welcome", "data": {"session": "x"}})),
    "event first": lambda guest: guest.say("n.e", 1),
    "ack that cannot be": _raw('{"type": "linkd.ack", "data": {"received": 7, "sent": 0}}'),
    "ack of nothing": _raw('{"type": "linkd.ack"}'),
    "negative numbers": _welcome(retry={**QUICK, "baseMs": -1, "capMs": -1}, window=-1, pingMs=-5),
    "texts for numbers": _welcome(retry={**QUICK, "jitter": "x"}, window="x", ack={"ms": []}, maxMessageSize={}),
    "zeros": _welcome(retry={"baseMs": 0, "capMs": 0, "jitter": 0, "attempts": 0}, ack={"messages": 0, "ms": 0}),
    "huge": _welcome(retry={**QUICK, "baseMs": 1e300}, graceMs=1e300, dropped=10**30),
    "no session": _welcome(session=None),
    "resumed without asking": _welcome(resumed=True, received=10**9),
}


@pytest.mark.parametrize("kind", _BAD)
async def test_misbehaving_servers_are_met_with_growing_delays(kind: str) -> None:
    """Whatever it is they do, and nothing of the client breaks."""
    host = Host(_BAD[kind])
    async with host.run(), connect(host.url) as client:
        task = asyncio.create_task(client.call("a.b", timeout=None))
        await asyncio.sleep(1.6)  # this is the time in which it may come
        assert client.state is not State.CLOSED
        assert 1 <= len(host.asked) <= 8, "0, 50, 150, 350, 750, 1150, 1550 ms"
        await client.close()
        with pytest.raises(ConnectionLost):
            await task


async def test_server_that_answers_no_handshake() -> None:
    """The attempt has its time, and others follow."""

    came: list[asyncio.StreamWriter] = []

    async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        came.append(writer)
        await reader.read()

    server = await asyncio.start_server(mute, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with connect(f"ws://127.0.0.1:{port}/ws") as client:
        await client.wait(State.CONNECTING)
        await asyncio.sleep(0.1)
    assert client.state is State.CLOSED
    server.close()
    for writer in came:
        writer.close()
        await writer.wait_closed()


async def test_floods_leave_memory_as_it_is() -> None:
    """Events that nobody reads, questions, rooms and presence that nobody has asked for."""

    async def behave(guest: Guest) -> None:
        await guest.welcome(ack={"messages": 1000, "bytes": 10**9, "ms": 60_000})
        await guest.hear()
        for number in range(500):
            await guest.say("n.e", "x" * 100, room=f"r{number}", offset=number)
            await guest.say("linkd.presence", {"room": f"r{number}", "seq": 1, "count": 1, "members": {"a": {}}})
            await guest.say("linkd.room", {"room": f"r{number}", "epoch": "e", "offset": 1})
        await guest.say("response", None, id=1)
        await guest.serve()

    async with Host(behave).run() as host, connect(host.url) as client:
        stream = client.events("*", limit=100)
        await client.call("a.b")
        assert len(stream._waiting) == 100
        assert len(client._rooms) == 0
        assert (await anext(stream)).dropped == 400


async def test_callbacks_that_raise_break_nothing() -> None:
    """Every kind of them."""

    async def behave(guest: Guest) -> None:
        if guest.number == 1:
            await guest.welcome()
            await guest.say("n.e", 1)
            await guest.hear()
            guest.abort()
            return
        await guest.welcome("other", resumed=False, reason="unknown")
        await guest.serve()

    def broken(*_: Any) -> Any:
        raise RuntimeError("on purpose")

    async def broken_later(*_: Any) -> Any:
        raise RuntimeError("on purpose")

    async with Host(behave).run() as host:
        client = connect(host.url, token=lambda _: None)
        for register in (client.on_state, client.on_gap, client.on_error):
            register(broken)
        client.on("*", broken)
        client.on("*", broken_later)
        client.on_request("n.e", broken)
        client.room("lobby", join=broken_later, load=broken_later)
        async with client:
            assert await client.call("a.b", 1, idempotent=True) == 1
            assert client.state is State.OPEN


@pytest.mark.timeout(120)
async def test_many_reconnects_leave_nothing_behind() -> None:
    """No task, no timer, no socket, no memory that grows."""

    async def behave(guest: Guest) -> None:
        retry = {"baseMs": 50, "capMs": 50, "jitter": 1, "attempts": 0}
        await guest.welcome(retry=retry, resumed=guest.number > 1, received=0)
        await guest.say("n.e", guest.number)
        guest.abort()

    def count() -> tuple[int, int, int]:
        gc.collect()
        loop: Any = asyncio.get_running_loop()
        timers = [handle for handle in getattr(loop, "_scheduled", ()) if not handle.cancelled()]
        return len(asyncio.all_tasks()), len(os.listdir("/proc/self/fd")), len(timers)

    heard: list[Event] = []
    async with Host(behave).run() as host, connect(host.url) as client:
        client.on("n.*", lambda event: heard.append(event) if len(heard) < 10 else None)
        await host.guest(20)
        host.guests[:] = host.guests[:1] * len(host.guests)
        before = count()
        await asyncio.wait_for(host.guest(150), 60)
        after = count()
    assert all(after[index] <= before[index] + 12 for index in range(3)), (before, after)
