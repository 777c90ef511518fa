"""A service that has names of ``described`` in common with it, and a route of the same shape."""

from __future__ import annotations

import msgspec

from pylinkd import HttpContext, Service, WsContext

service = Service("other")


class Item(msgspec.Struct):
    price: float


@service.action("items.put", route="/items/{key}", method="PUT")
async def put(ctx: HttpContext, item: Item) -> Item:
    """The same item."""
    return item


@service.ws.on("other.echo")
async def echo(ctx: WsContext, item: Item) -> Item:
    """The same item."""
    return item
