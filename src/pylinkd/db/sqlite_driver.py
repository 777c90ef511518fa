"""An aiosqlite connection whose statements take one trip to its thread instead of four.

SQLAlchemy opens a cursor, executes, fetches and closes; aiosqlite goes to its thread for each of these,
and a trip costs more than most statements. The result is read to its end at once, as SQLAlchemy
does anyway.

While SQLite itself waits for another process's lock, sqlite3_interrupt does not reach it. It is therefore let wait
for a moment only, again and again until the busy timeout is over, or until whoever asked has given up.
Elsewhere: the pool and its locks (sqlite.py).
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from time import monotonic
from typing import Any, TypeVar

import aiosqlite

ResultT = TypeVar("ResultT")

# Seconds that SQLite itself waits for a lock; how late a cancellation may be noticed meanwhile.
_SLICE = 0.05

_OPENED: ContextVar[list[Connection] | None] = ContextVar("pylinkd_db_opened", default=None)


class Patience:
    """How long a connection's statements wait for locks of other processes.

    Args:
        timeout: Seconds for one statement.

    Attributes:
        over: Whether the statement under way is to give up at the next occasion. Set by the event loop, read by the
            connection's thread.
    """

    __slots__ = ("_timeout", "over")

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self.over = False

    def keep_trying(self, step: Callable[[], ResultT]) -> ResultT:
        """Do something that takes effect wholly or not at all, until no other process is in its way.

        Raises:
            sqlite3.OperationalError: If a lock is held for too long, or the patience is over.
        """
        deadline = monotonic() + self._timeout
        while True:
            try:
                return step()
            except sqlite3.OperationalError as error:
                if self.over or not _is_busy(error) or monotonic() >= deadline:
                    raise


def _is_busy(error: sqlite3.OperationalError) -> bool:
    # A snapshot that is outdated stays so, however long one waits.
    code = error.sqlite_errorcode
    return code & 0xFF == sqlite3.SQLITE_BUSY and code != sqlite3.SQLITE_BUSY_SNAPSHOT


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
        self._connection.patience.keep_trying(lambda: self._execute_once(raw, sql, parameters))

    def _execute_once(self, raw: sqlite3.Connection, sql: str, parameters: Any) -> None:
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
    """A connection of aiosqlite with the cursor above.

    Args:
        open: Opens the connection of sqlite3; called in the thread.
        patience: How long its statements wait for other processes.
    """

    def __init__(self, open: Callable[[], sqlite3.Connection], patience: Patience) -> None:
        super().__init__(open, 64)
        self.patience = patience

    def cursor(self) -> Cursor:  # type: ignore[override]
        """Make a cursor, without a trip to the thread."""
        return Cursor(self)

    async def commit(self) -> None:
        """Commit, if there is something to."""
        if self.in_transaction:
            # Without the write-ahead log readers of other processes are in its way; the transaction stays open.
            await self.in_thread(lambda raw: self.patience.keep_trying(raw.commit))

    async def rollback(self) -> None:
        """Roll back, if there is something to."""
        if self.in_transaction:
            await super().rollback()

    def interrupt_now(self) -> None:
        """Make the statement under way fail, or stop waiting for a lock; called by the event loop."""
        self.stop_waiting()
        if self._connection is not None:
            self._connection.interrupt()

    def stop_waiting(self) -> None:
        """Make the statement under way fail if it waits for another process; it goes on if it has what it needs."""
        self.patience.over = True

    async def in_thread(self, function: Any, *arguments: Any) -> None:
        """Call a function with the connection of sqlite3, in the connection's thread."""
        # Before the thread gets it, and in the event loop as stop_waiting: what was meant for an earlier statement, now
        # ended, must not reach this one, which may be the rollback.
        self.patience.over = False
        # aiosqlite has no public name for this; its own cursor calls it too.
        await self._execute(function, self._conn, *arguments)  # type: ignore[no-untyped-call]


@contextmanager
def connections_opened() -> Iterator[list[Connection]]:
    """The connections that are opened by tasks started in this block, from the moment at which they are begun.

    SQLAlchemy shows a connection only once it is open, and until then its opening may wait for another process.
    """
    opened: list[Connection] = []
    token = _OPENED.set(opened)
    try:
        yield opened
    finally:
        _OPENED.reset(token)


async def connect(path: str, options: dict[str, Any], *, busy_timeout: float) -> Connection:
    """Open a database with foreign keys, a write-ahead log and case-sensitive LIKE.

    Args:
        path: Of the file, or ``:memory:``.
        options: Further arguments of ``sqlite3.connect``.
        busy_timeout: Seconds to wait for a lock of another process.
    """

    patience = Patience(busy_timeout)

    def opened() -> sqlite3.Connection:
        # isolation_level=None: sqlite3 starts no transactions on its own. SQLAlchemy's documentation advises
        # it because the legacy mode leaves SELECT, DDL and SAVEPOINT outside of them.
        raw: sqlite3.Connection = sqlite3.connect(
            path, **{**options, "timeout": min(_SLICE, busy_timeout), "isolation_level": None}
        )
        try:
            for pragma in (
                "foreign_keys = ON",
                "journal_mode = WAL",  # readers and one writer at once
                "synchronous = NORMAL",  # with WAL a power cut may lose the last commits, never consistency
                "case_sensitive_like = ON",  # as on PostgreSQL
            ):
                patience.keep_trying(partial(raw.execute, f"PRAGMA {pragma}"))
        except BaseException:
            raw.close()
            raise
        return raw

    connection = Connection(opened, patience)
    known = _OPENED.get()
    if known is not None:
        known.append(connection)
    connection._thread.daemon = True  # as SQLAlchemy does: a forgotten connection does not keep the process
    try:
        _ = await connection
    except BaseException:
        # aiosqlite tells its thread to end and does not wait; the thread would report to a loop that may be
        # closed by then.
        await asyncio.to_thread(connection._thread.join)
        raise
    return connection
