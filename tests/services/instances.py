"""Says which process answers."""

# ruff: noqa: D103  a handler's type says what it is for

from __future__ import annotations

import os

from pylinkd import Service, WsContext

service = Service("instances")


@service.ws.on("instances.who")
async def who(ctx: WsContext) -> int:
    return os.getpid()


@service.ws.on("instances.rooms")
async def rooms(ctx: WsContext) -> list[str]:
    return sorted(await ctx.rooms())


@service.ws.on("instances.join")
async def join(ctx: WsContext, data: str) -> None:
    await ctx.join(data)


@service.ws.on_connect
async def connected(ctx: WsContext) -> None:
    ctx.logger.info("test_connected", session=ctx.socket.id)


@service.ws.on_disconnect
async def disconnected(ctx: WsContext) -> None:
    ctx.logger.info("test_disconnected", session=ctx.socket.id)
