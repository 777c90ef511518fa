"""What is particular to PostgreSQL: lost connections, and queries the server must stop."""

# ruff: noqa: PT012 - how a block of statements ends is what is tested

from __future__ import annotations

import asyncio

import pytest
import sqlalchemy as sa

from pylinkd.db import DatabaseBusyError, DatabaseUnavailableError
from tests.servers.postgres import PostgresServer

from .models import ChatDatabase

SLEEPING = sa.text(
    "SELECT count(*) FROM pg_stat_activity"
    " WHERE state = 'active' AND query LIKE '%pg_sleep%' AND pid <> pg_backend_pid()"
)


@pytest.fixture
def url(postgres_server: PostgresServer) -> str:
    """The real server alone."""
    return postgres_server.url


async def backend(db: ChatDatabase) -> int:
    """The server process that answers."""
    process: int = (await db.execute(sa.text("SELECT pg_backend_pid()"))).scalar_one()
    return process


async def test_idle_connection_closed_by_the_server_is_replaced(db: ChatDatabase, url: str) -> None:
    """A restart of the server costs no query of a service that was idle."""
    driver = await db.run(lambda connection: connection.connection.driver_connection, writes=False)
    gone = asyncio.Event()
    driver.add_termination_listener(lambda _: gone.set())  # type: ignore[union-attr]
    process = await backend(db)

    async with ChatDatabase(url) as other:
        await other.execute(sa.text("SELECT pg_terminate_backend(:process)"), {"process": process})
    await asyncio.wait_for(gone.wait(), 5)

    assert await db.users.count() == 0


async def test_connection_lost_in_a_statement_is_told_and_replaced(db: ChatDatabase) -> None:
    """A broken connection is one failed statement, not a broken pool."""
    with pytest.raises(DatabaseUnavailableError):
        await db.execute(sa.text("SELECT pg_terminate_backend(pg_backend_pid())"))

    assert await db.users.count() == 0


async def test_connection_lost_in_a_transaction_is_told(db: ChatDatabase) -> None:
    """The loss ends the block and nothing of it is stored."""
    with pytest.raises(DatabaseUnavailableError):
        async with db.transaction():
            await db.users.insert(name="ann")
            await db.execute(sa.text("SELECT pg_terminate_backend(pg_backend_pid())"))

    assert await db.users.count() == 0


async def test_server_stops_a_cancelled_query(db: ChatDatabase) -> None:
    """A cancelled handler leaves no query running on the server."""
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await db.execute(sa.text("SELECT pg_sleep(50)"))

    assert (await db.execute(SLEEPING)).scalar_one() == 0


async def test_statement_outside_a_transaction_commits_by_itself(db: ChatDatabase, url: str) -> None:
    """Each statement is stored at once and seen by others."""
    await db.users.insert(name="ann")

    async with ChatDatabase(url) as other:
        assert await other.users.count() == 1


async def test_exhausted_pool_is_a_busy_database(db: ChatDatabase, url: str) -> None:
    """Waiting for a connection ends in time and says what was waited for."""
    async with ChatDatabase(url, pool_size=1, timeout=0.1) as small:
        held = asyncio.Event()

        async def count() -> int:
            await held.wait()
            return await small.users.count()

        waiting = asyncio.create_task(count())
        async with small.transaction():
            held.set()
            with pytest.raises(DatabaseBusyError, match="every connection"):
                await waiting


async def test_deadlock_is_a_busy_database(db: ChatDatabase) -> None:
    """The transaction that the server sacrifices is told to try again; the other one goes through."""
    await db.users.insert_many([{"id": 1, "name": "ann"}, {"id": 2, "name": "bob"}])
    both = asyncio.Barrier(2)

    async def cross(first: int, second: int) -> None:
        async with db.transaction():
            await db.users.where_equals("id", first).update(age=first)
            await both.wait()
            await db.users.where_equals("id", second).update(age=first)

    done = await asyncio.gather(cross(1, 2), cross(2, 1), return_exceptions=True)

    assert sorted(type(result).__name__ for result in done) == ["DatabaseBusyError", "NoneType"]
