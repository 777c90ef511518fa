"""PostgreSQL by asyncpg: engine, pool and cancellation.

Elsewhere: what a pool promises (pool.py), the URL's form (address.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy import event, exc
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from .failures import translated
from .shielding import finish

ResultT = TypeVar("ResultT")


class PostgresPool:
    """Connections to PostgreSQL.

    A cancelled statement costs its connection: SQLAlchemy closes it, asyncpg asks the server to stop, and
    the pool opens another one when needed.

    Args:
        url: With the driver asyncpg.
        size: Most connections at once.
        timeout: Longest wait in seconds for a connection, and for the server to roll back.
    """

    def __init__(self, url: sa.URL, *, size: int, timeout: float) -> None:
        self.timeout = timeout
        self._transactions = create_async_engine(
            url,
            pool_size=size,
            max_overflow=0,
            pool_timeout=timeout,
            # The connection used last is used next, so a quiet service lets the others idle out at a proxy.
            pool_use_lifo=True,
            hide_parameters=True,
            connect_args={"timeout": timeout},
        )
        # A statement outside a transaction commits by itself: without BEGIN and COMMIT it costs one
        # round trip instead of three.
        self._statements = self._transactions.execution_options(isolation_level="AUTOCOMMIT")
        event.listen(self._transactions.sync_engine, "checkout", _refuse_closed)

    def insert(self, table: sa.Table) -> postgresql.Insert:
        """Implements Pool."""
        return postgresql.insert(table)

    async def start(self) -> None:
        """Implements Pool."""
        await self.run(lambda connection: connection.execute(sa.select(1)), writes=False)

    async def stop(self) -> None:
        """Implements Pool."""
        await finish(self._transactions.dispose())

    async def run(self, work: Callable[[sa.Connection], ResultT], *, writes: bool) -> ResultT:
        """Implements Pool."""
        with translated():
            async with self._statements.connect() as connection:
                return await connection.run_sync(work)

    async def begin(self) -> AsyncConnection:
        """Implements Pool."""
        with translated():
            connection = await self._transactions.connect()
            # Sends nothing, asyncpg's BEGIN goes with the first statement; but without it the session that
            # reads a model's rows would begin, and roll back, on its own.
            _ = await connection.begin()
            return connection

    async def use(self, connection: AsyncConnection, work: Callable[[sa.Connection], ResultT]) -> ResultT:
        """Implements Pool."""
        with translated():
            return await connection.run_sync(work)

    async def end(self, connection: AsyncConnection, *, commit: bool) -> None:
        """Implements Pool."""
        with translated():
            await finish(self._end(connection, commit=commit))

    async def _end(self, connection: AsyncConnection, *, commit: bool) -> None:
        try:
            if commit:
                await connection.commit()
        finally:
            # A silent network must not hold up a cancelled handler; cancelling close() makes SQLAlchemy
            # drop the connection, and the server rolls back what was open on it.
            async with asyncio.timeout(self.timeout):
                await connection.close()


def _refuse_closed(connection: Any, record: Any, proxy: Any) -> None:
    """Make the pool replace a connection that the server has closed while it was idle.

    asyncpg knows from its socket, so this needs no round trip as pool_pre_ping does.
    """
    if connection.driver_connection.is_closed():
        raise exc.DisconnectionError("closed by the server")
