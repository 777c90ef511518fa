"""What is particular to SQLite: its settings, its one writer, other processes."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from pylinkd.db import Database, DatabaseBusyError, DatabaseUnavailableError, Table

from .models import ChatDatabase


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the database is."""
    return tmp_path / "chat.db"


@pytest.mark.parametrize(("pragma", "value"), [("journal_mode", "wal"), ("foreign_keys", 1), ("synchronous", 1)])
async def test_connections_are_set_up(path: Path, pragma: str, value: object) -> None:
    """Every connection has the settings that this layer promises."""
    async with ChatDatabase(f"sqlite:///{path}", timeout=3) as db:
        found = await asyncio.gather(*(db.execute(sa.text(f"PRAGMA {pragma}")) for _ in range(4)))

    assert [result.scalar_one() for result in found] == [value] * 4


async def test_reader_does_not_wait_for_a_writer(path: Path) -> None:
    """While a transaction writes, others read what was there before."""
    async with ChatDatabase(f"sqlite:///{path}") as db:
        await db.create_all()
        reading = asyncio.Event()

        async def read() -> int:
            await reading.wait()
            return await db.users.count()

        reader = asyncio.create_task(read())
        async with db.transaction():
            await db.users.insert(name="ann")
            reading.set()
            assert await asyncio.wait_for(reader, 5) == 0


async def test_lock_of_another_process_is_waited_for_and_told(path: Path) -> None:
    """A file that someone else keeps locked is a busy database, after the timeout."""
    async with ChatDatabase(f"sqlite:///{path}", timeout=0.1) as db:
        await db.create_all()
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")

        with pytest.raises(DatabaseBusyError, match="another process"):
            await db.users.insert(name="ann")
        with pytest.raises(DatabaseBusyError, match="another process"):
            async with db.transaction():
                pass

        other.execute("ROLLBACK")
        other.close()
        await db.users.insert(name="ann")


@contextlib.contextmanager
def locked(path: Path, how: str = "IMMEDIATE") -> Iterator[sqlite3.Connection]:
    """The database while somebody else keeps its lock."""
    other = sqlite3.connect(path, isolation_level=None)
    try:
        other.execute(f"BEGIN {how}")
        yield other
        if other.in_transaction:
            other.execute("ROLLBACK")
    finally:
        other.close()


async def insert(db: ChatDatabase) -> None:
    """One statement."""
    await db.users.insert(name="ann")


async def transact(db: ChatDatabase) -> None:
    """A transaction, which takes the lock at its start."""
    async with db.transaction():
        await db.users.insert(name="ann")


async def insert_many(db: ChatDatabase) -> None:
    """Many rows."""
    await db.users.insert_many([{"name": "ann"}, {"name": "bob"}])


@pytest.mark.parametrize("write", [insert, transact, insert_many])
@pytest.mark.parametrize("warm", [True, False], ids=["open", "opening"])
async def test_wait_for_another_process_ends_with_the_cancellation(
    path: Path, write: Callable[[ChatDatabase], Awaitable[None]], warm: bool
) -> None:
    """At once, not when the lock is free; nothing is stored, and the connection is as good as before."""
    async with ChatDatabase(f"sqlite:///{path}", pool_size=1 if warm else 5) as db:
        await db.create_all()
        with locked(path):
            began = monotonic()
            for _ in range(3):
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.2):
                        await write(db)
            took = monotonic() - began

        assert took < 2
        assert await db.users.count() == 0
        await write(db)
        assert await db.users.count() >= 1


async def test_connection_that_waits_while_it_is_opened_can_be_cancelled(path: Path) -> None:
    """Where somebody else has the file alone, as without a write-ahead log, even opening it waits."""
    async with ChatDatabase(f"sqlite:///{path}") as db:
        await db.create_all()
    with sqlite3.connect(path) as other:
        other.execute("PRAGMA journal_mode = DELETE")
    other.close()
    database = ChatDatabase(f"sqlite:///{path}")
    with locked(path, "EXCLUSIVE"):
        began = monotonic()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await database.start()
        took = monotonic() - began

    assert took < 2
    async with database:
        await database.users.insert(name="ann")


async def test_lock_that_becomes_free_in_time_is_taken(path: Path) -> None:
    """However long it took in between, as long as it is within the timeout."""
    async with ChatDatabase(f"sqlite:///{path}", timeout=10) as db:
        await db.create_all()
        with locked(path) as other:
            writing = asyncio.gather(insert(db), db.users.insert(name="bob"))
            await asyncio.wait((writing,), timeout=0.3)
            assert not writing.done()
            other.execute("ROLLBACK")
            await writing

        assert await db.users.count() == 2


async def test_waiting_for_a_writer_of_this_process_ends(path: Path) -> None:
    """A transaction that never ends lets other writers give up in time."""
    async with ChatDatabase(f"sqlite:///{path}", timeout=0.1) as db:
        await db.create_all()
        held = asyncio.Event()

        async def write() -> None:
            await held.wait()
            await db.users.insert(name="bob")

        writer = asyncio.create_task(write())
        async with db.transaction():
            held.set()
            with pytest.raises(DatabaseBusyError, match="this process"):
                await writer


async def test_file_that_is_no_database_is_refused(path: Path) -> None:
    """Some other file is not overwritten, and start says what is wrong."""
    path.write_bytes(b"not a database" * 100)

    with pytest.raises(DatabaseUnavailableError, match="not a database"):
        await ChatDatabase(f"sqlite:///{path}").start()


async def test_memory_is_one_database_for_all_tasks() -> None:
    """Concurrent tasks see one and the same database in memory."""
    async with ChatDatabase("sqlite:///:memory:") as db:
        await db.create_all()
        await asyncio.gather(*(db.users.insert(name=f"user {number}") for number in range(10)))

        assert await db.users.count() == 10


async def test_floats_come_back_as_they_were_stored(path: Path) -> None:
    """SQLite keeps 3.0 as the integer 3 inside, and shows that to RETURNING."""
    async with PriceDatabase(f"sqlite:///{path}", tables=[prices]) as db:
        await db.create_all()
        for number, given in enumerate((3.0, 3, -0.5, None, 1e300)):
            stored = await db.items.insert(id=number, price=given)
            row: Any = await db.table("prices").insert(id=number, price=given)
            read = await db.items.where_equals("id", number).one()
            upserted = await db.items.upsert({"id": number, "price": given})
            result = await db.execute(
                sa.update(Item).values(price=given).where(Item.id == number).returning(Item.price)
            )

            for value in (stored.price, row.price, read.price, upserted.price, result.scalar_one()):
                assert repr(value) == repr(None if given is None else float(given))
        await db.items.where_equals("id", 1).update(price=7)
        assert repr((await db.items.where_equals("id", 1).one()).price) == "7.0"


class PriceBase(DeclarativeBase):
    """Base of the model below."""


class Item(PriceBase):
    """Something that has a price, or none."""

    __tablename__ = "items"

    id: Mapped[int] = mapped_column(primary_key=True)
    price: Mapped[float | None]


prices = sa.Table(
    "prices",
    PriceBase.metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("price", sa.REAL),
)


class PriceDatabase(Database):
    """What has prices."""

    items: Table[Item]
