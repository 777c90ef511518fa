"""Everything that a handler can do wrong."""

# ruff: noqa: D103  a handler's type says what it is for

from __future__ import annotations

import asyncio
from typing import Any

from pylinkd import ForbiddenError, LinkdError, Service, WsContext

SECRET = "hunter2"

service = Service("faults", stop_timeout=0.5)
released = asyncio.Event()


@service.ws.on("faults.fine")
async def fine(ctx: WsContext) -> str:
    return "fine"


@service.ws.on("faults.raises")
async def raises(ctx: WsContext) -> None:
    raise RuntimeError(f"the password is {SECRET}")


@service.ws.on("faults.raises_group")
async def raises_group(ctx: WsContext) -> None:
    raise ExceptionGroup(SECRET, [ValueError(SECRET), KeyError(SECRET)])


@service.ws.on("faults.returns_object")
async def returns_object(ctx: WsContext) -> object:
    return object()


@service.ws.on("faults.returns_surrogate")
async def returns_surrogate(ctx: WsContext) -> str:
    return "\ud800"


@service.ws.on("faults.returns_cycle")
async def returns_cycle(ctx: WsContext) -> list[Any]:
    cycle: list[Any] = []
    cycle.append(cycle)
    return cycle


@service.ws.on("faults.returns_too_much")
async def returns_too_much(ctx: WsContext) -> str:
    """More than a frame of the link may hold."""
    return "x" * (17 * 2**20)


@service.ws.on("faults.emits_object")
async def emits_object(ctx: WsContext) -> None:
    await ctx.send("faults.event", object())


@service.ws.on("faults.refuses")
async def refuses(ctx: WsContext) -> None:
    raise LinkdError("The room is full.", code=409, type="ROOM_FULL", details={"size": 3}, retry_after=2.0)


@service.ws.on("faults.details_object")
async def details_object(ctx: WsContext) -> None:
    raise ForbiddenError(details={"x": object()})


@service.ws.on("faults.details_surrogate")
async def details_surrogate(ctx: WsContext) -> None:
    raise ForbiddenError(details={"x": "\ud800"})


@service.ws.on("faults.details_cycle")
async def details_cycle(ctx: WsContext) -> None:
    details: dict[str, Any] = {}
    details["self"] = details
    raise ForbiddenError(details=details)


@service.ws.on("faults.message_surrogate")
async def message_surrogate(ctx: WsContext) -> None:
    raise ForbiddenError("\ud800")


@service.ws.on("faults.retry_never")
async def retry_never(ctx: WsContext) -> None:
    raise ForbiddenError(retry_after=float("inf"))


@service.ws.on("faults.hangs", timeout=0.3)
async def hangs(ctx: WsContext) -> None:
    await asyncio.Event().wait()


@service.ws.on("faults.hangs_and_fails", timeout=0.3)
async def hangs_and_fails(ctx: WsContext) -> None:
    try:
        await asyncio.Event().wait()
    finally:
        raise RuntimeError(SECRET)


@service.ws.on("faults.stubborn", timeout=0.3)
async def stubborn(ctx: WsContext) -> None:
    while not released.is_set():
        try:
            await released.wait()
        except asyncio.CancelledError:
            continue


@service.ws.on("faults.release", ordered=False)
async def release(ctx: WsContext) -> None:
    released.set()
    await asyncio.sleep(0)
    released.clear()


@service.ws.on("faults.graceful", timeout=60)
async def graceful(ctx: WsContext) -> str:
    """Takes its cancellation as a wish to end early, as much code does."""
    ctx.logger.info("test_waiting")
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        pass
    return "cancelled"


@service.ws.on("faults.obstinate", timeout=60)
async def obstinate(ctx: WsContext) -> None:
    ctx.logger.info("test_waiting")
    while True:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            continue


@service.ws.on("faults.cancels_itself")
async def cancels_itself(ctx: WsContext) -> None:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    await asyncio.sleep(0)


@service.ws.on("faults.awaits_cancelled")
async def awaits_cancelled(ctx: WsContext) -> None:
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    future.cancel()
    await future


@service.ws.on("faults.raises_cancelled")
async def raises_cancelled(ctx: WsContext) -> None:
    raise asyncio.CancelledError
