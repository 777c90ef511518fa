"""Translation of SQLAlchemy's and the drivers' exceptions into those of errors.py.

Lives here: which SQLSTATE or SQLite code means what. Elsewhere: the errors themselves (errors.py).
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import exc

from .errors import (
    CheckConflictError,
    DatabaseBusyError,
    DatabaseError,
    DatabaseUnavailableError,
    ForeignKeyConflictError,
    IntegrityConflictError,
    InvalidValueError,
    NotNullConflictError,
    StatementError,
    TransactionAbortedError,
    UniqueConflictError,
)

# https://www.postgresql.org/docs/current/errcodes-appendix.html
_CONFLICTS_BY_SQLSTATE = {
    "23502": NotNullConflictError,
    "23503": ForeignKeyConflictError,
    "23505": UniqueConflictError,
    "23514": CheckConflictError,
}
# Serialization failure, deadlock, lock not available, too many connections.
_BUSY_SQLSTATES = {"40001", "40P01", "55P03", "53300"}
# Connection exceptions (08), shutdown (57P), authentication (28), no such database (3D).
_UNAVAILABLE_SQLSTATES = ("08", "57P", "28", "3D")

# https://www.sqlite.org/rescode.html
_CONFLICTS_BY_SQLITE_NAME = {
    "SQLITE_CONSTRAINT_NOTNULL": NotNullConflictError,
    "SQLITE_CONSTRAINT_FOREIGNKEY": ForeignKeyConflictError,
    "SQLITE_CONSTRAINT_UNIQUE": UniqueConflictError,
    "SQLITE_CONSTRAINT_PRIMARYKEY": UniqueConflictError,
    "SQLITE_CONSTRAINT_ROWID": UniqueConflictError,
    "SQLITE_CONSTRAINT_CHECK": CheckConflictError,
}


@contextmanager
def translated() -> Iterator[None]:
    """Raise a DatabaseError in place of whatever SQLAlchemy or the driver raised inside."""
    try:
        yield
    except DatabaseError:
        raise
    # OSError: a refused connection comes through SQLAlchemy unwrapped.
    except (exc.SQLAlchemyError, OSError) as error:
        raise translate(error) from error


def translate(error: Exception) -> DatabaseError:
    """Find the DatabaseError that says what ``error`` means for the caller."""
    match error:
        case exc.TimeoutError():
            return DatabaseBusyError("every connection of the pool stayed in use")
        case OSError():
            return DatabaseUnavailableError(f"cannot reach the database: {error}")
        case exc.PendingRollbackError():
            return TransactionAbortedError()
        case exc.DBAPIError():
            return _from_driver(error)
        # A type refused the value before the driver saw it; the message names the column, not the value.
        case exc.StatementError() if isinstance(error.orig, (TypeError, ValueError, ArithmeticError, LookupError)):
            return InvalidValueError(str(error.orig))
        case _:
            return StatementError(str(error))


def _from_driver(error: exc.DBAPIError) -> DatabaseError:
    # asyncpg's own exception is the cause of SQLAlchemy's imitation of a DBAPI exception.
    driver_error = error.orig
    if not isinstance(driver_error, sqlite3.Error):
        return _from_postgres(error, getattr(driver_error, "__cause__", None) or error)
    return _from_sqlite(error, driver_error)


def _from_sqlite(error: exc.DBAPIError, cause: sqlite3.Error) -> DatabaseError:
    name: str = getattr(cause, "sqlite_errorname", "")
    if isinstance(cause, sqlite3.IntegrityError):
        return _sqlite_conflict(name, str(cause))
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return DatabaseBusyError("another process keeps the SQLite file locked")
    if name.startswith(("SQLITE_CANTOPEN", "SQLITE_IOERR", "SQLITE_NOTADB", "SQLITE_CORRUPT", "SQLITE_READONLY")):
        return DatabaseUnavailableError(f"cannot use the SQLite file: {cause}")
    if error.connection_invalidated:
        return DatabaseUnavailableError(str(cause))
    if isinstance(cause, (sqlite3.DataError, sqlite3.InterfaceError)) or "binding" in str(cause):
        return InvalidValueError(str(cause))
    return StatementError(str(cause))


def _sqlite_conflict(name: str, message: str) -> IntegrityConflictError:
    # "UNIQUE constraint failed: users.email, users.name", or the bare name of a check.
    kind = _CONFLICTS_BY_SQLITE_NAME.get(name, IntegrityConflictError)
    _, _, detail = message.partition("failed: ")
    if kind is CheckConflictError:
        return kind(constraint=detail or None)
    if kind is ForeignKeyConflictError or "." not in detail:
        return kind()
    places = [place.rpartition(".") for place in detail.split(", ")]
    return kind(table=places[0][0], columns=tuple(column for _, _, column in places))


def _from_postgres(error: exc.DBAPIError, cause: BaseException) -> DatabaseError:
    state: str = getattr(cause, "sqlstate", None) or ""
    if state.startswith("23"):
        return _postgres_conflict(state, cause)
    if state in _BUSY_SQLSTATES:
        return DatabaseBusyError(str(cause))
    if state == "25P02":
        return TransactionAbortedError()
    if error.connection_invalidated or state.startswith(_UNAVAILABLE_SQLSTATES):
        return DatabaseUnavailableError(f"the connection to PostgreSQL broke: {cause}")
    if state.startswith("22"):
        return InvalidValueError(f"PostgreSQL refused a value: {type(cause).__name__}")
    # asyncpg's client side refusal of an argument is an InterfaceError that is also a ValueError. Its
    # message quotes the value, so only the place is kept.
    if isinstance(cause, (ValueError, TypeError)):
        return InvalidValueError(str(cause).partition(":")[0])
    return StatementError(str(cause))


def _postgres_conflict(state: str, cause: BaseException) -> IntegrityConflictError:
    kind = _CONFLICTS_BY_SQLSTATE.get(state, IntegrityConflictError)
    # The only place where the server lists the columns of a key: 'Key (a, b)=(1, 2) already exists.'
    key = re.match(r"Key \((.*?)\)=", getattr(cause, "detail", None) or "")
    column: str | None = getattr(cause, "column_name", None)
    columns = tuple(key[1].replace('"', "").split(", ")) if key else (column,) if column else ()
    return kind(
        constraint=getattr(cause, "constraint_name", None),
        table=getattr(cause, "table_name", None),
        columns=columns,
    )
