"""Services that call themselves and each other, with little room; and one handler that emits after its work."""

# ruff: noqa: D103  a handler's type says what it is for

from __future__ import annotations

import asyncio

from pylinkd import HttpContext, Service, WsContext

service = Service("nested", max_concurrent=4)
other = Service("other", max_concurrent=4)
bookings: list[str] = []


@service.ws.on("nested.ask", timeout=10.0)
async def ask(ctx: WsContext, way: list[str]) -> int:
    """How many calls it took to go this way, a list of services."""
    calls: int = await ctx.call(way[0], "down", way[1:])
    return calls + 1


@service.action("down")
@other.action("down")
async def down(ctx: HttpContext, way: list[str]) -> int:
    await asyncio.sleep(0.01)  # so that all of them are suspended at once
    if not way:
        return 0
    calls: int = await ctx.call(way[0], "down", way[1:])
    return calls + 1


@service.ws.on("nested.book")
async def book(ctx: WsContext) -> int:
    bookings.append(ctx.socket.id)
    await ctx.everyone.emit("nested.booked")
    return len(bookings)


@service.ws.on("nested.booked")
async def booked(ctx: WsContext) -> int:
    return len(bookings)
