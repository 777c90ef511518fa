"""The service: clients ask for a symbol's prices, and join its room."""

from __future__ import annotations

from pylinkd import Service, WsContext

service = Service("ticker")


@service.ws.on("ticker.watch")
async def watch(ctx: WsContext, symbol: str) -> str:
    """Join the room of a symbol."""
    await ctx.join(symbol)
    return symbol
