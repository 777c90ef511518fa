"""Gives back what it gets: schemas of every kind, order, sign-in, and a count of who came and went."""

# ruff: noqa: D103  a handler's type says what it is for

from __future__ import annotations

import asyncio
import os
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

import msgspec
from pydantic import BaseModel

from pylinkd import HttpContext, Service, TextPolicy, WsContext

# The conformance suite sends every character there is.
TEXT = TextPolicy(controls=os.environ.get("ECHO_CONTROLS", "refuse"))  # type: ignore[arg-type]

service = Service("echo", stop_timeout=5.0, text=TEXT)

counts = {"connected": 0, "disconnected": 0}
reasons: dict[str, int] = {}


class StructOrder(msgspec.Struct):
    item: str
    count: int


@dataclass
class DataclassOrder:
    item: str
    count: int


class TypedDictOrder(TypedDict):
    item: str
    count: int


class ModelOrder(BaseModel):
    item: str
    count: int


@service.ws.on_connect
async def connected(ctx: WsContext) -> None:
    counts["connected"] += 1


@service.ws.on_disconnect
async def disconnected(ctx: WsContext) -> None:
    counts["disconnected"] += 1
    reason = ctx.end_reason or ""
    reasons[reason] = reasons.get(reason, 0) + 1
    ctx.logger.info("test_disconnected", reason=reason)


@service.ws.on("echo.any", ordered=True)
async def echo_any(ctx: WsContext, data: Any) -> Any:
    return data


@service.ws.on("echo.bare")
async def echo_bare(ctx: WsContext) -> Any:
    return ctx.data


@service.ws.on("echo.struct")
async def echo_struct(ctx: WsContext, data: StructOrder) -> StructOrder:
    return data


@service.ws.on("echo.dataclass")
async def echo_dataclass(ctx: WsContext, data: DataclassOrder) -> DataclassOrder:
    return data


@service.ws.on("echo.typeddict")
async def echo_typeddict(ctx: WsContext, data: TypedDictOrder) -> TypedDictOrder:
    return data


@service.ws.on("echo.pydantic")
async def echo_pydantic(ctx: WsContext, data: ModelOrder) -> ModelOrder:
    return data


@service.ws.on("echo.member", auth=True)
async def echo_member(ctx: WsContext) -> str:
    return ctx.auth.user


@service.ws.on("echo.admin", roles=["admin"])
async def echo_admin(ctx: WsContext) -> str:
    return ctx.auth.user


@service.ws.on("echo.me")
async def echo_me(ctx: WsContext) -> dict[str, Any]:
    return {
        "session": ctx.socket.id,
        "user": None if ctx.identity is None else ctx.identity.user,
        "roles": [] if ctx.identity is None else sorted(ctx.identity.roles),
        "metadata": dict(ctx.socket.metadata),
        "user_agent": ctx.socket.user_agent,
        "remote_address": ctx.socket.remote_address,
        "path": ctx.socket.path,
    }


@service.ws.on("echo.jitter")
async def echo_jitter(ctx: WsContext, data: int) -> int:
    await asyncio.sleep(random.random() / 500)
    return data


@service.ws.on("echo.sleep")
async def echo_sleep(ctx: WsContext, data: float) -> float:
    await asyncio.sleep(data)
    return data


@service.ws.on("echo.overtake", ordered=False)
async def echo_overtake(ctx: WsContext, data: float) -> float:
    await asyncio.sleep(data)
    return data


@service.ws.on("echo.hold", ordered=False)
async def echo_hold(ctx: WsContext, data: str) -> str:
    """Answer once a file of this name is there."""
    while not Path(data).exists():
        await asyncio.sleep(0.01)
    return data


@service.ws.on("echo.large")
async def echo_large(ctx: WsContext, data: int) -> str:
    return "x" * data


@service.ws.on("echo.events")
async def echo_events(ctx: WsContext, data: Any) -> int:
    """Send the client an event with this data."""
    return (await ctx.send("echo.event", data)).reached


@service.ws.on("echo.counts")
async def echo_counts(ctx: WsContext) -> dict[str, Any]:
    return {**counts, "reasons": reasons}


@service.action("echo.census", route="/echo/census")
async def census(ctx: HttpContext) -> dict[str, Any]:
    """Who came, who went, and how many sessions the gateway still knows."""
    receipt = await ctx.everyone.emit("echo.census")
    return {**counts, "reasons": reasons, "present": receipt.reached}
