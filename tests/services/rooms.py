"""Rooms from every side; name and namespace come from the environment, so that two of them can run."""

# ruff: noqa: D103  a handler's type says what it is for

from __future__ import annotations

import os
from typing import Any

import msgspec

from pylinkd import HttpContext, Service, WsContext

NAME = os.environ.get("TEST_SERVICE", "rooms")

service = Service(NAME, namespace=os.environ.get("TEST_NAMESPACE"))
rooms = service.ws.group(NAME)


class Emission(msgspec.Struct):
    """Whom to send ``text``, with the event ``<name>.event``."""

    text: str = "hello"
    rooms: list[str] = []
    user: str | None = None
    session: str | None = None
    everyone: bool = False
    broadcast: bool = False
    except_sessions: list[str] = []
    except_user: str | None = None


@service.ws.on_disconnect
async def disconnected(ctx: WsContext) -> None:
    ctx.logger.info("test_left", rooms=sorted(await ctx.rooms()), reason=ctx.end_reason)


@rooms.on("me")
async def me(ctx: WsContext) -> str:
    return ctx.socket.id


@rooms.on("join")
async def join(ctx: WsContext, data: list[str]) -> list[str]:
    await ctx.join(*data)
    return sorted(await ctx.rooms())


@rooms.on("leave")
async def leave(ctx: WsContext, data: list[str]) -> list[str]:
    await ctx.leave(*data)
    return sorted(await ctx.rooms())


@rooms.on("rooms")
async def mine(ctx: WsContext) -> list[str]:
    return sorted(await ctx.rooms())


@rooms.on("members")
async def members(ctx: WsContext, data: str) -> list[dict[str, Any]]:
    return [msgspec.to_builtins(member) for member in await ctx.members(data)]


@rooms.on("emit")
async def emit(ctx: WsContext, data: Emission) -> int:
    if data.everyone:
        target = ctx.everyone
    elif data.broadcast:
        target = ctx.broadcast
    else:
        target = ctx.to(*data.rooms, user=data.user, session=data.session)
    if data.except_sessions or data.except_user:
        target = target.except_(*data.except_sessions, user=data.except_user)
    return (await target.emit(f"{NAME}.event", data.text)).reached


@rooms.on("burst")
async def burst(ctx: WsContext, data: int) -> int:
    """Send so many numbered events."""
    for number in range(data):
        await ctx.send(f"{NAME}.number", number)
    return data


@rooms.on("emit_badly")
async def emit_badly(ctx: WsContext, data: str) -> None:
    await ctx.send(data)


class Farewell(msgspec.Struct):
    """Whom to disconnect, and how."""

    code: int = 1000
    reason: str = ""
    session: str | None = None
    user: str | None = None


@rooms.on("disconnect")
async def disconnect(ctx: WsContext, data: Farewell) -> str:
    await ctx.disconnect(data.session, user=data.user, code=data.code, reason=data.reason)
    return "done"


@service.action("members", route=f"/{NAME}/members/{{room}}")
async def members_over_http(ctx: HttpContext) -> int:
    return len(await ctx.members(ctx.params["room"]))
