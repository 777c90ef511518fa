"""Messages: sending them, reading what was sent before, and remembering how far one has read."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec

from pylinkd import NotFoundError, WsContext
from pylinkd.text import clean

from .membership import require_member
from .models import ChatDatabase, ChatMessage
from .wire import Done, InRoom, MessageText, Wire


class Send(InRoom):
    """A message to a room. ``metadata`` is for clients: it is stored and comes back as it is."""

    message: MessageText
    type: Literal["text", "image", "file"] = "text"
    metadata: dict[str, Any] | None = None


class Sent(Wire):
    """A message was stored, and handed to this many windows."""

    message_id: uuid.UUID
    reached: int
    success: bool = True


class MessageView(Wire):
    """A message as everybody in its room sees it."""

    id: uuid.UUID
    room_id: uuid.UUID
    user_id: str
    username: str
    content: str
    message_type: str
    metadata: dict[str, Any] | None
    created_at: datetime


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
    """Store a message, then tell everybody in the room, the sender included."""
    await require_member(ctx, request.room)
    message = await ctx.db.chat_messages.insert(
        room_id=request.room,
        user_id=ctx.auth.user,
        content=clean(request.message, normalize=True),
        message_type=request.type,
        extra=request.metadata,
    )
    receipt = await ctx.to(str(request.room)).emit("chat.message", _view(message, ctx.auth.name))
    return Sent(message_id=message.id, reached=receipt.reached)


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


async def read(ctx: WsContext[ChatDatabase], request: Read) -> Done:
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
    return Done()


def _no_message(message: uuid.UUID) -> NotFoundError:
    return NotFoundError("There is no such message.", details={"message": str(message)})


def _view(message: ChatMessage, username: str) -> MessageView:
    return MessageView(
        id=message.id,
        room_id=message.room_id,
        user_id=message.user_id,
        username=username,
        content=message.content,
        message_type=message.message_type,
        metadata=message.extra,
        created_at=message.created_at,
    )
