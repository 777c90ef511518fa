"""A service whose documents are served."""

from __future__ import annotations

import msgspec

from pylinkd import HttpContext, Service, WsContext

service = Service("described", version="1.2.0")


class Item(msgspec.Struct):
    name: str
    parts: list[Item] = []


service.ws.event("described.item", Item)


@service.action("items.get", route="/items/{id}")
async def get(ctx: HttpContext) -> Item:
    """An item."""
    return Item(ctx.params["id"])


@service.ws.on("described.echo")
async def echo(ctx: WsContext, item: Item) -> Item:
    """The same item."""
    return item


@service.ws.on("described.me", auth=True)
async def me(ctx: WsContext) -> str:
    """Who asks."""
    return ctx.auth.user
