"""The service behind many rooms: a client says which it joins, leaves or publishes to, and may ask who is in one."""

from __future__ import annotations

import msgspec

from pylinkd import Service, WsContext

service = Service("rooms")

_TEXT = "x" * 64


class Rooms(msgspec.Struct):
    """Which rooms, by number."""

    rooms: list[int]


class Room(msgspec.Struct):
    """Which room, by number."""

    room: int


@service.ws.on("rooms.join")
async def join(ctx: WsContext, wanted: Rooms) -> None:
    """Become a member of the rooms."""
    await ctx.join(*map(str, wanted.rooms))


@service.ws.on("rooms.leave")
async def leave(ctx: WsContext, wanted: Rooms) -> None:
    """End the membership of the rooms."""
    await ctx.leave(*map(str, wanted.rooms))


@service.ws.on("rooms.publish")
async def publish(ctx: WsContext, wanted: Room) -> int:
    """Send an event to the room."""
    receipt = await ctx.to(str(wanted.room)).emit("rooms.event", {"room": wanted.room, "text": _TEXT})
    return receipt.reached


@service.ws.on("rooms.members")
async def members(ctx: WsContext, wanted: Room) -> list[int]:
    """Who is in the room, by the number of the user; in the tokens of the benchmarks it follows a dash."""
    found = await ctx.members(str(wanted.room))
    return sorted(int(member.user.rpartition("-")[2]) for member in found if member.user is not None)
