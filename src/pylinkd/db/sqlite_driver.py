"""An aiosqlite connection whose statements take one trip to its thread instead of four.

SQLAlchemy opens a cursor, executes, fetches and closes; aiosqlite goes to its thread for each of these,
and a trip costs more than most statements. The result is read to its end at once, as SQLAlchemy
does anyway. Elsewhere: the pool and its locks (sqlite.py).
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any

import aiosqlite


class Cursor:
    """The part of a DBAPI cursor that SQLAlchemy's aiosqlite dialect uses."""

    arraysize = 1

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._rows: list[Any] = []
        self.description: Any = None
        self.rowcount = -1
        self.lastrowid: int | None = None

    async def __aenter__(self) -> Cursor:
        return self

    async def execute(self, sql: str, parameters: Iterable[Any] = ()) -> Cursor:
        """Execute a statement and fetch its rows."""
        await self._connection.in_thread(self._execute, sql, parameters)
        return self

    async def executemany(self, sql: str, parameters: Sequence[Iterable[Any]]) -> Cursor:
        """Execute a statement for each set of parameters."""
        await self._connection.in_thread(self._executemany, sql, parameters)
        return self

    async def fetchall(self) -> list[Any]:
        """Hand over the rows fetched by ``execute``."""
        rows, self._rows = self._rows, []
        return rows

    async def close(self) -> None:
        """Do nothing: the cursor of the thread is closed already."""

    def _execute(self, raw: sqlite3.Connection, sql: str, parameters: Any) -> None:
        cursor = raw.execute(sql, parameters)
        try:
            self.description = cursor.description
            # Reading to the end also completes INSERT ... RETURNING, which commits only then.
            self._rows = cursor.fetchall() if cursor.description else []
            self.rowcount, self.lastrowid = cursor.rowcount, cursor.lastrowid
        finally:
            cursor.close()

    def _executemany(self, raw: sqlite3.Connection, sql: str, parameters: Any) -> None:
        cursor = raw.executemany(sql, parameters)
        self.rowcount = cursor.rowcount
        cursor.close()


class Connection(aiosqlite.Connection):
    """A connection of aiosqlite with the cursor above."""

    def cursor(self) -> Cursor:  # type: ignore[override]
        """Make a cursor, without a trip to the thread."""
        return Cursor(self)

    async def commit(self) -> None:
        """Commit, if there is something to."""
        if self.in_transaction:
            await super().commit()

    async def rollback(self) -> None:
        """Roll back, if there is something to."""
        if self.in_transaction:
            await super().rollback()

    def interrupt_now(self) -> None:
        """Make the statement under way fail; callable outside of the connection's thread."""
        self._conn.interrupt()

    async def in_thread(self, function: Any, *arguments: Any) -> None:
        """Call a function with the connection of sqlite3, in the connection's thread."""
        # aiosqlite has no public name for this; its own cursor calls it too.
        await self._execute(function, self._conn, *arguments)  # type: ignore[no-untyped-call]


async def connect(path: str, options: dict[str, Any], *, busy_timeout: float) -> Connection:
    """Open a database with foreign keys, a write-ahead log and case-sensitive LIKE.

    Args:
        path: Of the file, or ``:memory:``.
        options: Further arguments of ``sqlite3.connect``.
        busy_timeout: Seconds to wait for a lock of another process.
    """

    def opened() -> sqlite3.Connection:
        # isolation_level=None: sqlite3 starts no transactions on its own. SQLAlchemy's documentation advises
        # it because the legacy mode leaves SELECT, DDL and SAVEPOINT outside of them.
        raw: sqlite3.Connection = sqlite3.connect(path, **{**options, "timeout": busy_timeout, "isolation_level": None})
        try:
            for pragma in (
                "foreign_keys = ON",
                "journal_mode = WAL",  # readers and one writer at once
                "synchronous = NORMAL",  # with WAL a power cut may lose the last commits, never consistency
                "case_sensitive_like = ON",  # as on PostgreSQL
            ):
                raw.execute(f"PRAGMA {pragma}")
        except BaseException:
            raw.close()
            raise
        return raw

    connection = Connection(opened, 64)
    connection._thread.daemon = True  # as SQLAlchemy does: a forgotten connection does not keep the process
    try:
        _ = await connection
    except BaseException:
        # aiosqlite tells its thread to end and does not wait; the thread would report to a loop that may be
        # closed by then.
        await asyncio.to_thread(connection._thread.join)
        raise
    return connection
