"""Sessions that change their instance, and ends of processes: what began ends, once, and what is finished arrives."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from pathlib import Path

import pytest

from tests.processes import Platform, Program, platform

from .client import client

pytestmark = pytest.mark.plain("it is about services, not about connections of clients")

HANDOVER = "tests/services/handover.py"
PATH = "/ws/handover"


async def stop_once(service: Program, go: Path) -> None:
    """Have the service stop, and let its handlers finish when it has begun to."""
    stopping = asyncio.create_task(service.stop())
    await service.wait_logged("service_stopping")
    go.touch()
    assert await stopping == 0


async def test_answers_that_are_ready_when_the_service_stops_arrive(tmp_path: Path) -> None:
    """60 clients, 60 kB each, all at once, and SIGTERM: nobody is told 503 for what was done."""
    async with platform(tmp_path) as running, contextlib.AsyncExitStack() as stack:
        old = await running.start_service(HANDOVER)
        go = tmp_path / "go"
        clients = [await stack.enter_async_context(client(running.url(PATH))) for _ in range(60)]
        for one in clients:
            for number in range(3):
                await one.send({"type": "handover.large", "data": str(go), "id": number})
        for one in clients:
            await one.send({"type": "handover.poll", "data": "/", "id": "there"})
            await one.answer("there")
        await running.start_service(HANDOVER)

        await stop_once(old, go)

        answers = [await one.answer(number) for one in clients for number in range(3)]
        assert {answer["type"] for answer in answers} == {"response"}


async def test_very_large_answer_leaves_before_the_service_ends(tmp_path: Path) -> None:
    """The process waits until the gateway has read its last byte."""
    env = {"LINKD_OUTBOX_LIMIT": "16777216"}
    async with platform(tmp_path, env=env) as running:
        service = await running.start_service(HANDOVER)
        go = tmp_path / "go"
        async with client(running.url(PATH)) as one:
            await one.ask("handover.who")
            await one.send({"type": "handover.huge", "data": str(go), "id": 1})
            await one.send({"type": "handover.poll", "data": "/", "id": 2})
            await one.answer(2)

            await stop_once(service, go)

            assert len((await one.answer(1))["data"]) == 8_000_000


async def test_long_poll_at_the_old_instance_holds_nobody_up(tmp_path: Path) -> None:
    """The session's other messages go to the next instance at once; the poll is answered by the old one."""
    async with platform(tmp_path) as running:
        old = await running.start_service(HANDOVER)
        go = tmp_path / "go"
        async with client(running.url(PATH)) as one:
            first = await one.ask("handover.who")
            await one.send({"type": "handover.poll", "data": str(go), "id": "poll"})
            new = await running.start_service(HANDOVER)
            stopping = asyncio.create_task(old.stop())
            await old.wait_logged("service_stopping")

            assert await one.ask("handover.who") == new.process.pid
            go.touch()
            assert (await one.answer("poll"))["data"] == first == old.process.pid
            assert await stopping == 0


async def ends_after(running: Platform, *services: Program) -> int:
    """How often on_disconnect has begun in these processes, once the gateway they are at has answered a client."""
    async with client(running.url(PATH)) as one:
        await one.ask("handover.who")
        return sum(len(service.logged("test_disconnecting")) for service in services)


async def test_session_whose_end_takes_long_ends_once_though_the_gateway_is_replaced(tmp_path: Path) -> None:
    """on_disconnect runs while the gateway goes; the next one does not know the session, and it is not run again."""
    go = tmp_path / "go"
    async with platform(tmp_path) as running:
        service = await running.start_service(HANDOVER, {"TEST_DISCONNECT_GATE": str(go)})
        async with client(running.url(PATH)) as one:
            await one.ask("handover.who")
            await running.gateway.stop(signal.SIGHUP)
        await service.wait_logged("test_disconnecting")
        await running.start_gateway()
        await service.wait_logged("gateway_connected", 2)
        go.touch()
        await service.wait_logged("test_disconnected")

        assert await ends_after(running, service) == 1


async def test_every_session_ends_when_the_gateway_dies_after_a_redeploy(tmp_path: Path) -> None:
    """The new instance was told of those that sent nothing since."""
    async with platform(tmp_path) as running, contextlib.AsyncExitStack() as stack:
        old = await running.start_service(HANDOVER)
        for _ in range(5):
            one = await stack.enter_async_context(client(running.url(PATH)))
            await one.ask("handover.who")
        new = await running.start_service(HANDOVER)
        assert await old.stop() == 0
        await running.gateway.wait_logged("service_left")

        await running.gateway.kill()
        await running.start_gateway()
        await new.wait_logged("test_disconnected", 5)

        assert {line["reason"] for line in new.logged("test_disconnected")} == {"gateway_lost"}
        assert await ends_after(running, old, new) == 5


async def test_every_session_ends_when_the_gateway_dies_while_the_service_stops(tmp_path: Path) -> None:
    """The gateway hangs, so that a service that has finished waits for it, and is then killed."""
    async with platform(tmp_path) as running, contextlib.AsyncExitStack() as stack:
        service = await running.start_service(HANDOVER)
        for _ in range(5):
            one = await stack.enter_async_context(client(running.url(PATH)))
            await one.ask("handover.who")
        os.kill(running.gateway.process.pid, signal.SIGSTOP)
        stopping = asyncio.create_task(service.stop())
        await service.wait_logged("service_drained")
        await running.gateway.kill()

        assert await stopping == 0
        assert len(service.logged("test_disconnecting")) == 5


async def test_session_whose_beginning_was_killed_has_an_end(tmp_path: Path) -> None:
    """Its only instance dies in on_connect, and the client leaves before the next one is there."""
    gate = tmp_path / "gate"
    async with platform(tmp_path) as running:
        old = await running.start_service(HANDOVER, {"TEST_CONNECT_GATE": str(gate)})
        async with client(running.url(PATH)):
            await old.wait_logged("test_connecting")
            await old.kill()
            await running.gateway.wait_logged("service_left")

        new = await running.start_service(HANDOVER)

        await new.wait_logged("test_disconnected")
        assert len(new.logged("test_connecting")) == 0


async def test_slow_reader_gets_its_answers_though_the_gateway_stops(tmp_path: Path) -> None:
    """What is finished and waits for its client is waited for, within the shutdown's time."""
    env = {"LINKD_OUTBOX_LIMIT": "33554432", "LINKD_SESSION_WINDOW": "400", "LINKD_LIMITS": "off"}
    async with platform(tmp_path, env=env) as running:
        await running.start_service(HANDOVER)
        async with client(running.url(PATH)) as one, client(running.url(PATH)) as other:
            for number in range(300):
                await one.send({"type": "handover.large", "data": "/", "id": number})
            await other.ask("handover.who")
            stopping = asyncio.create_task(running.gateway.stop(timeout=40.0))
            await running.gateway.wait_logged("gateway_stopping")
            await other.closed()

            answers = [await one.answer(number) for number in range(300)]

            assert {answer["type"] for answer in answers} == {"response"}
            assert (await one.closed())[0] == 1001
            assert await stopping == 0
