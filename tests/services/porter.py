"""Lets nobody in whose query says ``refuse``, and counts what the others, or those, were able to do."""

# ruff: noqa: D103  a handler's type says what it is for

from __future__ import annotations

import asyncio

from pylinkd import ForbiddenError, HttpContext, Service, UnauthorizedError, WsContext

service = Service("porter")
counts = {"handled": 0, "disconnected": 0}


@service.ws.on_connect
async def connected(ctx: WsContext) -> None:
    ctx.logger.info("test_connecting")
    await asyncio.sleep(float(ctx.socket.metadata.get("wait", "0")))
    match ctx.socket.metadata.get("refuse"):
        case "forbidden":
            raise ForbiddenError("You are not on the list.")
        case "unauthorized":
            raise UnauthorizedError()
        case "fault":
            raise RuntimeError("hunter2")
    await ctx.send("porter.welcome", {"adopted": False})
    ctx.logger.info("test_connected")


@service.ws.on_disconnect
async def disconnected(ctx: WsContext) -> None:
    counts["disconnected"] += 1


@service.ws.on("porter.enter")
async def enter(ctx: WsContext) -> str:
    counts["handled"] += 1
    return "in"


@service.action("counts", route="/porter/counts")
async def how_many(ctx: HttpContext) -> dict[str, int]:
    return counts
