"""Presence: who is there, which the gateway keeps, and who is typing.

A user may have several windows, each a session, and is one member of a room whatever their number. ``user.online`` is
told when somebody came, and ``user.offline`` when they are gone for good: a page that is loaded anew, or a train in a
tunnel, is neither. A room is called by its id as text.
"""

from __future__ import annotations

import contextlib
import uuid

import sqlalchemy as sa

from pylinkd import Context, NotFoundError, Presence, PresenceChange, Present, WsContext

from .membership import require_member
from .models import ChatDatabase, RoomMember, User
from .users import remember
from .wire import InRoom, Person, PersonInRoom

_MOST_LISTED = 1000  # members of a room


class MemberView(Person):
    """A member of a room, and whether they are there."""

    online: bool


class Typing(InRoom):
    """Whether the caller is typing in a room."""

    is_typing: bool


class UserTyping(PersonInRoom):
    """Somebody began or stopped typing."""

    is_typing: bool


PRESENCE = Presence(grace=15.0)
"""A user whose connections are lost is away for so many seconds before the others hear that they are gone."""


async def connected(ctx: WsContext[ChatDatabase]) -> None:
    """Enter the rooms that the user is a member of. Who has not signed in may stay, and is in none."""
    if ctx.identity is None:
        return
    await remember(ctx)
    memberships = await ctx.db.room_members.where_equals("user_id", ctx.auth.user).get()
    if memberships:
        await ctx.join(*(str(membership.room_id) for membership in memberships))


async def changed(ctx: Context[ChatDatabase], change: PresenceChange) -> None:
    """Tell a room who came, and who of its members is gone."""
    for member in change.joined:
        await _tell(ctx, "user.online", change.room, member)
    for member in change.left:
        rows = ctx.db.room_members.where_equals("room_id", uuid.UUID(change.room))
        # Who has left the room is no member that is offline: the others heard of that.
        if await rows.where_equals("user_id", member.key).count():
            await _tell(ctx, "user.offline", change.room, member)


async def _tell(ctx: Context[ChatDatabase], type: str, room: str, member: Present) -> None:
    person = PersonInRoom(user_id=member.key, username=member.name or member.key, room_id=room)
    await ctx.to(room).except_(user=member.key).emit(type, person)


async def withdraw(ctx: WsContext[ChatDatabase], room: str) -> None:
    """End the events of a room in all windows of the user."""
    windows = [member.session for member in await ctx.members(room) if member.user == ctx.auth.user]
    for session in windows:
        with contextlib.suppress(NotFoundError):  # the window was closed meanwhile
            await ctx.leave(room, session=session)


async def tell_joined(ctx: WsContext[ChatDatabase], room: str) -> None:
    """Tell the room, and the user's other windows, that the user is a member now."""
    await ctx.to(room, user=ctx.auth.user).except_(ctx.socket.id).emit("user.joined", _me(ctx, room))


async def tell_left(ctx: WsContext[ChatDatabase], room: str) -> None:
    """Tell the room, and the user's other windows, that the user is a member no more."""
    await ctx.to(room, user=ctx.auth.user).except_(ctx.socket.id).emit("user.left", _me(ctx, room))


async def typing(ctx: WsContext[ChatDatabase], request: Typing) -> None:
    """Tell the others in the room; nothing is stored."""
    await require_member(ctx, request.room)
    event = UserTyping(
        user_id=ctx.auth.user, username=ctx.auth.name, room_id=str(request.room), is_typing=request.is_typing
    )
    await ctx.to(str(request.room)).except_(user=ctx.auth.user).emit("user.typing", event, volatile=True)


async def members(ctx: WsContext[ChatDatabase], room: uuid.UUID) -> list[MemberView]:
    """The members of a room by name, and which of them are there."""
    there = {member.key: member for member in await ctx.presence(str(room))}
    statement = (
        sa.select(User.id, User.name)
        .join(RoomMember, RoomMember.user_id == User.id)
        .where(RoomMember.room_id == room)
        .order_by(User.name, User.id)
        .limit(_MOST_LISTED)
    )
    return [
        MemberView(user_id=row.id, username=row.name, online=row.id in there) for row in await ctx.db.execute(statement)
    ]


def _me(ctx: WsContext[ChatDatabase], room: str) -> PersonInRoom:
    return PersonInRoom(user_id=ctx.auth.user, username=ctx.auth.name, room_id=room)
