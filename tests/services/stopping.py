"""Everything that can hold up the end of a service. What its hooks do is said by the environment."""

# ruff: noqa: D103  a handler's type says what it is for

from __future__ import annotations

import asyncio
import os
import threading
import time
from typing import Any

from pylinkd import Service, WsContext

service: Service[Any] = Service("stopping", stop_timeout=0.5)


@service.before_start
async def start(service: Service[Any]) -> None:
    print("before_start", flush=True)  # noqa: T201
    match os.environ.get("START"):
        case "waits":
            await asyncio.Event().wait()
        case "threads":
            await asyncio.to_thread(time.sleep, 60)


@service.before_stop
async def stop(service: Service[Any]) -> None:
    match os.environ.get("STOP"):
        case "waits":
            await asyncio.Event().wait()
        case "ignores":
            await ignore()


async def ignore() -> None:
    while True:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            pass


@service.ws.on("stopping.thread", timeout=None)
async def thread(ctx: WsContext) -> None:
    await asyncio.gather(asyncio.to_thread(time.sleep, 60), ctx.send("stopping.begun"))


@service.ws.on("stopping.own_thread")
async def own_thread(ctx: WsContext) -> None:
    threading.Thread(target=time.sleep, args=(60,), name="mine").start()


@service.ws.on("stopping.short_thread")
async def short_thread(ctx: WsContext) -> None:
    service.working = asyncio.get_running_loop().run_in_executor(None, time.sleep, 0.3)  # type: ignore[attr-defined]


@service.ws.on("stopping.task")
async def task(ctx: WsContext) -> None:
    service.kept = asyncio.create_task(ignore())  # type: ignore[attr-defined]


@service.ws.on("stopping.blocks")
async def blocks(ctx: WsContext) -> None:
    time.sleep(1)  # noqa: ASYNC251


@service.ws.on("stopping.fine")
async def fine(ctx: WsContext) -> str:
    return "fine"
