"""Handlers over a database: what they may answer with, and what a lock of another process does to them."""

from __future__ import annotations

import asyncio
import datetime
import sqlite3
from pathlib import Path
from time import monotonic
from types import MappingProxyType
from typing import Any, cast

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, Mapped, MappedAsDataclass, mapped_column, relationship

from pylinkd import HandlerTimeoutError, HttpContext, InternalError, Service, WsContext
from pylinkd.db import Database, Page, Table
from pylinkd.sdk.validation import encode
from pylinkd.testing import decode, run


class Base(DeclarativeBase):
    """Base of the models."""


class Owner(Base):
    __tablename__ = "owners"
    id: Mapped[int] = mapped_column(primary_key=True)
    notes: Mapped[list[Note]] = relationship(back_populates="owned_by")


class Note(Base):
    __tablename__ = "notes"
    id: Mapped[int] = mapped_column(primary_key=True)
    # The attribute's name is what a client sees, not the column's.
    text: Mapped[str] = mapped_column("body")
    written: Mapped[datetime.datetime | None]
    owner: Mapped[int | None] = mapped_column(sa.ForeignKey("owners.id"))
    private: Mapped[str] = mapped_column(deferred=True, default="secret")
    owned_by: Mapped[Owner | None] = relationship(back_populates="notes")


class Other(MappedAsDataclass, Base):
    __tablename__ = "others"
    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str]


tags = sa.Table("tags", Base.metadata, sa.Column("name", sa.String, primary_key=True), sa.Column("count", sa.Integer))


class Notes(Database):
    notes: Table[Note]
    others: Table[Other]


@pytest.fixture
def service(tmp_path: Path) -> Service[Notes]:
    """A service with a database in a file."""
    service = cast("Service[Notes]", Service("notes", database=f"sqlite:///{tmp_path}/notes.db", tables=Notes))

    @service.before_start
    async def create(service: Service[Notes]) -> None:
        await service.db.create_all()

    return service


async def test_rows_are_answers_and_events(service: Service[Notes]) -> None:
    """A model's instance with the columns that were loaded; what would need another query is left out."""
    when = datetime.datetime(2026, 1, 2, 3, 4, 5)
    expected = {"id": 1, "text": "tea", "written": "2026-01-02T03:04:05", "owner": None}

    @service.ws.on("insert")
    async def insert(ctx: WsContext[Notes]) -> Note:
        note = await ctx.db.notes.insert(text="tea", written=when)
        await ctx.everyone.emit("inserted", {"note": note})
        await ctx.emit("note.inserted", note)
        return note

    @service.ws.on("rows")
    async def rows(ctx: WsContext[Notes]) -> list[Any]:
        return [
            await ctx.db.notes.get(),
            await ctx.db.notes.select("id", "text").get(),
            await ctx.db.notes.order_by("id").page(5),
            (await ctx.db.execute(sa.select(Note.id, Note.text))).mappings().all(),
            await ctx.db.others.insert(id=1, text="x"),
        ]

    @service.action("note", route="/note")
    async def note(ctx: HttpContext[Notes]) -> Note | None:
        return await ctx.db.notes.first()

    async with run(service) as gateway:
        client = await gateway.connect()

        inserted = await client.send("insert")
        assert inserted.pop("private", "secret") == "secret"
        assert inserted == expected
        assert (await client.next_event("inserted")).data["note"]["text"] == "tea"
        assert gateway.service_events[0][1]["text"] == "tea"
        assert await client.send("rows") == [
            [expected],
            [{"id": 1, "text": "tea"}],
            {"rows": [expected], "next": None},
            [{"id": 1, "text": "tea"}],
            {"id": 1, "text": "x"},
        ]
        assert decode(await gateway.request("GET", "/note")) == expected


@pytest.mark.parametrize("msgpack", [False, True])
def test_mappings_are_objects(msgpack: bool) -> None:
    """Whatever class they are of."""
    assert encode(MappingProxyType({"a": 1}), msgpack) == encode({"a": 1}, msgpack)
    assert encode(Page([MappingProxyType({"a": 1})], None), msgpack) == encode(
        {"rows": [{"a": 1}], "next": None}, msgpack
    )


def test_what_cannot_be_encoded_is_told_with_the_remedy() -> None:
    """A class of the author's, or a model itself in place of an instance."""
    for value in (object(), Note, {"a": [object()]}):
        with pytest.raises(TypeError, match=r"a \w+ cannot be encoded: .*dict"):
            encode(value)


async def test_handler_that_waits_for_a_locked_database_is_cancelled_in_time(
    service: Service[Notes], tmp_path: Path
) -> None:
    """It is answered with 408 when its time is up, and has ended when the session's next message is handled."""
    running: list[str] = []

    @service.ws.on("write", timeout=0.3)
    async def write(ctx: WsContext[Notes]) -> None:
        running.append("write")
        try:
            await ctx.db.notes.insert(text="tea")
        finally:
            running.remove("write")

    @service.ws.on("next")
    async def then(ctx: WsContext[Notes]) -> list[str]:
        return list(running)

    async with run(service) as gateway:
        client = await gateway.connect()
        other = sqlite3.connect(tmp_path / "notes.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        began = monotonic()
        writing, following = asyncio.create_task(client.send("write")), asyncio.create_task(client.send("next"))

        with pytest.raises(HandlerTimeoutError):
            await writing
        assert await following == []
        assert monotonic() - began < 1.5

        other.execute("ROLLBACK")
        other.close()
        await client.send("write")


async def test_answer_that_cannot_be_encoded_is_an_internal_error(service: Service[Notes]) -> None:
    """Whose cause a test sees."""

    @service.ws.on("odd")
    async def odd(ctx: WsContext[Notes]) -> object:
        return object()

    async with run(service) as gateway:
        with pytest.raises(InternalError) as caught:
            await (await gateway.connect()).send("odd")

    assert "cannot be encoded: put" in str(caught.value.__cause__)
