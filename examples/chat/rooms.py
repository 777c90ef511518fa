"""Rooms: joining, leaving, listing and creating them. Who may do what is membership.py's business."""

from __future__ import annotations

import uuid

import sqlalchemy as sa
from sqlalchemy.orm import aliased

from pylinkd import Context, HttpContext, Response, WsContext
from pylinkd.text import clean

from . import presence
from .membership import is_member, no_room
from .models import ChatDatabase, ChatMessage, ReadReceipt, Room, RoomMember
from .users import remember
from .wire import Done, InRoom, Person, RoomName, Wire


class RoomView(Wire):
    """A room as one user sees it."""

    id: uuid.UUID
    name: str
    is_private: bool
    is_member: bool
    member_count: int
    unread: int
    last_read_message_id: uuid.UUID | None


class RoomAnswer(Wire):
    """One room."""

    room: RoomView


class RoomsAnswer(Wire):
    """All rooms that the caller may see: their own first, then those that they may join, the oldest first."""

    rooms: list[RoomView]


class Joined(Wire):
    """What somebody who joined a room finds there."""

    room: uuid.UUID
    member_count: int
    online: list[Person]
    members: list[presence.MemberView]
    success: bool = True


class NewRoom(Wire):
    """A room to create."""

    name: RoomName
    is_private: bool = False


async def join(ctx: WsContext[ChatDatabase], request: InRoom) -> Joined:
    """Become a member, and get the room's events in this window. Joining again changes nothing."""
    room, name = request.room, str(request.room)
    if not await is_member(ctx, room):
        await ctx.db.room_members.upsert({"room_id": room, "user_id": ctx.auth.user}, update=[])
        await presence.tell_joined(ctx, name)
    await ctx.join(name)
    count = await ctx.db.room_members.where_equals("room_id", room).count()
    members = await presence.members(ctx, room)
    online = [Person(user_id=member.user_id, username=member.username) for member in members if member.online]
    return Joined(room=room, member_count=count, online=online, members=members)


async def leave(ctx: WsContext[ChatDatabase], request: InRoom) -> Done:
    """Be a member no more, in no window and not after the next connect. Leaving again changes nothing."""
    room = request.room
    if await is_member(ctx, room):
        members = ctx.db.room_members.where_equals("room_id", room)
        await members.where_equals("user_id", ctx.auth.user).delete()
        await presence.tell_left(ctx, str(room))
        await presence.withdraw(ctx, str(room))
    return Done()


async def list_rooms(ctx: Context[ChatDatabase]) -> RoomsAnswer:
    """The public rooms, and the private ones of the caller."""
    return RoomsAnswer(rooms=await _views(ctx.db, ctx.auth.user))


async def get_room(ctx: HttpContext[ChatDatabase]) -> RoomAnswer:
    """One of the rooms that ``list_rooms`` lists."""
    try:
        room = uuid.UUID(ctx.params["id"])
    except ValueError:
        raise no_room(ctx.params["id"]) from None
    await is_member(ctx, room)
    views = await _views(ctx.db, ctx.auth.user, room)
    if not views:
        raise no_room(room)
    return RoomAnswer(room=views[0])


async def create_room(ctx: HttpContext[ChatDatabase], request: NewRoom) -> Response:
    """A new room with the caller as its first member. Its name is one line, and composed."""
    name = clean(request.name.strip(), newlines=False, normalize=True)
    await remember(ctx)
    async with ctx.db.transaction():
        room = await ctx.db.rooms.insert(name=name, is_private=request.is_private)
        await ctx.db.room_members.insert(room_id=room.id, user_id=ctx.auth.user)
    (view,) = await _views(ctx.db, ctx.auth.user, room.id)
    return Response(RoomAnswer(room=view), status=201, headers={"Location": f"/chat/rooms/{room.id}"})


async def _views(db: ChatDatabase, user: str, room: uuid.UUID | None = None) -> list[RoomView]:
    """The rooms that a user may see, or the one asked for, in one statement however many there are."""
    mine, receipt = aliased(RoomMember), ReadReceipt
    member_count = sa.select(sa.func.count()).where(RoomMember.room_id == Room.id).scalar_subquery()
    unread = (
        sa.select(sa.func.count())
        .where(ChatMessage.room_id == Room.id, ChatMessage.user_id != user)
        .where(ChatMessage.created_at > sa.func.coalesce(receipt.read_until, mine.joined_at))
        .scalar_subquery()
    )
    statement = (
        sa.select(Room, mine.user_id, receipt.message_id, member_count.label("members"), unread.label("unread"))
        .outerjoin(mine, (mine.room_id == Room.id) & (mine.user_id == user))
        .outerjoin(receipt, (receipt.room_id == Room.id) & (receipt.user_id == user))
        .where(sa.or_(Room.is_private.is_(False), mine.user_id.is_not(None)))
        .order_by(mine.user_id.is_(None), Room.created_at, Room.id)
    )
    if room is not None:
        statement = statement.where(Room.id == room)
    return [
        RoomView(
            id=row.Room.id,
            name=row.Room.name,
            is_private=row.Room.is_private,
            is_member=row.user_id is not None,
            member_count=row.members,
            unread=row.unread,
            last_read_message_id=row.message_id,
        )
        for row in await db.execute(statement)
    ]
