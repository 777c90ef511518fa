"""What a service may rely on, wherever it runs: behind a gateway, or in ``pylinkd.testing``."""

# ruff: noqa: D103  a handler's type says what it is for

from __future__ import annotations

from typing import Any

import msgspec

from pylinkd import (
    ConflictError,
    Context,
    ForbiddenError,
    History,
    HttpContext,
    Position,
    Presence,
    PresenceChange,
    Service,
    WsContext,
)

service = Service("contract")


service.rooms("kept:*", history=History(messages=5, readable=True))
service.rooms("seen:*", presence=Presence(grace=0.5))


@service.on_presence
async def presence_changed(ctx: Context, change: PresenceChange) -> None:
    joined, left = ([member.user for member in members] for members in (change.joined, change.left))
    await ctx.everyone.emit("contract.presence", {"room": change.room, "joined": joined, "left": left})


class Item(msgspec.Struct):
    name: str
    price: int = 0


@service.ws.on_connect
async def connected(ctx: WsContext) -> None:
    if ctx.socket.metadata.get("refuse"):
        raise ForbiddenError("Not you.", type="BANNED")
    await ctx.send("contract.welcome", {"user": ctx.identity and ctx.identity.user})
    await ctx.everyone.emit("contract.came", {})


@service.ws.on_disconnect
async def disconnected(ctx: WsContext) -> None:
    await ctx.everyone.emit("contract.gone", {"reason": ctx.end_reason, "rooms": sorted(await ctx.rooms())})


@service.ws.on_detach
async def detached(ctx: WsContext) -> None:
    await ctx.broadcast.emit("contract.away", {"session": ctx.socket.id, "connected": ctx.socket.connected})


@service.ws.on_resume
async def resumed(ctx: WsContext) -> None:
    await ctx.broadcast.emit("contract.back", {"session": ctx.socket.id, "connected": ctx.socket.connected})


class Rejoin(msgspec.Struct):
    room: str
    since: Position | None = None


@service.ws.on("contract.rejoin")
async def rejoin(ctx: WsContext, wanted: Rejoin) -> Any:
    return await ctx.join(wanted.room, since=wanted.since)


@service.ws.on("contract.history")
async def history(ctx: WsContext, room: str) -> Any:
    page = await ctx.history(room, limit=2)
    return [[event.offset, event.type, event.data] for event in page], page.more


@service.ws.on("contract.present")
async def present(ctx: WsContext, room: str) -> list[Any]:
    return [[member.user, member.sessions, member.away, member.data] for member in await ctx.presence(room)]


class Saying(msgspec.Struct):
    room: str
    data: Any = None
    away: bool | None = None


@service.ws.on("contract.say")
async def say(ctx: WsContext, saying: Saying) -> None:
    await ctx.set_presence(saying.room, saying.data, away=saying.away)


@service.ws.on("contract.receipt")
async def receipt(ctx: WsContext, room: str) -> list[int]:
    found = await ctx.to(room).emit("contract.news", {"room": room})
    return [found.reached, found.queued, found.dropped]


class Other(msgspec.Struct):
    session: str
    room: str


@service.ws.on("contract.join_other")
async def join_other(ctx: WsContext, other: Other) -> list[str]:
    await ctx.join(other.room, session=other.session)
    return sorted(await ctx.session(other.session).rooms())


@service.ws.on("contract.ask_room")
async def ask_room(ctx: WsContext, room: str) -> dict[str, Any]:
    found = await ctx.to(room).request("contract.ready", 7, timeout=1.0)
    answered = {str(answer.member.user): answer.data for answer in found}
    return {**answered, "missing": sorted(str(member.user) for member in found.missing)}


@service.ws.on("contract.ask_one")
async def ask_one(ctx: WsContext, session: str) -> Any:
    return await ctx.session(session).request("contract.ready", 7, timeout=0.5)


@service.ws.on("contract.acknowledged")
async def acknowledged(ctx: WsContext, session: str) -> int:
    return (await ctx.session(session).send("contract.news", {}, ack=True, timeout=0.5)).reached


@service.ws.on_message
async def other(ctx: WsContext) -> str:
    return f"caught {ctx.type}"


@service.ws.on_stream("contract.upload")
async def upload(ctx: WsContext, chunks: Any) -> int:
    return sum([len(chunk) async for chunk in chunks])


@service.ws.on("contract.echo")
async def echo(ctx: WsContext) -> Any:
    return ctx.data


@service.ws.on("contract.signed", auth=True)
async def signed(ctx: WsContext) -> str:
    return ctx.auth.user


@service.ws.on("contract.admin", roles=["admin"])
async def admin(ctx: WsContext) -> str:
    return "admin"


@service.ws.on("contract.item")
async def item(ctx: WsContext, item: Item) -> Item:
    return item


@service.ws.on("contract.fails")
async def fails(ctx: WsContext) -> None:
    raise RuntimeError("hunter2")


@service.ws.on("contract.conflict")
async def conflict(ctx: WsContext) -> None:
    raise ConflictError("Full.", type="ROOM_FULL", details={"size": 3})


@service.ws.on("contract.rare", rate="1/1h")
async def rare(ctx: WsContext) -> str:
    return "once"


@service.ws.on("contract.join")
async def join(ctx: WsContext, rooms: list[str]) -> list[str]:
    await ctx.join(*rooms)
    return sorted(await ctx.rooms())


@service.ws.on("contract.leave")
async def leave(ctx: WsContext, rooms: list[str]) -> list[str]:
    await ctx.leave(*rooms)
    return sorted(await ctx.rooms())


@service.ws.on("contract.members")
async def members(ctx: WsContext, room: str) -> list[Any]:
    return sorted(member.user or "" for member in await ctx.members(room))


class Wanted(msgspec.Struct):
    rooms: list[str] = []
    users: list[str] = []
    without_me: bool = False
    without_users: list[str] = []
    everyone: bool = False


@service.ws.on("contract.emit")
async def emit(ctx: WsContext, wanted: Wanted) -> int:
    target = ctx.everyone if wanted.everyone else ctx.to(*wanted.rooms, user=wanted.users)
    if wanted.without_me:
        target = target.except_(ctx.socket.id)
    if wanted.without_users:
        target = target.except_(user=wanted.without_users)
    return (await target.emit("contract.news", {"from": ctx.identity and ctx.identity.user})).reached


@service.ws.on("contract.broadcast")
async def broadcast(ctx: WsContext) -> int:
    return (await ctx.broadcast.emit("contract.news", {"from": "broadcast"})).reached


@service.ws.on("contract.quit")
async def quit(ctx: WsContext) -> None:
    await ctx.disconnect(code=4000, reason="as asked")


@service.ws.on("contract.call")
async def call(ctx: WsContext, action: str) -> Any:
    return await ctx.call("contract", action, {"name": "tea"})


@service.action("items.add", route="/items", method="POST")
async def add_item(ctx: HttpContext, item: Item) -> Item:
    return item


@service.action("items.get", route="/items/{name}")
async def get_item(ctx: HttpContext) -> dict[str, str]:
    return dict(ctx.params)


@service.action("visits", route="/visits", cookies=["visitor"])
async def visits(ctx: HttpContext) -> dict[str, str]:
    return dict(ctx.cookies)


@service.action("parts", route="/parts/{name}")
async def parts(ctx: HttpContext) -> dict[str, str]:
    return dict(ctx.params)


@service.action("items.new", route="/items/new")
async def new_item(ctx: HttpContext) -> str:
    return "new"


@service.action("items.remove", route="/items/{name}", method="DELETE", roles=["admin"])
async def remove_item(ctx: HttpContext) -> None: ...
