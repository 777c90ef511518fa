"""For the client of the command line: what a person at a terminal meets."""

# ruff: noqa: D103  a handler's type says what it is for

from __future__ import annotations

import asyncio
from typing import Any

from pylinkd import History, Presence, Service, WsContext

service = Service("console")
service.rooms("lobby*", history=History(messages=50, readable=True), presence=Presence())


@service.ws.on("console.greet")
async def greet(ctx: WsContext, data: dict[str, str]) -> str:
    await ctx.broadcast.emit("console.greeted", data)
    return f"Hello, {data['name']}!"


@service.ws.on("console.me")
async def me(ctx: WsContext) -> str | None:
    return None if ctx.identity is None else ctx.identity.user


@service.ws.on("console.join")
async def join(ctx: WsContext, room: str) -> Any:
    return await ctx.join(room)


@service.ws.on("console.say")
async def say(ctx: WsContext, data: dict[str, str]) -> int:
    return (await ctx.to(data["room"]).emit("console.said", {"text": data["text"]})).reached


@service.ws.on("console.slow", timeout=None, ordered=False)
async def slow(ctx: WsContext, seconds: float) -> float:
    await asyncio.sleep(seconds)
    return seconds


@service.ws.on("console.evil")
async def evil(ctx: WsContext) -> None:
    await ctx.send("console.event", {"text": "\x1b]0;owned\x07\x9b31m\u202e\x7f"})


@service.ws.on("console.burst")
async def burst(ctx: WsContext, count: int) -> int:
    for number in range(count):
        await ctx.send("console.number", number)
    return count


@service.ws.on("console.bye")
async def bye(ctx: WsContext) -> None:
    await ctx.disconnect(code=3999, reason="enough\x1b[31m")
