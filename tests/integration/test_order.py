"""In which order messages are handled: one session's in theirs, different sessions' at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.integration.client import client
from tests.integration.raw_websocket import TEXT, RawWebSocket, frame, raw_websocket
from tests.processes import Platform, platform

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def echo(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Platform]:
    """A gateway and the service ``echo``."""
    async with platform(tmp_path_factory.mktemp("p"), "tests/services/echo.py") as running:
        yield running


async def test_messages_of_one_session_are_answered_in_order(echo: Platform) -> None:
    """200 pipelined messages whose handler sleeps at random are answered in the order they were sent."""
    async with client(echo.url("/ws/echo")) as one:
        for number in range(200):
            await one.send({"type": "echo.jitter", "data": number, "id": number})
        answers = [await one.receive() for _ in range(200)]

    assert [(answer["id"], answer["data"]) for answer in answers] == [(number, number) for number in range(200)]


async def test_unordered_handler_may_overtake(echo: Platform) -> None:
    """With ordered=False the quick one is answered before the slow one that came first."""
    async with client(echo.url("/ws/echo")) as one:
        await one.send({"type": "echo.overtake", "data": 0.5, "id": "slow"})
        await one.send({"type": "echo.overtake", "data": 0.0, "id": "quick"})

        assert [(await one.receive())["id"] for _ in range(2)] == ["quick", "slow"]


async def test_ordered_message_does_not_wait_for_an_unordered_one(echo: Platform) -> None:
    """An unordered handler holds up nobody."""
    async with client(echo.url("/ws/echo")) as one:
        await one.send({"type": "echo.overtake", "data": 0.5, "id": "slow"})
        await one.send({"type": "echo.any", "data": 1, "id": "ordered"})

        assert (await one.receive())["id"] == "ordered"


async def test_sessions_do_not_wait_for_each_other(echo: Platform) -> None:
    """Fifty sessions whose handlers sleep half a second are done long before 25 seconds."""
    clock = asyncio.get_running_loop().time

    async def sleeper() -> None:
        async with client(echo.url("/ws/echo")) as one:
            await one.ask("echo.sleep", 0.5)

    begun = clock()
    await asyncio.gather(*(sleeper() for _ in range(50)))

    assert clock() - begun < 8.0


async def test_more_messages_than_the_window_are_all_answered(echo: Platform) -> None:
    """Back pressure holds messages up and loses none: 2,000 at once through a window of 64."""
    async with client(echo.url("/ws/echo")) as one:
        sending = asyncio.create_task(_send_many(one.websocket.send, 2000))
        answers = [(await one.receive())["id"] for _ in range(2000)]
        await sending

    assert answers == list(range(2000))


async def _send_many(send: object, count: int) -> None:
    assert callable(send)
    for number in range(count):
        await send(f'{{"type":"echo.any","data":{number},"id":{number}}}')


async def test_large_answers_reach_a_client_that_reads(echo: Platform) -> None:
    """A client that asks for 4 MB in 64 messages and reads them all is not taken for a slow one."""
    async with client(echo.url("/ws/echo")) as one:
        for number in range(64):
            await one.send({"type": "echo.large", "data": 62_000, "id": number})
        answers = [await one.receive() for _ in range(64)]

    assert [answer["id"] for answer in answers] == list(range(64))


async def test_flood_of_one_client_starves_nobody(echo: Platform) -> None:
    """While one sends as fast as it is read from, another's requests are answered, each in its turn."""
    messages = frame(TEXT, b'{"type":"echo.any","data":1,"id":1}') * 500
    answered = 0

    async def send(flood: RawWebSocket) -> None:
        while True:
            await flood.send(messages)

    async def receive(flood: RawWebSocket) -> None:
        nonlocal answered
        while True:
            await flood.receive()
            answered += 1

    async with raw_websocket(echo, "/ws/echo") as flood, client(echo.url("/ws/echo")) as other:
        flooding = [asyncio.create_task(send(flood)), asyncio.create_task(receive(flood))]
        for number in range(50):
            assert await other.ask("echo.any", number) == number
        for task in flooding:
            task.cancel()
        await asyncio.gather(*flooding, return_exceptions=True)

    assert answered > 50
