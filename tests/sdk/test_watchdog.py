"""Handlers that block the event loop are named. Time passes for real here: blocking is what is tested."""

from __future__ import annotations

import asyncio
import functools
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import structlog

from pylinkd import HttpContext, Next, Service, WsContext
from pylinkd.sdk import watchdog
from pylinkd.sdk.watchdog import Watchdog
from pylinkd.testing import Gateway, run

pytestmark = pytest.mark.blocks("that is what is watched for")

LONG = 0.7  # seconds; long enough for two looks, also on a busy machine


def block(seconds: float = LONG) -> None:
    """Hold the loop up."""
    time.sleep(seconds)


@pytest.fixture
def service() -> Service[Any]:
    """Handlers that block, each in its way."""
    service = Service("chat")

    @service.ws.on("sleeps")
    async def sleeps(ctx: WsContext) -> None:
        block()

    @service.ws.on("computes")
    async def computes(ctx: WsContext) -> None:
        end = time.monotonic() + LONG
        while time.monotonic() < end:
            pass

    def decorated(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        async def around(ctx: WsContext) -> Any:
            block()
            return await function(ctx)

        return around

    @service.ws.on("wrapped")
    @decorated
    async def wrapped(ctx: WsContext) -> None: ...

    @service.ws.on("short")
    async def short(ctx: WsContext) -> None:
        block(0.05)

    @service.ws.on("waits")
    async def waits(ctx: WsContext) -> None:
        await asyncio.sleep(LONG)

    @service.action("page")
    async def page(ctx: HttpContext) -> None:
        block()

    @service.ws.on("task")
    async def task(ctx: WsContext) -> None:
        await asyncio.create_task(background())

    @service.ws.on("through")
    async def through(ctx: WsContext) -> None: ...

    return service


async def background() -> None:
    """No handler, and blocks all the same."""
    block()


@asynccontextmanager
async def watched(service: Service[Any]) -> AsyncIterator[Gateway]:
    """The service, watched as when it is served."""
    dog = Watchdog(service)
    dog.start()
    try:
        async with run(service) as gateway:
            yield gateway
    finally:
        dog.stop()


async def blamed(service: Service[Any], *types: str) -> list[Any]:
    """What is logged while these messages are handled at once."""
    with structlog.testing.capture_logs() as logs:
        async with watched(service) as gateway:
            client = await gateway.connect()
            await asyncio.gather(*(client.send(type) for type in types))
    return [line for line in logs if line["event"] == "event_loop_blocked"]


@pytest.mark.parametrize("type", ["sleeps", "computes", "wrapped"])
async def test_handler_that_blocks_is_named(service: Service[Any], type: str) -> None:
    """While it does, with the place; framework frames around it are left out."""
    (line,) = await blamed(service, type)

    assert line["handler"] == type
    assert line["log_level"] == "warning"
    assert 0.25 <= line["seconds"] < LONG
    assert "test_watchdog.py" in line["stack"][-1]
    assert not any("pylinkd/sdk" in place for place in line["stack"])


async def test_handler_is_named_once_in_a_while(service: Service[Any]) -> None:
    """However often it blocks; another one is named beside it."""
    lines = await blamed(service, "sleeps", "sleeps", "computes")

    assert [line["handler"] for line in lines] == ["sleeps", "computes"]


async def test_action_middleware_and_tasks_are_named(service: Service[Any]) -> None:
    """Whatever runs in the loop."""

    async def slow(ctx: WsContext, call_next: Next) -> Any:
        block()
        return await call_next(ctx)

    service.ws.use("through", slow)
    with structlog.testing.capture_logs() as logs:
        async with watched(service) as gateway:
            client = await gateway.connect()
            await gateway.call("page")
            await client.send("task")
            await client.send("through")

    names = [line["handler"] for line in logs if line["event"] == "event_loop_blocked"]
    assert names[:2] == ["page", "background"]
    assert "slow (" in names[2]


async def test_health_check_that_blocks_is_named(service: Service[Any]) -> None:
    """It runs in the same loop, again and again, and no client has asked for it."""

    @service.health_check("warehouse", timeout=5.0)
    async def warehouse(service: Service[Any]) -> None:
        block()

    with structlog.testing.capture_logs() as logs:
        async with watched(service):
            await service.health.until_passing(service)

    (line,) = [line for line in logs if line["event"] == "event_loop_blocked"]
    assert line["handler"] == "health check warehouse"
    assert "test_watchdog.py" in line["stack"][-1]


async def test_handlers_that_wait_or_are_short_are_not_blamed(service: Service[Any]) -> None:
    """Nor are many short ones in a row."""
    assert await blamed(service, "waits", *["short"] * 12) == []


async def test_pause_of_the_whole_process_is_nobodys_fault(
    service: Service[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A clock that jumped while the process did no work: it was stopped, or the machine slept."""
    offset = 0.0
    monkeypatch.setattr(watchdog, "monotonic", lambda: time.monotonic() + offset)
    with structlog.testing.capture_logs() as logs:
        async with watched(service) as gateway:
            client = await gateway.connect()
            offset = 30.0
            await client.send("short")
            await client.send("waits")

    assert [line for line in logs if line["event"] == "event_loop_blocked"] == []


async def test_thread_ends_with_the_service(service: Service[Any]) -> None:
    """It is not left behind."""
    async with watched(service):
        threads = [thread for thread in threading.enumerate() if thread.name == "linkd-watchdog"]
        assert threads
    for thread in threads:
        await asyncio.to_thread(thread.join, 5)
        assert not thread.is_alive()
