"""What can go wrong with the database, sorted by who can act on it.

::

    DatabaseError
    ├── DatabaseSetupError            the URL, the tables or the life cycle are wrong
    │   ├── MissingDriverError        the driver of this database is not installed
    │   └── MigrationError            the revisions, or what the database has of them, are wrong
    │       └── SchemaOutdatedError   the database lacks revisions
    ├── QueryError                    the caller misused a query; nothing was sent
    │   ├── UnknownTableError         also an AttributeError
    │   ├── UnknownColumnError
    │   └── InvalidCursorError        a page cursor that was not made by this query
    ├── RowNotFoundError              one() found no row
    ├── MultipleRowsError             one() found more than one row
    ├── InvalidValueError             a value does not fit its column's type
    ├── IntegrityConflictError        a constraint refused the rows
    │   ├── UniqueConflictError
    │   ├── ForeignKeyConflictError
    │   ├── CheckConflictError
    │   └── NotNullConflictError
    ├── TransactionError
    │   ├── TransactionClosedError    used after its block ended
    │   └── TransactionAbortedError   an earlier statement failed, nothing is stored
    ├── DatabaseBusyError             waited too long, or lost against another writer: try again
    ├── DatabaseUnavailableError      cannot connect, or the connection broke
    └── StatementError                the database refused the statement for another reason

Errors of the driver are translated in ``failures.py`` and stay reachable as ``__cause__``.
The message of a conflict names columns and constraints, never values: messages end up in logs.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class DatabaseError(Exception):
    """Base of everything this package raises on purpose.

    Attributes:
        is_transient: Whether the same may succeed when it is tried again.
    """

    is_transient: bool = False


class DatabaseSetupError(DatabaseError):
    """The URL, the declared tables or the order of start and stop is wrong."""


class MissingDriverError(DatabaseSetupError):
    """The driver for a database is not installed.

    Attributes:
        package: Name to give to pip.
    """

    def __init__(self, driver: str, package: str) -> None:
        super().__init__(f"the driver {driver} is not installed: pip install {package}")
        self.package = package


class MigrationError(DatabaseSetupError):
    """Revisions cannot be made or applied; the text says what to do."""


class SchemaOutdatedError(MigrationError):
    """The database lacks revisions that the service needs; the text says what to run."""


class QueryError(DatabaseError):
    """A query was put together wrongly; nothing was sent to the database."""


class UnknownTableError(QueryError, AttributeError):
    """There is no table of this name.

    Attributes:
        name: The name asked for. ``table`` would be the better word, but AttributeError owns ``name``.
        known: Every table name of the database.
    """

    def __init__(self, name: str, known: Iterable[str]) -> None:
        self.known = tuple(known)
        super().__init__(f"no table {name!r}; {_nearest(name, self.known)}")
        self.name = name


class UnknownColumnError(QueryError):
    """A table has no column of this name.

    Attributes:
        table: Name of the table.
        column: The name asked for.
        known: Every column name of the table.
    """

    def __init__(self, table: str, column: str, known: Iterable[str]) -> None:
        self.table = table
        self.column = column
        self.known = tuple(known)
        super().__init__(f"table {table!r} has no column {column!r}; {_nearest(column, self.known)}")


class InvalidCursorError(QueryError):
    """A page cursor is damaged, or was made by a query with another order.

    Attributes:
        reason: What is wrong with it, fit for showing to the client that sent it.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(f"invalid cursor: {reason}")
        self.reason = reason


class RowNotFoundError(DatabaseError):
    """``one()`` found no row.

    Attributes:
        table: Name of the table.
    """

    def __init__(self, table: str) -> None:
        super().__init__(f"no row of {table!r} matches, one was expected")
        self.table = table


class MultipleRowsError(DatabaseError):
    """``one()`` found more than one row.

    Attributes:
        table: Name of the table.
    """

    def __init__(self, table: str) -> None:
        super().__init__(f"more than one row of {table!r} matches, one was expected")
        self.table = table


class InvalidValueError(DatabaseError):
    """A value cannot be stored in, or compared with, its column: wrong type or out of range."""


class IntegrityConflictError(DatabaseError):
    """A constraint of the database refused the rows; nothing of the statement is stored.

    Attributes:
        constraint: Name of the constraint; None where the driver does not tell (SQLite: only of a check).
        table: Name of the table, None where the driver does not tell.
        columns: Column names as the database spells them, empty where the driver does not tell.
    """

    def __init__(
        self, *, constraint: str | None = None, table: str | None = None, columns: tuple[str, ...] = ()
    ) -> None:
        place = f"{table or 'table unknown'}({', '.join(columns)})" if columns else table or "table unknown"
        name = f", constraint {constraint}" if constraint else ""
        super().__init__(f"{self._what} on {place}{name}")
        self.constraint = constraint
        self.table = table
        self.columns = columns

    _what = "integrity conflict"


class UniqueConflictError(IntegrityConflictError):
    """A row with the same unique or primary key exists."""

    _what = "unique conflict"


class ForeignKeyConflictError(IntegrityConflictError):
    """A referenced row is missing, or a row to delete is still referenced."""

    _what = "foreign key conflict"


class CheckConflictError(IntegrityConflictError):
    """A CHECK constraint is false for the row."""

    _what = "check conflict"


class NotNullConflictError(IntegrityConflictError):
    """A column that must have a value got none."""

    _what = "not-null conflict"


class TransactionError(DatabaseError):
    """A transaction cannot do what was asked."""


class TransactionClosedError(TransactionError):
    """The transaction this task belongs to has ended.

    Raised in a task that was started inside ``async with db.transaction()`` and outlived the block.
    """

    def __init__(self) -> None:
        super().__init__(
            "this task was started inside a transaction that has ended; "
            "await it inside the block, or start it before or after the block"
        )


class TransactionAbortedError(TransactionError):
    """An earlier statement of the transaction failed, so nothing of it is stored.

    The earlier failure is the ``__cause__``.
    """

    @property
    def is_transient(self) -> bool:  # type: ignore[override]
        """Whether the earlier failure is."""
        return getattr(self.__cause__, "is_transient", False) is True

    def __init__(self) -> None:
        super().__init__(
            "an earlier statement of this transaction failed, so all of it is rolled back; "
            "to go on after a failure, put the statement into an inner `async with db.transaction():`"
        )


class DatabaseBusyError(DatabaseError):
    """The database was too busy, or chose this transaction to resolve a deadlock. Trying again is right."""

    is_transient = True


class DatabaseUnavailableError(DatabaseError):
    """The database cannot be reached, or the connection broke in the middle of a statement."""

    is_transient = True


class StatementError(DatabaseError):
    """The database refused a statement: a missing table, a syntax error, a missing permission."""


def _nearest(name: str, known: tuple[str, ...]) -> str:
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    if near:
        return f"did you mean {' or '.join(map(repr, near))}?"
    return f"known are {', '.join(map(repr, sorted(known))) or 'none'}"
