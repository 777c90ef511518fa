"""Who may see a room, and who belongs to it: the one check that every handler about a room begins with.

A private room answers those who are no members exactly as a room that does not exist.
"""

from __future__ import annotations

import uuid

import sqlalchemy as sa

from pylinkd import Context, ForbiddenError, NotFoundError

from .models import ChatDatabase, Room, RoomMember


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
