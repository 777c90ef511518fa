"""Adds and removes handlers while it runs."""

# ruff: noqa: D103  a handler's type says what it is for

from __future__ import annotations

from pylinkd import Service, WsContext

service = Service("changing")


async def late(ctx: WsContext) -> str:
    return "late"


@service.ws.on("changing.add")
async def add(ctx: WsContext) -> None:
    service.ws.on("changing.late", late)


@service.ws.on("changing.remove")
async def remove(ctx: WsContext) -> None:
    service.ws.off("changing.late")
