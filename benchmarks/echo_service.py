"""The service behind the benchmarks: one middleware, a validated request, a room to publish to."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from pylinkd import Next, Service, WsContext

service = Service("bench")


class Text(msgspec.Struct):
    """What a request carries."""

    text: str


class Length(msgspec.Struct):
    """What is answered."""

    length: int


@service.ws.use
async def passed(ctx: Any, call_next: Next) -> Any:
    """The one middleware that any real service has."""
    return await call_next(ctx)


@service.ws.on("bench.echo")
async def echo(ctx: WsContext, message: Text) -> Length:
    """An acknowledged request."""
    return Length(len(message.text))


@service.ws.on("bench.join")
async def join(ctx: WsContext) -> None:
    """Become a member of the one room."""
    await ctx.join("crowd")


@service.ws.on("bench.publish")
async def publish(ctx: WsContext) -> int:
    """Send an event to the room."""
    return (await ctx.to("crowd").emit("bench.event", {"text": "x" * 64})).reached


class Burst(msgspec.Struct):
    """How many events, and whether they leave together."""

    count: int
    together: bool


@service.ws.on("bench.burst")
async def burst(ctx: WsContext, wanted: Burst) -> None:
    """Send events to the room: all at once, or each when the one before it is confirmed."""
    crowd = ctx.to("crowd")
    data = {"text": "x" * 64}
    if wanted.together:
        await asyncio.gather(*(crowd.emit("bench.event", data) for _ in range(wanted.count)))
    else:
        for _ in range(wanted.count):
            await crowd.emit("bench.event", data)
