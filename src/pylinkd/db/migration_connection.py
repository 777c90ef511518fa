"""The connection that migrations run on, which no other migration of the same database has at the same time.

Not one of the service's pool: SQLite must not enforce foreign keys while a table is copied and the old one dropped,
which would delete the rows that refer to it, and that can be said outside of a transaction only.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic

import sqlalchemy as sa
import structlog
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from . import sqlite_driver
from .errors import DatabaseBusyError

log = structlog.get_logger("linkd.database")

_LOCK_KEY = int.from_bytes(b"linkd-db", "big") >> 1  # any number below 2**63, the same for every process
_LOOK_INTERVAL = 0.1  # seconds


@asynccontextmanager
async def migration_connection(url: sa.URL, timeout: float) -> AsyncIterator[AsyncConnection]:
    """A connection whose transactions are the only ones that migrate.

    Args:
        url: With its driver.
        timeout: Seconds to wait for another process that migrates.

    Raises:
        DatabaseBusyError: If it takes longer.
    """
    on_sqlite = url.get_backend_name() == "sqlite"
    engine = _sqlite_engine(url, timeout) if on_sqlite else create_async_engine(url, poolclass=NullPool)
    try:
        async with engine.connect() as connection:
            if not on_sqlite:
                await _lock(connection, timeout)
            yield connection
    finally:
        await engine.dispose()


def _sqlite_engine(url: sa.URL, timeout: float) -> AsyncEngine:
    (path,), options = url.get_dialect()().create_connect_args(url)

    async def connect() -> sqlite_driver.Connection:
        connection = await sqlite_driver.connect(path, dict(options), busy_timeout=timeout)
        await connection.in_thread(lambda raw: raw.execute("PRAGMA foreign_keys = OFF"))
        return connection

    engine = create_async_engine(url, async_creator=connect, poolclass=NullPool)
    # The write lock is SQLite's own lock of migrations: whoever waits for it reads the revision afterwards.
    event.listen(engine.sync_engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
    return engine


async def _lock(connection: AsyncConnection, timeout: float) -> None:
    """Take PostgreSQL's advisory lock; it is the session's, and ends with the connection.

    Asked for again and again: a statement that waits for it has a snapshot, and CREATE INDEX CONCURRENTLY of the
    migration that has the lock would wait for that.
    """
    deadline, told = monotonic() + timeout, False
    while not await connection.scalar(sa.text("SELECT pg_try_advisory_lock(:key)"), {"key": _LOCK_KEY}):
        await connection.rollback()
        if monotonic() > deadline:
            raise DatabaseBusyError(f"another process has migrated the database for {timeout:g} s")
        if not told:
            told = True
            log.info("migration_waits", reason="another process migrates the database", timeout=timeout)
        await asyncio.sleep(_LOOK_INTERVAL)
    await connection.commit()
