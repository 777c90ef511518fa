"""Messages: writing and sending them, reading what was sent before, and remembering how far one has read."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec

from pylinkd import ConflictError, NotFoundError, WsContext
from pylinkd.db import UniqueConflictError
from pylinkd.text import clean

from .membership import require_member
from .models import ChatDatabase, ChatMessage
from .wire import InRoom, MessageText, PersonInRoom, Wire, gateway_room


class Send(InRoom):
    """A message to a room.

    ``key`` is the client's own: a message that is sent again with it, since nobody knows whether it came, is stored and
    told once. ``metadata`` is for clients, too: it is stored and comes back as it is.
    """

    message: MessageText
    key: uuid.UUID | None = None
    type: Literal["text", "image", "file"] = "text"
    metadata: dict[str, Any] | None = None


class MessageView(Wire):
    """A message as everybody in its room sees it."""

    id: uuid.UUID
    room_id: uuid.UUID
    user_id: str
    username: str
    key: uuid.UUID | None
    content: str
    message_type: str
    metadata: dict[str, Any] | None
    created_at: datetime


class Sent(Wire):
    """The message as it is stored, and how many windows it was handed to; 0: it had been sent before."""

    message: MessageView
    reached: int


class Typing(InRoom):
    """Whether somebody is writing."""

    is_typing: bool


class UserTyping(PersonInRoom):
    """Somebody writes, or has stopped."""

    is_typing: bool


class HistoryRequest(InRoom):
    """What was said in a room: the latest, or the latest before a message."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=100)] = 50
    before: uuid.UUID | None = None


class History(Wire):
    """Messages, oldest first, and whether there are older ones."""

    messages: list[MessageView]
    has_more: bool


class Read(Wire):
    """Everything up to this message was read."""

    message: uuid.UUID


async def send(ctx: WsContext[ChatDatabase], request: Send) -> Sent:
    """Store a message, then tell everybody in the room, the sender included. With the same key again, do neither.

    Raises:
        ConflictError: If the key is that of another message (type ``KEY_USED``).
    """
    await require_member(ctx, request.room)
    message = await _stored(ctx, request)
    view, reached = _view(message, ctx.auth.name), 0
    if not message.announced:
        # So it is told, too, whose first try ended between storing and telling. In the worst case it comes twice, with
        # the id by which clients know it.
        reached = (await ctx.to(gateway_room(request.room)).emit("chat.message", view)).reached
        await ctx.db.chat_messages.where_equals("id", message.id).update(announced=True)
    return Sent(message=view, reached=reached)


async def typing(ctx: WsContext[ChatDatabase], request: Typing) -> None:
    """Tell the others in the room; nothing is stored."""
    await require_member(ctx, request.room)
    event = UserTyping(user_id=ctx.auth.user, username=ctx.auth.name, room_id=request.room, is_typing=request.is_typing)
    others = ctx.to(gateway_room(request.room)).except_(user=ctx.auth.user)
    await others.emit("user.typing", event, volatile=True)


async def history(ctx: WsContext[ChatDatabase], request: HistoryRequest) -> History:
    """One page, read backwards from the newest message or from ``before``."""
    await require_member(ctx, request.room)
    messages = ctx.db.chat_messages.where_equals("room_id", request.room)
    latest = messages.order_by("-created_at", "-id")
    after = None
    if request.before is not None:
        before = await messages.where_equals("id", request.before).first()
        if before is None:
            raise _no_message(request.before)
        after = latest.cursor(before)
    page = await latest.page(request.limit, after)
    return History(
        messages=[_view(message, message.author.name) for message in reversed(page.rows)],
        has_more=page.next is not None,
    )


async def read(ctx: WsContext[ChatDatabase], request: Read) -> None:
    """Mark a room as read up to a message. An older message than before changes nothing."""
    memberships = ctx.db.room_members.where_equals("user_id", ctx.auth.user)
    message = await ctx.db.chat_messages.where_equals("id", request.message).first()
    if message is None or not await memberships.where_equals("room_id", message.room_id).exists():
        raise _no_message(request.message)
    key = {"room_id": message.room_id, "user_id": ctx.auth.user}
    mark = {"message_id": message.id, "read_until": message.created_at}
    receipt = await ctx.db.read_receipts.upsert({**key, **mark}, update=[])
    if receipt.read_until < message.created_at:
        receipts = ctx.db.read_receipts.where_equals("room_id", message.room_id).where_equals("user_id", ctx.auth.user)
        # Compared again by the database: another window may have read further meanwhile.
        await receipts.where_lt("read_until", message.created_at).update(mark)


async def _stored(ctx: WsContext[ChatDatabase], request: Send) -> ChatMessage:
    """The message in the database, where it may have been before."""
    content = clean(request.message, normalize=True)
    messages = ctx.db.chat_messages
    try:
        message = await messages.insert(
            room_id=request.room,
            user_id=ctx.auth.user,
            key=request.key,
            content=content,
            message_type=request.type,
            extra=request.metadata,
        )
    except UniqueConflictError:
        message = await messages.where_equals("user_id", ctx.auth.user).where_equals("key", request.key).one()
        if (message.room_id, message.content) != (request.room, content):
            raise ConflictError("This key is another message's.", type="KEY_USED") from None
    return message


def _no_message(message: uuid.UUID) -> NotFoundError:
    return NotFoundError("There is no such message.", details={"message": str(message)})


def _view(message: ChatMessage, username: str) -> MessageView:
    return MessageView(
        id=message.id,
        room_id=message.room_id,
        user_id=message.user_id,
        username=username,
        key=message.key,
        content=message.content,
        message_type=message.message_type,
        metadata=message.extra,
        created_at=message.created_at,
    )
