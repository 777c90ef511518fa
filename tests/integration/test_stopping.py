"""A service ends in its time, whatever its author's code is doing."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from tests.processes import Platform, Program, platform, start_program

from .client import client

pytestmark = pytest.mark.plain("it is about services, not about connections of clients")

SERVICE = Path("tests/services/stopping.py")
URL = "/ws/stopping"


async def stopped(service: Program, number: int = signal.SIGTERM) -> tuple[int, float]:
    """Its status, and how many seconds its end took."""
    began = monotonic()
    status = await service.stop(number)
    return status, monotonic() - began


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize(("start", "status"), [("waits", 0), ("threads", 1)])
async def test_signal_during_the_start_is_heard(tmp_path: Path, number: int, start: str, status: int) -> None:
    """The hook is cancelled; a thread that it started is left alone when stop_timeout is over."""
    env = {**Platform(tmp_path).env, "START": start}
    service = await start_program(tmp_path, "service", "run", str(SERVICE), env=env)
    try:
        async with asyncio.timeout(20):
            while "before_start" not in service.text():
                await asyncio.sleep(0.02)

        found, took = await stopped(service, number)

        assert (found, took < 3) == (status, True)
        assert service.logged("start_interrupted")
    finally:
        await service.kill()


@pytest.mark.parametrize(("how", "status"), [("waits", 0), ("ignores", 1)])
async def test_before_stop_has_its_limit(tmp_path: Path, how: str, status: int) -> None:
    """stop_timeout, then it is cancelled, and what ignores that is left alone."""
    async with platform(tmp_path) as running:
        service = await running.start_service(SERVICE, {"STOP": how})

        found, took = await stopped(service)

    assert (found, took < 5) == (status, True)
    assert service.logged("before_stop_cancelled")[0]["timeout"] == 0.5


async def ask(running: Platform, type: str) -> Any:
    """One message, and the first thing that comes back."""
    async with client(running.url(URL)) as one:
        await one.send({"type": type, "id": 1})
        return await one.receive()


@pytest.mark.parametrize("type", ["stopping.thread", "stopping.own_thread"])
async def test_thread_that_goes_on_does_not_hold_the_end_up(tmp_path: Path, type: str) -> None:
    """It cannot be cancelled; the log names it and the status says that something was cut off."""
    async with platform(tmp_path, SERVICE) as running:
        await ask(running, type)
        service = running.programs[-1]

        status, took = await stopped(service)

    assert (status, took < 4) == (1, True)
    (line,) = service.logged("threads_left_running")
    name, _, what = line["threads"][0].partition(": ")
    assert what.startswith("sleep") if type == "stopping.thread" else name == "mine"


async def test_thread_that_ends_in_time_is_waited_for(tmp_path: Path) -> None:
    """Nothing is cut off, and the status is 0."""
    async with platform(tmp_path, SERVICE) as running:
        await ask(running, "stopping.short_thread")
        service = running.programs[-1]

        status, _ = await stopped(service)

    assert status == 0
    assert not service.logged("threads_left_running")


async def test_blocking_handler_is_named_in_the_log(tmp_path: Path) -> None:
    """By the service that it blocks, with uvloop as without."""
    async with platform(tmp_path, SERVICE) as running:
        await ask(running, "stopping.blocks")
        line = await running.programs[-1].wait_logged("event_loop_blocked")

    assert line["handler"] == "stopping.blocks"
    assert "stopping.py" in line["stack"][-1]


async def test_debug_shows_messages_of_a_service(tmp_path: Path) -> None:
    """One line each, from the level that asks for it."""
    async with platform(tmp_path, env={"LINKD_LOG_LEVEL": "debug"}) as running:
        service = await running.start_service(SERVICE)
        await ask(running, "stopping.fine")
        line = await service.wait_logged("message_handled")

    assert (line["type"], line["code"], line["level"]) == ("stopping.fine", 200, "debug")
