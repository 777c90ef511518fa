"""Sessions that move between instances, and whose ends take their time."""

# ruff: noqa: D103  a handler's type says what it is for

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from pylinkd import Service, WsContext

service = Service("handover", stop_timeout=20.0)


async def _wait_for(name: str | None) -> None:
    while name and not Path(name).exists():
        await asyncio.sleep(0.01)


@service.ws.on("handover.who")
async def who(ctx: WsContext) -> int:
    return os.getpid()


@service.ws.on("handover.poll", ordered=False, timeout=None)
async def poll(ctx: WsContext, data: str) -> int:
    """Answer once a file of this name is there, and let others overtake it."""
    await _wait_for(data)
    return os.getpid()


@service.ws.on("handover.wait", timeout=None)
async def wait(ctx: WsContext, data: str) -> int:
    """Answer once a file of this name is there, in order."""
    await _wait_for(data)
    return os.getpid()


@service.ws.on("handover.large")
async def large(ctx: WsContext, data: str) -> str:
    """Answer with 60 kB once a file of this name is there."""
    await _wait_for(data)
    return "x" * 60_000


@service.ws.on("handover.huge")
async def huge(ctx: WsContext, data: str) -> str:
    """Answer with 8 MB once a file of this name is there."""
    await _wait_for(data)
    return "x" * 8_000_000


@service.ws.on_connect
async def connected(ctx: WsContext) -> None:
    ctx.logger.info("test_connecting")
    await _wait_for(os.environ.get("TEST_CONNECT_GATE"))


@service.ws.on_disconnect
async def disconnected(ctx: WsContext) -> None:
    ctx.logger.info("test_disconnecting", reason=ctx.end_reason)
    await _wait_for(os.environ.get("TEST_DISCONNECT_GATE"))
    ctx.logger.info("test_disconnected", reason=ctx.end_reason)
