"""One table as queries see it: the names of its columns, and how its rows are read.

Lives here: the difference between a declarative model and a plain ``sqlalchemy.Table``.
Elsewhere: which tables a database has (catalog.py), statements (query.py, table.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Generic, TypeVar, cast

import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, Mapper, Session

from .errors import DatabaseSetupError, QueryError, UnknownColumnError

RowT = TypeVar("RowT")


class TableSchema(Generic[RowT]):
    """The columns of a table under the names that queries use.

    For a model these are its attribute names, else the keys of the columns.

    Args:
        name: Name of the table on its database, used in messages.
        source: A declarative model that is mapped to one table, or a table.

    Raises:
        DatabaseSetupError: If a model is mapped to anything else than one table.
    """

    def __init__(self, name: str, source: type[RowT] | sa.Table) -> None:
        self.name = name
        self.model: type[RowT] | None = None if isinstance(source, sa.Table) else source
        if isinstance(source, sa.Table):
            self.table = source
            self._attributes: Mapping[str, Any] = dict(source.c.items())
            self._stored: Mapping[str, sa.Column[Any]] = dict(source.c.items())
        else:
            mapper: Mapper[RowT] = sa.inspect(source)
            if not isinstance(mapper.persist_selectable, sa.Table):
                raise DatabaseSetupError(f"model {source.__name__} is not mapped to one table; use db.execute for it")
            self.table = mapper.persist_selectable
            self._attributes = {each.key: getattr(source, each.key) for each in mapper.column_attrs}
            self._stored = {
                each.key: each.columns[0] for each in mapper.column_attrs if isinstance(each.columns[0], sa.Column)
            }
        names = {column: name for name, column in self._stored.items()}
        #: Names of the primary key's columns, empty for a table without one.
        self.primary_key: tuple[str, ...] = tuple(names[column] for column in self.table.primary_key if column in names)

    @property
    def entity(self) -> Any:
        """What to select, or to return from an insert, for a whole row."""
        return self.table if self.model is None else self.model

    def column(self, name: str) -> Any:
        """The expression for a column.

        Raises:
            UnknownColumnError: If there is no such column.
        """
        try:
            return self._attributes[name]
        except KeyError:
            raise UnknownColumnError(self.name, name, self._attributes) from None

    def stored(self, name: str) -> sa.Column[Any]:
        """The column of the table itself, as against an expression that a model computes.

        Raises:
            UnknownColumnError: If there is no such column.
        """
        try:
            return self._stored[name]
        except KeyError:
            raise UnknownColumnError(self.name, name, self._stored) from None

    def assignments(self, values: Mapping[str, Any]) -> dict[sa.Column[Any], Any]:
        """Key the values of an insert or update by column.

        Raises:
            UnknownColumnError: If a name is not a column.
        """
        return {self.stored(name): value for name, value in values.items()}

    def read(self, connection: sa.Connection, statement: sa.Executable) -> list[RowT]:
        """Run a statement that selects or returns ``entity`` and read all rows.

        Instances of a model are detached: fully loaded, and free of the connection.
        """
        if self.model is None:
            return cast("list[RowT]", connection.execute(statement).all())
        # rollback_only: closing the session leaves a transaction that is under way alone, and a session
        # inside a savepoint opens no savepoint of its own, which would cost two round trips.
        with Session(
            connection, autoflush=False, expire_on_commit=False, join_transaction_mode="rollback_only"
        ) as session:
            # unique(): a relationship with lazy="joined" repeats the row for each related one.
            return list(session.execute(statement).unique().scalars())

    def value(self, row: Any, name: str) -> Any:
        """Read a column of a row that a query returned.

        Raises:
            QueryError: If the row was selected without this column.
        """
        if isinstance(row, sa.Row):
            # By mapping: an attribute of Row such as ``count`` may shadow a column.
            try:
                return row._mapping[name]
            except KeyError:
                raise QueryError(f"the row lacks {name!r}, which the order of the query needs; select it too") from None
        return getattr(row, name)


def is_model(source: object) -> bool:
    """Whether this is a declarative model that is mapped to a table."""
    return isinstance(source, type) and sa.inspect(source, raiseerr=False) is not None


def is_declarative_base(source: object) -> bool:
    """Whether this is the common base class of models, not a model."""
    return (
        isinstance(source, type)
        and not is_model(source)
        and (issubclass(source, DeclarativeBase) or hasattr(source, "registry"))
    )
