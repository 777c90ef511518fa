"""Rooms: joining, leaving, inviting to, listing and creating them. Who may do what is membership.py's business."""

from __future__ import annotations

import contextlib
import uuid
from typing import Annotated

import msgspec
import sqlalchemy as sa
from sqlalchemy.orm import aliased

from pylinkd import ConflictError, Context, ForbiddenError, HttpContext, NotFoundError, Position, Response, WsContext
from pylinkd.text import clean

from . import membership, users, windows
from .membership import is_member, no_room, require_member
from .models import ChatDatabase, ChatMessage, ReadReceipt, Room, RoomMember
from .wire import VISIBLE, InRoom, Person, PersonInRoom, RoomName, Wire, gateway_room

_MOST_LISTED = 500
_EVERY_SERVICE = "/ws"  # the path on which a client may sign in after it has connected


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


class Join(InRoom):
    """A room to enter. ``since`` is where this window left off: with it a member comes back, and nobody joins."""

    since: Position | None = None


class JoinedRoom(Wire):
    """Where a window is in the room's events, whether it was sent all that it had missed, and who the members are."""

    room: uuid.UUID
    position: Position
    recovered: bool
    member_count: int
    members: list[Person]


class Invitation(InRoom):
    """Whom to let into a private room: an id, or a name."""

    user: Annotated[str, msgspec.Meta(max_length=256, pattern=VISIBLE)]


class Invited(Wire):
    """Somebody is a member; ``is_new``: since now."""

    user: Person
    is_new: bool


class RoomAdded(Wire):
    """To all windows of a user: they are a member of a room. ``invited_by``: since somebody let them in."""

    room: RoomView
    invited_by: Person | None = None


class RoomRemoved(Wire):
    """To all windows of a user: they are a member of a room no more."""

    room_id: uuid.UUID


class NewRoom(Wire):
    """A room to create."""

    name: RoomName
    is_private: bool = False


async def join(ctx: WsContext[ChatDatabase], request: Join) -> JoinedRoom:
    """Become a member, and get the room's events in this window. Joining again changes nothing.

    The window is in the room before the members are read, and before its client reads the messages: what happens
    meanwhile comes as an event.
    """
    if ctx.socket.path == _EVERY_SERVICE:
        await windows.admit(ctx)
    room = request.room
    if not await is_member(ctx, room):
        if request.since is not None:  # a window that was away for long must not undo what another one did
            raise ForbiddenError("You are a member of this room no more.", details={"room": str(room)})
        if await membership.add(ctx.db, room, ctx.auth.user):
            await _tell_joined(ctx, room, _me(ctx))
    place = await ctx.join(gateway_room(room), since=request.since)
    assert place is not None, "service.py gives all of these rooms a history"
    return JoinedRoom(
        room=room,
        position=place.position,
        recovered=place.recovered,
        member_count=await ctx.db.room_members.where_equals("room_id", room).count(),
        members=await membership.members(ctx.db, room),
    )


async def leave(ctx: WsContext[ChatDatabase], request: InRoom) -> None:
    """Be a member no more, in no window. Leaving again changes nothing."""
    room, user = request.room, ctx.auth.user
    if await is_member(ctx, room) and await membership.remove(ctx.db, room, user):
        name = gateway_room(room)
        await ctx.to(name).emit("user.left", _in_room(_me(ctx), room))
        for window in await ctx.members(name):
            if window.user == user:
                with contextlib.suppress(NotFoundError):  # it was closed meanwhile
                    await ctx.leave(name, session=window.session)
        await ctx.to(user=user).except_(ctx.socket.id).emit("room.removed", RoomRemoved(room))


async def invite(ctx: WsContext[ChatDatabase], request: Invitation) -> Invited:
    """Make somebody a member of a private room; their windows hear of it at once. Inviting again changes nothing."""
    room = request.room
    await require_member(ctx, room)
    if not await ctx.db.rooms.where_equals("id", room).where_equals("is_private", True).exists():
        raise ConflictError("Everybody may join a public room: nobody is invited.", type="ROOM_IS_PUBLIC")
    user = await users.find(ctx.db, request.user)
    person = Person(user_id=user.id, username=user.name)
    is_new = await membership.add(ctx.db, room, user.id)
    if is_new:
        await _tell_joined(ctx, room, person, invited_by=_me(ctx))
    return Invited(person, is_new)


async def list_rooms(ctx: Context[ChatDatabase]) -> RoomsAnswer:
    """The public rooms, and the private ones of the caller; five hundred at most."""
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
    await users.remember(ctx)
    async with ctx.db.transaction():
        room = await ctx.db.rooms.insert(name=name, is_private=request.is_private)
        await membership.add(ctx.db, room.id, ctx.auth.user)
    (view,) = await _views(ctx.db, ctx.auth.user, room.id)
    await ctx.to(user=ctx.auth.user).emit("room.added", RoomAdded(view))
    return Response(RoomAnswer(room=view), status=201, headers={"Location": f"/chat/rooms/{room.id}"})


async def _tell_joined(
    ctx: WsContext[ChatDatabase], room: uuid.UUID, person: Person, *, invited_by: Person | None = None
) -> None:
    """Tell the room who is a member now, and the windows of that user, but for the one that asked."""
    await ctx.to(gateway_room(room)).emit("user.joined", _in_room(person, room))
    (view,) = await _views(ctx.db, person.user_id, room)
    await ctx.to(user=person.user_id).except_(ctx.socket.id).emit("room.added", RoomAdded(view, invited_by))


def _me(ctx: Context[ChatDatabase]) -> Person:
    return Person(user_id=ctx.auth.user, username=ctx.auth.name)


def _in_room(person: Person, room: uuid.UUID) -> PersonInRoom:
    return PersonInRoom(user_id=person.user_id, username=person.username, room_id=room)


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
        .limit(_MOST_LISTED)
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
