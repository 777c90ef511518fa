"""The service of ``day``: rooms where people write, type, read what was said before, come and go.

What is written is kept in SQLite, as in examples/chat.
"""

from __future__ import annotations

import os
from typing import Annotated

import msgspec
import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from pylinkd import ForbiddenError, Service, WsContext
from pylinkd.db import Database, Table
from pylinkd.text import clean

_ROOMS = int(os.environ.get("BENCH_ROOMS", "10"))
_HISTORY = 20  # messages of each room that are there from the start


class Base(DeclarativeBase):
    """Base of the models."""


class Line(Base):
    """What somebody wrote in a room."""

    __tablename__ = "lines"
    __table_args__ = (sa.Index("lines_history", "room", "id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    room: Mapped[str]
    author: Mapped[str]
    text: Mapped[str]


class DayDatabase(Database):
    """The one table."""

    lines: Table[Line]


service = Service(
    "day", auth=True, database=f"sqlite:///{os.environ.get('BENCH_FOLDER', '.')}/day.db", tables=DayDatabase
)


class Send(msgspec.Struct):
    """Something to say. ``at`` is the client's clock, and comes back to everybody."""

    at: Annotated[int, msgspec.Meta(ge=0)]
    room: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    text: Annotated[str, msgspec.Meta(min_length=1, max_length=2000)]


class Sent(msgspec.Struct):
    """It is stored under this number, and was handed to so many."""

    id: int
    reached: int


class Said(msgspec.Struct):
    """A line as the room gets it."""

    at: int
    id: int
    room: str
    author: str
    text: str


class InRoom(msgspec.Struct):
    """A request about a room."""

    room: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]


class Person(msgspec.Struct):
    """Who came, went, or is typing."""

    user: str
    name: str | None


class LineView(msgspec.Struct):
    """A line of the history."""

    id: int
    author: str
    text: str


@service.before_start
async def fill(service: Service[DayDatabase]) -> None:
    """Make the table, with a history for every room."""
    await service.db.create_all()
    await service.db.lines.insert_many(
        [
            {"room": f"room-{room}", "author": "u-0", "text": f"what was said before, {number}"}
            for number in range(_HISTORY)
            for room in range(_ROOMS)
        ]
    )


@service.ws.on_connect
async def connected(ctx: WsContext[DayDatabase]) -> None:
    """Enter the room, and tell those in it."""
    room = _room(ctx)
    await ctx.join(room)
    await ctx.to(room).except_(ctx.socket.id).emit("day.online", _me(ctx))


@service.ws.on_disconnect
async def disconnected(ctx: WsContext[DayDatabase]) -> None:
    """Tell those who stay."""
    await ctx.to(_room(ctx)).emit("day.offline", _me(ctx))


@service.ws.on("day.send", auth=True)
async def send(ctx: WsContext[DayDatabase], said: Send) -> Sent:
    """Store a line, then tell everybody in the room, the sender included."""
    _enter_only(ctx, said.room)
    text = clean(said.text, normalize=True)
    line = await ctx.db.lines.insert(room=said.room, author=ctx.auth.user, text=text)
    receipt = await ctx.to(said.room).emit("day.said", Said(said.at, line.id, said.room, ctx.auth.user, text))
    return Sent(line.id, receipt.reached)


@service.ws.on("day.typing", auth=True)
async def typing(ctx: WsContext[DayDatabase], where: InRoom) -> None:
    """Tell the others; it is soon outdated."""
    _enter_only(ctx, where.room)
    await ctx.to(where.room).except_(ctx.socket.id).emit("day.typing", _me(ctx), volatile=True)


@service.ws.on("day.history", auth=True)
async def history(ctx: WsContext[DayDatabase], where: InRoom) -> list[LineView]:
    """The last lines, oldest first."""
    _enter_only(ctx, where.room)
    lines = await ctx.db.lines.where_equals("room", where.room).order_by("-id").limit(_HISTORY).get()
    return [LineView(line.id, line.author, line.text) for line in reversed(lines)]


def _room(ctx: WsContext[DayDatabase]) -> str:
    return ctx.socket.metadata.get("room", "room-0")


def _enter_only(ctx: WsContext[DayDatabase], room: str) -> None:
    if room != _room(ctx):
        raise ForbiddenError("This is another room.", details={"room": room})


def _me(ctx: WsContext[DayDatabase]) -> Person:
    return Person(ctx.auth.user, ctx.auth.name)
