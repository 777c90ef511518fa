"""What is particular to SQLite: its settings, its one writer, other processes."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest
import sqlalchemy as sa

from pylinkd.db import DatabaseBusyError, DatabaseUnavailableError

from .models import ChatDatabase


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the database is."""
    return tmp_path / "chat.db"


@pytest.mark.parametrize(("pragma", "value"), [("journal_mode", "wal"), ("foreign_keys", 1), ("busy_timeout", 3000)])
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
