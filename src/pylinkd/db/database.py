"""The database of a service: its tables, its life cycle, and the way into transactions.

Elsewhere: which tables there are (catalog.py), queries (query.py, table.py), connections (pool.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Self, TypeVar, TypeVarTuple, overload

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from . import catalog
from .address import parse_url
from .catalog import TableSource
from .errors import DatabaseSetupError, UnknownTableError
from .pool import Pool
from .postgresql import PostgresPool
from .sqlite import SQLitePool
from .table import Table
from .transaction import Transaction

if TYPE_CHECKING:
    from types import TracebackType

    from sqlalchemy.sql.selectable import TypedReturnsRows

ResultT = TypeVar("ResultT")
RowT = TypeVar("RowT")
DatabaseT = TypeVar("DatabaseT", bound="Database")
ColumnTs = TypeVarTuple("ColumnTs")


class Database:
    """A database and its tables.

    A subclass declares tables with their models, and a type checker then knows every row::

        class ChatDatabase(Database):
            users: Table[User]

    Args:
        url: ``sqlite:///path``, ``sqlite:///:memory:`` or ``postgresql://user:password@host/name``.
        tables: Tables besides those a subclass declares: a MetaData, a declarative base, or a list of models
            and tables. Each becomes an attribute with the table's name.
        pool_size: Most connections at once, by default 10: enough for a service, and a tenth of what a
            PostgreSQL server admits as installed. A SQLite database in memory always has one.
        timeout: Seconds a statement waits for its turn, that is for a connection or, on SQLite, for other
            writers; by default 10.

    Raises:
        DatabaseSetupError: If the URL or the tables are wrong.
        MissingDriverError: If the driver for the URL is not installed.
    """

    def __init__(
        self, url: str, *, tables: TableSource | None = None, pool_size: int = 10, timeout: float = 10.0
    ) -> None:
        if pool_size < 1 or timeout <= 0:
            raise DatabaseSetupError(f"pool_size and timeout must be positive, got {pool_size} and {timeout}")
        self._url = parse_url(url)
        self._pool_size = pool_size
        self._timeout = timeout
        self._pool: Pool | None = None
        given = catalog.from_source(tables) if tables is not None else {}
        self._schemas = given | catalog.from_annotations(type(self), given)
        for name, schema in self._schemas.items():
            # A table named like a method, such as "transaction", is reached by table() only.
            if not hasattr(type(self), name):
                setattr(self, name, Table(self, schema))

    if not TYPE_CHECKING:
        # Hidden from type checkers: with it they would accept any misspelt table of a subclass.
        def __getattr__(self, name: str) -> Any:
            if name.startswith("_"):
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
            raise UnknownTableError(name, self._schemas)

    @overload
    def table(self, name: str) -> Table[Any]: ...
    @overload
    def table(self, name: type[RowT]) -> Table[RowT]: ...

    def table(self, name: str | type[Any]) -> Table[Any]:
        """Find a table by its name or its model.

        Raises:
            UnknownTableError: If this database does not have it.
        """
        for known, schema in self._schemas.items():
            if known == name or schema.model is name:
                return Table(self, schema)
        raise UnknownTableError(name if isinstance(name, str) else name.__name__, self._schemas)

    async def start(self) -> None:
        """Connect once, so that a wrong address shows at start; further connections follow when needed.

        Raises:
            DatabaseUnavailableError: If the database cannot be reached.
            DatabaseSetupError: If it is started already.
        """
        if self._pool is not None:
            raise DatabaseSetupError("the database is started already")
        kind = SQLitePool if self._url.get_backend_name() == "sqlite" else PostgresPool
        pool: Pool = kind(self._url, size=self._pool_size, timeout=self._timeout)
        try:
            await pool.start()
        except BaseException:
            await pool.stop()
            raise
        self._pool = pool

    async def stop(self) -> None:
        """Close the connections; a database that is not started stays so."""
        pool, self._pool = self._pool, None
        if pool is not None:
            await pool.stop()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.stop()

    async def create_all(self) -> None:
        """Create the tables that do not exist yet, with all others of their MetaData; change none."""
        async with self.transaction():
            for metadata in catalog.metadata_of(self._schemas.values()):
                await self.run(metadata.create_all, writes=True)

    async def drop_all(self) -> None:
        """Drop the tables, with all others of their MetaData, and everything in them."""
        async with self.transaction():
            for metadata in catalog.metadata_of(self._schemas.values()):
                await self.run(metadata.drop_all, writes=True)

    def transaction(self) -> Transaction:
        """Open a block whose statements are stored together or not at all.

        ``async with db.transaction():`` commits at its end and rolls back if it is left by an exception or
        a cancellation. Queries of this task, and of tasks started inside, join by themselves. A block in
        a block is a savepoint: it may fail and be caught while the outer one goes on.

        A cancellation during COMMIT is raised once the commit is through.

        Raises:
            DatabaseBusyError: On entering, if no connection becomes free in time.
            TransactionAbortedError: At the end, if a statement failed and its error was caught inside.
        """
        return Transaction(self._started())

    @overload
    async def execute(self, statement: TypedReturnsRows[*ColumnTs], parameters: Any = None) -> sa.Result[*ColumnTs]: ...
    @overload
    async def execute(self, statement: sa.UpdateBase, parameters: Any = None) -> sa.CursorResult[*tuple[Any, ...]]: ...
    @overload
    async def execute(self, statement: sa.Executable, parameters: Any = None) -> sa.Result[*tuple[Any, ...]]: ...

    async def execute(self, statement: sa.Executable, parameters: Any = None) -> Any:
        """Run any statement of SQLAlchemy, in the current transaction if there is one.

        Args:
            statement: Core or ORM; text goes through ``sqlalchemy.text``.
            parameters: A mapping, or a list of mappings to run an insert for each.

        Returns:
            SQLAlchemy's result, with all rows read already. Without rows it has ``rowcount``.
        """
        # Text may be anything, and then a useless turn among the writers is the safe guess.
        writes = not getattr(statement, "is_select", False)

        def work(connection: sa.Connection) -> Any:
            with Session(
                connection, autoflush=False, expire_on_commit=False, join_transaction_mode="rollback_only"
            ) as session:
                result = session.execute(statement, parameters, execution_options={"preserve_rowcount": True})
                if isinstance(result, sa.CursorResult) and not result.returns_rows:
                    return result
                return result.freeze()()

        if isinstance(parameters, (list, tuple)):
            # One statement to SQLAlchemy, possibly several to the database.
            async with self.transaction():
                return await self.run(work, writes=writes)
        return await self.run(work, writes=writes)

    # What tables need of their database.

    def insert(self, table: sa.Table) -> sqlite.Insert | postgresql.Insert:
        """Start the INSERT of this database's dialect, with ``on_conflict_do_update``."""
        return self._started().insert(table)

    async def run(self, work: Callable[[sa.Connection], ResultT], *, writes: bool) -> ResultT:
        """Call a synchronous function with a connection of SQLAlchemy, in the current transaction if any.

        Args:
            work: Sends one statement. Outside of a transaction each statement commits by itself.
            writes: Whether it may change something.

        Raises:
            DatabaseSetupError: If the database is not started.
            TransactionClosedError: If this task was started in a transaction that has ended.
        """
        pool = self._started()
        transaction = Transaction.current(pool)
        if transaction is not None:
            return await transaction.run(work)
        return await pool.run(work, writes=writes)

    def _started(self) -> Pool:
        if self._pool is None:
            raise DatabaseSetupError("the database is not started: await db.start() first")
        return self._pool


class UntypedDatabase(Database):
    """A database whose tables are known at run time only; to a type checker any attribute is a table."""

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Table[Any]: ...


@overload
def open_database(url: str, tables: type[DatabaseT], *, pool_size: int = 10, timeout: float = 10.0) -> DatabaseT: ...
@overload
def open_database(
    url: str, tables: TableSource | None = None, *, pool_size: int = 10, timeout: float = 10.0
) -> UntypedDatabase: ...


def open_database(
    url: str, tables: type[DatabaseT] | TableSource | None = None, *, pool_size: int = 10, timeout: float = 10.0
) -> Database:
    """Make the database for a URL and tables in any form; it still has to be started.

    Args:
        url: See Database.
        tables: A subclass of Database, a MetaData, a declarative base, or a list of models and tables;
            None for a database that is used by ``execute`` only.
        pool_size: See Database.
        timeout: See Database.

    Raises:
        DatabaseSetupError: If the URL or the tables are wrong.
        MissingDriverError: If the driver for the URL is not installed.
    """
    if isinstance(tables, type) and issubclass(tables, Database):
        return tables(url, pool_size=pool_size, timeout=timeout)
    return UntypedDatabase(url, tables=tables, pool_size=pool_size, timeout=timeout)
