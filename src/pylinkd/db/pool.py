"""What a database needs of its connections, as an interface over SQLite and PostgreSQL.

Elsewhere: the two implementations (sqlite.py, postgresql.py), the life of a transaction
(transaction.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

ResultT = TypeVar("ResultT")


class Pool(Protocol):
    """The connections to one database.

    ``work`` is always a synchronous function over SQLAlchemy's ``Connection``, run in a greenlet:
    the models' session needs one. Every method raises errors of this package only.

    Whoever is cancelled in here gets CancelledError once his statement has stopped; the connection is
    usable by others afterwards, or replaced. Whether a single statement that was cancelled took effect
    is unknown, as with a broken connection; within a transaction it is always undone.

    Attributes:
        timeout: Longest wait in seconds for a turn on a connection.
    """

    timeout: float

    def insert(self, table: sa.Table) -> sqlite.Insert | postgresql.Insert:
        """Start the dialect's INSERT, which knows ON CONFLICT."""
        ...

    async def start(self) -> None:
        """Connect once, so that a wrong address shows now.

        Raises:
            DatabaseUnavailableError: If the database cannot be reached.
        """
        ...

    async def stop(self) -> None:
        """Close every connection; those in use are closed when they come back."""
        ...

    async def run(self, work: Callable[[sa.Connection], ResultT], *, writes: bool) -> ResultT:
        """Call ``work`` with a connection on which each statement commits by itself.

        Args:
            work: Sends one statement.
            writes: Whether it may change something. On SQLite writers queue here.

        Raises:
            DatabaseBusyError: If no connection becomes free in time.
        """
        ...

    async def begin(self) -> AsyncConnection:
        """Take a connection and begin a transaction on it; give it back by ``end``.

        Raises:
            DatabaseBusyError: If no connection becomes free in time.
        """
        ...

    async def use(self, connection: AsyncConnection, work: Callable[[sa.Connection], ResultT]) -> ResultT:
        """Call ``work`` within the transaction of a connection."""
        ...

    async def end(self, connection: AsyncConnection, *, commit: bool) -> None:
        """Commit or roll back, and give the connection back even if that fails or is cancelled."""
        ...
