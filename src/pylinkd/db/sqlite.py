"""SQLite by aiosqlite: engine, the queue of writers, and cancellation.

SQLite admits one writer at a time. Writers of this process queue for a lock here, first come first
served and cancellable; only against other processes do they poll, which is unfair, and cancellable too.

Elsewhere: what a pool promises (pool.py), how a connection is set up (sqlite_driver.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.dialects import sqlite
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool, StaticPool

from . import sqlite_driver
from .errors import DatabaseBusyError
from .failures import translated
from .shielding import finish
from .sqlite_types import with_exact_floats

ResultT = TypeVar("ResultT")

_BEGIN = "pylinkd_begin"


class SQLitePool:
    """Connections to one SQLite file, or the one connection to a database in memory.

    A cancelled statement is interrupted and its connection kept: closing the connection of a database
    in memory would lose the data.

    Args:
        url: With the driver aiosqlite.
        size: Most connections at once, each with a thread; a database in memory has one.
        timeout: Longest wait in seconds for a connection or for the lock of the writers.
    """

    def __init__(self, url: sa.URL, *, size: int, timeout: float) -> None:
        self.timeout = timeout
        in_memory = is_in_memory(url)
        (path,), options = url.get_dialect()().create_connect_args(url)

        async def connect() -> sqlite_driver.Connection:
            return await sqlite_driver.connect(path, dict(options), busy_timeout=timeout)

        pool_options = {} if in_memory else {"pool_size": size, "max_overflow": 0}
        self._statements = create_async_engine(
            url,
            async_creator=connect,
            poolclass=StaticPool if in_memory else AsyncAdaptedQueuePool,
            hide_parameters=True,
            **pool_options,
        )
        dialect: Any = self._statements.dialect
        dialect.colspecs = with_exact_floats(dialect.colspecs)
        self._transactions = self._statements.execution_options(**{_BEGIN: True})
        event.listen(self._statements.sync_engine, "begin", _begin_immediate)
        # Connections are counted here and not left to wait for in SQLAlchemy's pool: waiting here can be
        # cancelled, while a statement under way has to be waited for.
        self._free = asyncio.Semaphore(1 if in_memory else size)
        self._writing = asyncio.Lock()
        self._open: dict[AsyncConnection, AsyncExitStack] = {}

    def insert(self, table: sa.Table) -> sqlite.Insert:
        """Implements Pool."""
        return sqlite.insert(table)

    async def start(self) -> None:
        """Implements Pool."""
        # Reads the file's first page, so a path to something else than a database shows.
        await self.run(lambda connection: connection.exec_driver_sql("PRAGMA schema_version"), writes=False)

    async def stop(self) -> None:
        """Implements Pool."""
        await finish(self._statements.dispose())

    async def run(self, work: Callable[[sa.Connection], ResultT], *, writes: bool) -> ResultT:
        """Implements Pool."""
        async with self._turn(writes=writes):
            connection = self._statements.connect()
            with translated(), sqlite_driver.connections_opened() as opened:
                return await finish(_send(connection, work), hurry=lambda: _interrupt(connection, opened))

    async def begin(self) -> AsyncConnection:
        """Implements Pool."""
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._turn(writes=True))
            connection = self._transactions.connect()
            with translated(), sqlite_driver.connections_opened() as opened:
                try:
                    await finish(_begin(connection), hurry=lambda: _interrupt(connection, opened))
                except BaseException:
                    await finish(connection.close())
                    raise
            self._open[connection] = stack.pop_all()
        return connection

    async def use(self, connection: AsyncConnection, work: Callable[[sa.Connection], ResultT]) -> ResultT:
        """Implements Pool."""
        with translated():
            return await finish(connection.run_sync(work), hurry=lambda: _interrupt(connection))

    async def end(self, connection: AsyncConnection, *, commit: bool) -> None:
        """Implements Pool."""
        async with self._open.pop(connection):
            with translated():
                await finish(_end(connection, commit=commit), hurry=lambda: _stop_waiting(connection))

    @asynccontextmanager
    async def _turn(self, *, writes: bool) -> AsyncIterator[None]:
        # Always the lock before the connection, so that waiting writers keep none from readers.
        async with AsyncExitStack() as stack:
            try:
                async with asyncio.timeout(self.timeout):
                    if writes:
                        await stack.enter_async_context(self._writing)
                    await stack.enter_async_context(self._free)
            except TimeoutError:
                raise DatabaseBusyError(
                    f"waited {self.timeout:g} s for other statements and transactions of this process"
                ) from None
            yield


def is_in_memory(url: sa.URL) -> bool:
    """Whether a URL means a database that lives and dies with its connection."""
    return not url.database or ":memory:" in url.database or url.query.get("mode") == "memory"


async def _send(connection: AsyncConnection, work: Callable[[sa.Connection], ResultT]) -> ResultT:
    async with connection:
        return await connection.run_sync(work)


async def _begin(connection: AsyncConnection) -> None:
    _ = await connection.start()
    _ = await connection.begin()


async def _end(connection: AsyncConnection, *, commit: bool) -> None:
    try:
        if commit:
            await connection.commit()
    except BaseException:
        # SQLite keeps a transaction open whose COMMIT it refused, and SQLAlchemy takes it for ended.
        await connection.run_sync(lambda sync: sync.connection.rollback())
        raise
    finally:
        await connection.close()


def _begin_immediate(connection: sa.Connection) -> None:
    # IMMEDIATE takes the write lock now: a transaction that reads first and then finds another writer ahead
    # could not wait for it, SQLite fails it at once with "database is locked".
    if connection.get_execution_options().get(_BEGIN):
        connection.exec_driver_sql("BEGIN IMMEDIATE")


def _interrupt(connection: AsyncConnection, opened: Sequence[sqlite_driver.Connection] = ()) -> None:
    driver = _driver_of(connection)
    for each in opened if driver is None else (driver,):
        each.interrupt_now()


def _stop_waiting(connection: AsyncConnection) -> None:
    driver = _driver_of(connection)
    if driver is not None:
        driver.stop_waiting()


def _driver_of(connection: AsyncConnection) -> sqlite_driver.Connection | None:
    """The driver's connection; ``None``: there is none yet, or none any more."""
    sync = connection.sync_connection
    if sync is None or sync.closed or sync.invalidated:
        return None
    driver = sync.connection.driver_connection
    return driver if isinstance(driver, sqlite_driver.Connection) else None
