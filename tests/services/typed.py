"""A service that is called by the types that were generated from it."""

from __future__ import annotations

import msgspec

from pylinkd import Service, WsContext

service = Service("typed")


class Item(msgspec.Struct):
    name: str
    parts: list[Item] = []


service.ws.event("typed.item", Item)


@service.ws.on("typed.echo")
async def echo(ctx: WsContext, item: Item) -> Item:
    """The same item, and an event with it."""
    await ctx.send("typed.item", item)
    return item


@service.ws.on("typed.nothing")
async def nothing(ctx: WsContext) -> None:
    """No data, no answer."""
