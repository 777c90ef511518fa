"""A task that ends is started anew; one that ends again and again ends the gateway."""

from __future__ import annotations

import asyncio

import structlog

from pylinkd.gateway.supervision import Supervision


async def test_task_that_ends_is_started_anew() -> None:
    """By a fault or without one; both are logged, and stopping ends it for good."""
    begun = 0
    again = asyncio.Event()

    async def run() -> None:
        nonlocal begun
        begun += 1
        if begun == 1:
            raise RuntimeError("a fault")
        if begun == 3:
            again.set()
            await asyncio.Event().wait()

    supervision = Supervision(again.set, pause=0.0)
    with structlog.testing.capture_logs() as logs:
        supervision.keep("linkd-test", run)
        async with asyncio.timeout(10):
            await again.wait()
    supervision.stop()
    await asyncio.sleep(0)

    assert [(line["event"], line["task"]) for line in logs] == [("task_failed", "linkd-test")] * 2
    assert logs[0]["exc_info"]
    assert begun == 3


async def test_task_that_ends_again_and_again_ends_the_gateway() -> None:
    """It is told once."""
    given_up = asyncio.Event()
    begun = 0

    async def run() -> None:
        nonlocal begun
        begun += 1
        raise RuntimeError("a fault")

    with structlog.testing.capture_logs() as logs:
        Supervision(given_up.set, pause=0.0).keep("linkd-test", run)
        async with asyncio.timeout(10):
            await given_up.wait()

    assert begun == 10
    assert logs[-1]["event"] == "tasks_failed"
