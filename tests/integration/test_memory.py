"""What passes through is not kept."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import pytest

from tests.processes import platform, resident

from .client import Client, client
from .raw_websocket import TEXT, frame, raw_websocket

ECHO = "tests/services/echo.py"
MEBIBYTE = 2**20


async def test_messages_that_were_answered_leave_nothing_behind(tmp_path: Path) -> None:
    """120 MB through gateway and service and back: neither keeps them."""
    async with platform(tmp_path, ECHO) as running, client(running.url("/ws/echo")) as one:
        processes = running.gateway.process.pid, running.programs[1].process.pid
        text = "x" * 60_000

        async def send(count: int) -> None:
            for number in range(count):
                await one.send({"type": "echo.any", "data": text, "id": number})
                await one.answer(number)

        await send(100)
        before = [resident(pid) for pid in processes]
        await send(2000)
        grown = [resident(pid) - was for pid, was in zip(processes, before, strict=True)]

    assert max(grown) < 10 * MEBIBYTE


@pytest.mark.plain  # the TLS layer keeps a buffer of its own for each connection, which nothing here bounds
async def test_large_messages_of_many_clients_arrive_a_few_at_a_time(tmp_path: Path) -> None:
    """300 clients send 60 KB each at once, five times; buffers for 8 of them have to do, and every one is answered."""
    env = {"LINKD_RECEPTION_LIMIT": str(MEBIBYTE)}
    async with platform(tmp_path, ECHO, env=env) as running, contextlib.AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(client(running.url("/ws/echo"))) for _ in range(300)]
        text = "x" * 60_000
        before = resident(running.gateway.process.pid)

        async def exchange(one: Client) -> None:
            for number in range(5):
                await one.send({"type": "echo.counts", "data": text, "id": number})
                assert (await one.answer(number))["data"]["connected"] == 300

        await asyncio.gather(*(exchange(one) for one in clients))
        grown = resident(running.gateway.process.pid) - before

        assert [await one.ask("echo.any", "small") for one in clients] == ["small"] * 300
    assert grown < 16 * MEBIBYTE


@pytest.mark.plain  # what it counts is the room in one buffer, which TLS doubles
async def test_large_message_that_never_ends_does_not_keep_others_out(tmp_path: Path) -> None:
    """Eight clients that send a byte now and then hold all places: they are closed, and the others' messages arrive."""
    env = {"LINKD_RECEPTION_LIMIT": str(MEBIBYTE), "LINKD_MESSAGE_TIMEOUT_MS": "1000"}
    async with platform(tmp_path, ECHO, env=env) as running, contextlib.AsyncExitStack() as stack:
        slow = [await stack.enter_async_context(raw_websocket(running, "/ws/echo")) for _ in range(8)]
        for one in slow:
            await one.send(frame(TEXT, b'{"type":"echo.any","data":"' + b"x" * 60_000 + b'"}')[:40_000])
        async with client(running.url("/ws/echo")) as other:
            answer = await other.request("echo.any", "x" * 60_000)
        codes = [await one.close_code() for one in slow]

    assert answer["type"] == "response"
    assert codes == [1008] * 8
