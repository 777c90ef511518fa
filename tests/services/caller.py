"""Calls the service ``web``, and tells others what happened."""

# ruff: noqa: D103  a handler's type says what it is for

from __future__ import annotations

from typing import Any

import msgspec

from pylinkd import LinkdError, Service, WsContext

service = Service("caller")


class Question(msgspec.Struct):
    service: str
    action: str
    params: Any = None


@service.ws.on("caller.call")
async def call(ctx: WsContext, data: Question) -> Any:
    return await ctx.call(data.service, data.action, data.params)


@service.ws.on("caller.try")
async def try_call(ctx: WsContext, data: Question) -> Any:
    """The error as the calling service sees it."""
    try:
        return await ctx.call(data.service, data.action, data.params)
    except LinkdError as error:
        return {"code": error.code, "type": error.type, "message": error.message, "details": error.details}


@service.ws.on("caller.emit")
async def emit(ctx: WsContext, data: dict[str, Any]) -> int:
    return (await ctx.emit(data["type"], data.get("data"))).reached
