"""Handlers with rates of their own, and some that set off events."""

# ruff: noqa: D103  a handler's type says what it is for

from __future__ import annotations

from pylinkd import Service, WsContext

service = Service("limited")


@service.ws.on("limited.rare", rate="2/1h")
async def rare(ctx: WsContext) -> str:
    return "rare"


@service.ws.on("limited.often")
async def often(ctx: WsContext) -> str:
    return "often"


@service.ws.on("limited.join")
async def join(ctx: WsContext, room: str) -> None:
    await ctx.join(room)


@service.ws.on("limited.shout")
async def shout(ctx: WsContext, room: str) -> int:
    return (await ctx.to(room).emit("limited.shouted")).reached


@service.ws.on("limited.self")
async def myself(ctx: WsContext) -> int:
    return (await ctx.send("limited.told")).reached
