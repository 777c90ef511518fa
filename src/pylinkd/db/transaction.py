"""Transactions that the queries of a task join by themselves.

Lives here: which transaction a task is in, savepoints, what a failed statement means.
Elsewhere: connections and the commands sent over them (pool.py and its implementations).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import ContextVar, Token
from types import TracebackType
from typing import TypeVar

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from .errors import DatabaseBusyError, DatabaseError, TransactionAbortedError, TransactionClosedError, TransactionError
from .pool import Pool

ResultT = TypeVar("ResultT")

# One variable for all databases: a ContextVar made per instance would never be collected.
_innermost: ContextVar[Transaction | None] = ContextVar("pylinkd_db_transaction", default=None)


class Transaction:
    """A block of statements that are stored together or not at all; made by ``Database.transaction``.

    Tasks started inside the block belong to it too, since a task inherits its starter's context. Their
    statements take turns on the one connection. An inner block is a savepoint and keeps the others
    waiting until it ends: what they do meanwhile would otherwise be undone with it.

    A failed statement dooms the block, on SQLite too, where going on would work: a program then behaves
    the same on both databases. An inner block contains the damage.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._outer: Transaction | None = None
        self._parent: Transaction | None = None
        self._connection: AsyncConnection | None = None
        self._savepoint: sa.NestedTransaction | None = None
        self._token: Token[Transaction | None] | None = None
        self._turn = asyncio.Lock()
        self._closed = False
        self._failure: BaseException | None = None
        self._lost = False

    @classmethod
    def current(cls, pool: Pool) -> Transaction | None:
        """The innermost transaction of this task on a database; it may have ended already."""
        transaction = _innermost.get()
        # Blocks of two databases may be nested in each other.
        while transaction is not None and transaction._pool is not pool:
            transaction = transaction._outer
        return transaction

    async def run(self, work: Callable[[sa.Connection], ResultT]) -> ResultT:
        """Call ``work`` with the connection of the transaction, after the statements before it.

        Raises:
            TransactionClosedError: If the block has ended.
            TransactionAbortedError: If an earlier statement failed.
            DatabaseBusyError: If other tasks of the block keep the connection for too long.
        """
        await self._take_turn()
        try:
            self._require_usable()
            return await self._use(work)
        finally:
            self._turn.release()

    async def __aenter__(self) -> Transaction:
        if self._token is not None or self._closed:
            raise TransactionError("a transaction cannot be entered twice; call db.transaction() for each block")
        self._outer = _innermost.get()
        self._parent = Transaction.current(self._pool)
        if self._parent is None:
            self._connection = await self._pool.begin()
        else:
            await self._open_savepoint(self._parent)
        self._token = _innermost.set(self)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._token is not None
        # First of all, and whatever happens below: a handler's task is used again for the next message.
        _innermost.reset(self._token)
        self._closed = True
        if self._parent is None:
            await self._end(error)
        else:
            await self._end_savepoint(self._parent, error)

    async def _end(self, error: BaseException | None) -> None:
        connection = self._connection
        assert connection is not None
        cancelled = await self._wait_for_statements()
        commit = error is None and self._failure is None and cancelled is None
        try:
            await self._pool.end(connection, commit=commit)
        except DatabaseError:
            # The rollback failed because the connection is gone, and then the database has rolled back.
            # What ended the block is the better news.
            if commit:
                raise
        if cancelled is not None:
            raise cancelled
        if error is None and self._failure is not None:
            raise TransactionAbortedError from self._failure

    async def _wait_for_statements(self) -> asyncio.CancelledError | None:
        """Let a statement under way in a task of the block end; later ones find the block closed."""
        cancelled = None
        while True:
            try:
                await self._turn.acquire()
            except asyncio.CancelledError as error:
                cancelled = error
            else:
                self._turn.release()
                return cancelled

    async def _open_savepoint(self, parent: Transaction) -> None:
        await parent._take_turn()
        try:
            parent._require_usable()
            self._connection = parent._connection
            self._savepoint = await self._use(lambda connection: connection.begin_nested())
        except BaseException:
            if self._failure is not None:
                parent._fail(self._failure, lost=self._lost)
            parent._turn.release()
            raise

    async def _end_savepoint(self, parent: Transaction, error: BaseException | None) -> None:
        savepoint = self._savepoint
        assert savepoint is not None
        try:
            cancelled = await self._wait_for_statements()
            commit = error is None and self._failure is None and cancelled is None
            if not self._lost:
                await self._close_savepoint(savepoint, commit=commit)
            if cancelled is not None:
                raise cancelled
            if error is None and self._failure is not None:
                raise TransactionAbortedError from self._failure
        finally:
            if self._lost:
                parent._fail(self._failure, lost=True)
            parent._turn.release()

    async def _close_savepoint(self, savepoint: sa.NestedTransaction, *, commit: bool) -> None:
        try:
            await self._use(lambda _: savepoint.commit() if commit else savepoint.rollback())
        except BaseException:
            self._lost = True  # whether the savepoint still stands is unknown, so the outer block is doomed
            raise

    async def _take_turn(self) -> None:
        if not self._turn.locked():
            await self._turn.acquire()
            return
        # Bounded, because a block can wait for itself: an inner block that awaits a task of the outer one.
        try:
            async with asyncio.timeout(self._pool.timeout):
                await self._turn.acquire()
        except TimeoutError:
            raise DatabaseBusyError(
                f"waited {self._pool.timeout:g} s for other tasks of the same transaction"
            ) from None

    async def _use(self, work: Callable[[sa.Connection], ResultT]) -> ResultT:
        assert self._connection is not None
        try:
            return await self._pool.use(self._connection, work)
        except asyncio.CancelledError as error:
            # PostgreSQL's connection is closed by it, and SQLite rolls back all when it interrupts a write.
            self._fail(error, lost=True)
            raise
        except Exception as error:
            self._fail(error, lost=self._connection.invalidated)
            raise

    def _fail(self, failure: BaseException | None, *, lost: bool) -> None:
        self._failure = self._failure or failure
        self._lost = self._lost or lost

    def _require_usable(self) -> None:
        if self._closed:
            raise TransactionClosedError
        if self._failure is not None:
            raise TransactionAbortedError from self._failure
