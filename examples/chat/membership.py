"""Who may see a room, and who belongs to it: the one check that every handler about a room begins with.

A private room answers those who are no members exactly as a room that does not exist. Who of the members is there is
the gateway's to tell (presence).
"""

from __future__ import annotations

import uuid

import sqlalchemy as sa

from pylinkd import ConflictError, Context, ForbiddenError, NotFoundError
from pylinkd.db import UniqueConflictError

from .models import ChatDatabase, Room, RoomMember, User
from .wire import Person

MOST_ROOMS = 200
"""That a user may be a member of. Each of their windows joins all of these at the gateway, which has a limit, too."""

MOST_INVITED = 200
"""Members of a private room."""

_MOST_LISTED = 500


async def is_member(ctx: Context[ChatDatabase], room: uuid.UUID) -> bool:
    """Whether the caller is a member of a room that they may see.

    Raises:
        NotFoundError: If there is no such room, or none for the caller.
    """
    # Both are looked up whatever the other finds: a private room takes the time of one that does not exist.
    member = sa.select(RoomMember).where(RoomMember.room_id == room, RoomMember.user_id == ctx.auth.user).exists()
    public = sa.select(Room).where(Room.id == room, Room.is_private.is_(False)).exists()
    found = (await ctx.db.execute(sa.select(member.label("member"), public.label("public")))).one()
    if not (found.member or found.public):
        raise no_room(room)
    return bool(found.member)


async def require_member(ctx: Context[ChatDatabase], room: uuid.UUID) -> None:
    """Let only members go on.

    Raises:
        NotFoundError: If there is no such room, or none for the caller.
        ForbiddenError: If the room is public and the caller has not joined it.
    """
    if not await is_member(ctx, room):
        raise ForbiddenError("Join the room first.", details={"room": str(room)})


def no_room(room: object) -> NotFoundError:
    """The error for a room that does not exist, or not for the caller."""
    return NotFoundError("There is no such room.", details={"room": str(room)})


async def add(db: ChatDatabase, room: uuid.UUID, user: str) -> bool:
    """Make a user a member; ``False``: they are one already.

    Raises:
        ConflictError: If they are in too many rooms, or too many are in a private room (types ``TOO_MANY_ROOMS``,
            ``ROOM_FULL``). Of several who are added in the same moment, all may be.
    """
    of_room = db.room_members.where_equals("room_id", room)
    async with db.transaction():
        if await of_room.where_equals("user_id", user).exists():
            return False
        if await db.room_members.where_equals("user_id", user).count() >= MOST_ROOMS:
            raise ConflictError("They are in as many rooms as one may be.", type="TOO_MANY_ROOMS")
        is_private = await db.rooms.where_equals("id", room).where_equals("is_private", True).exists()
        if is_private and await of_room.count() >= MOST_INVITED:
            raise ConflictError("The room is full.", type="ROOM_FULL")
        try:
            async with db.transaction():
                await db.room_members.insert(room_id=room, user_id=user)
        except UniqueConflictError:  # in another window, in the same moment
            return False
    return True


async def remove(db: ChatDatabase, room: uuid.UUID, user: str) -> bool:
    """End a user's membership; ``False``: there was none."""
    return bool(await db.room_members.where_equals("room_id", room).where_equals("user_id", user).delete())


async def members(db: ChatDatabase, room: uuid.UUID) -> list[Person]:
    """The members of a room by name, the first five hundred of them, whether they are there or not."""
    statement = (
        sa.select(User.id, User.name)
        .join(RoomMember, RoomMember.user_id == User.id)
        .where(RoomMember.room_id == room)
        .order_by(User.name, User.id)
        .limit(_MOST_LISTED)
    )
    return [Person(user_id=row.id, username=row.name) for row in await db.execute(statement)]
