"""Presence: who is there, and telling the others when that changes.

A user may have several windows, each a session. ``user.online`` is told when the first of them enters a room and
``user.offline`` when the last is gone. The gateway knows who is in which room; nothing of it is stored here. A room
is called by its id as text.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable

from pylinkd import Member, NotFoundError, WsContext

from .membership import require_member
from .models import ChatDatabase
from .users import remember
from .wire import InRoom, Person, PersonInRoom


class Typing(InRoom):
    """Whether the caller is typing in a room."""

    is_typing: bool


class UserTyping(PersonInRoom):
    """Somebody began or stopped typing."""

    is_typing: bool


async def connected(ctx: WsContext[ChatDatabase]) -> None:
    """Enter the rooms that the user is a member of. Who has not signed in may stay, and is in none."""
    if ctx.identity is None:
        return
    await remember(ctx)
    memberships = await ctx.db.room_members.where_equals("user_id", ctx.auth.user).get()
    await enter(ctx, *(str(membership.room_id) for membership in memberships))


async def disconnected(ctx: WsContext[ChatDatabase]) -> None:
    """Tell each room that the user is gone, unless another window of theirs is still in it."""

    async def depart(room: str) -> None:
        if not _windows(ctx, await ctx.members(room)):
            await ctx.to(room).emit("user.offline", _me(ctx, room))

    await asyncio.gather(*(depart(room) for room in await ctx.rooms()))


async def enter(ctx: WsContext[ChatDatabase], *rooms: str) -> None:
    """Get the events of these rooms in this window, and tell each room if it is the user's first there."""

    async def arrive(room: str) -> None:
        # Asked for together, and answered in this order with nothing in between. Were the members asked for after
        # the join is confirmed, two windows that connect at once would each find the other there already.
        _, members = await asyncio.gather(ctx.join(room), ctx.members(room))
        if _windows(ctx, members) == {ctx.socket.id}:
            await ctx.to(room).except_(ctx.socket.id).emit("user.online", _me(ctx, room))

    await asyncio.gather(*(arrive(room) for room in rooms))


async def withdraw(ctx: WsContext[ChatDatabase], room: str) -> None:
    """End the events of a room in all windows of the user."""
    for session in _windows(ctx, await ctx.members(room)):
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


async def online(ctx: WsContext[ChatDatabase], room: str) -> list[Person]:
    """Who has a window in the room, each user once, by name."""
    names = {member.user: member.name for member in await ctx.members(room) if member.user is not None}
    people = [Person(user_id=user, username=name or user) for user, name in names.items()]
    return sorted(people, key=lambda person: (person.username, person.user_id))


def _me(ctx: WsContext[ChatDatabase], room: str) -> PersonInRoom:
    return PersonInRoom(user_id=ctx.auth.user, username=ctx.auth.name, room_id=room)


def _windows(ctx: WsContext[ChatDatabase], members: Iterable[Member]) -> set[str]:
    """The caller's sessions among the members of a room."""
    return {member.session for member in members if member.user == ctx.auth.user}
