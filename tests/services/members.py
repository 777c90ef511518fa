"""A service that wants to know who is there before anything else."""

# ruff: noqa: D103  a handler's type says what it is for

from __future__ import annotations

from typing import Any

from pylinkd import Service, WsContext

service = Service("members", auth=True)

connected: list[str] = []


@service.ws.on_connect
async def came(ctx: WsContext) -> None:
    connected.append(ctx.auth.user)


@service.ws.on("members.me")
async def me(ctx: WsContext) -> dict[str, Any]:
    return {"user": ctx.auth.user, "roles": sorted(ctx.auth.roles), "connected": connected}


@service.ws.on("members.rule", roles=["admin"])
async def rule(ctx: WsContext) -> str:
    return "done"
