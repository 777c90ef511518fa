"""A table of a database: the query over all its rows, and the ways to add rows.

Elsewhere: conditions, reading, update and delete (query.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from itertools import groupby
from typing import Any, Protocol, TypeVar

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from .errors import QueryError
from .query import Query, Runner
from .schema import TableSchema

RowT = TypeVar("RowT")


class Owner(Runner, Protocol):
    """What a table needs of the database it belongs to."""

    @property
    def insert(self) -> Callable[[sa.Table], sqlite.Insert | postgresql.Insert]:
        """The dialect's INSERT, which knows ON CONFLICT."""
        ...

    def transaction(self) -> AbstractAsyncContextManager[object]:
        """Open a transaction, or a savepoint inside one."""
        ...


class Table(Query[RowT]):
    """A table of a database; queries start here."""

    __slots__ = ("_owner",)

    def __init__(self, owner: Owner, schema: TableSchema[RowT]) -> None:
        super().__init__(owner, schema)
        self._owner = owner

    async def insert(self, values: Mapping[str, Any] | None = None, /, **columns: Any) -> RowT:
        """Add a row and return it as stored, with defaults filled in.

        Args:
            values: Values by column, for names that are no keyword; joined with ``columns``.

        Raises:
            UniqueConflictError: If a row with the same key exists.
            IntegrityConflictError: If another constraint refuses the row.
        """
        assignments = self._schema.assignments({**(values or {}), **columns})
        statement = sa.insert(self._schema.table).values(assignments)
        return await self._store(statement)

    async def insert_many(self, rows: Iterable[Mapping[str, Any]]) -> int:
        """Add rows, all or none, and return how many.

        The rows are not returned: sending them by one prepared statement has no limit on their number
        and is several times faster. Rows may leave out different columns; neighbours with the same
        columns go together.

        Raises:
            IntegrityConflictError: If a constraint refuses one of them; none is stored.
        """
        listed = [self._schema.assignments(row) for row in rows]
        if not listed:
            return 0
        table = self._schema.table
        async with self._owner.transaction():
            for columns, group in groupby(listed, key=frozenset[sa.Column[Any]]):
                if not columns:
                    for _ in group:
                        await self._owner.run(lambda c: c.execute(sa.insert(table).values({})), writes=True)
                    continue
                # By key, not by column: executemany of SQLAlchemy takes names only.
                batch = [{column.key: value for column, value in each.items()} for each in group]
                await self._owner.run(lambda c, batch=batch: c.execute(sa.insert(table), batch), writes=True)  # type: ignore[misc]
        return len(listed)

    async def upsert(
        self,
        values: Mapping[str, Any],
        *,
        conflict: Sequence[str] | None = None,
        update: Sequence[str] | None = None,
    ) -> RowT:
        """Add a row, or change the one with the same key; return it as stored.

        Args:
            values: Values by column.
            conflict: Columns of the unique key that decides; by default the primary key.
            update: Columns to change in an existing row; all of ``values`` but ``conflict`` by default.
                With an empty list the existing row stays as it is. ``onupdate`` defaults do not fire.

        Raises:
            QueryError: If the table has no primary key and ``conflict`` is missing, or a column of
                ``conflict`` or ``update`` has no value.
            IntegrityConflictError: If another constraint refuses the row.
        """
        key = tuple(conflict) if conflict is not None else self._schema.primary_key
        if not key:
            raise QueryError(f"upsert() into {self._schema.name!r} needs conflict=[...]: it has no primary key")
        changed = tuple(update) if update is not None else tuple(name for name in values if name not in key)
        assignments = self._schema.assignments(values)
        for name in (*key, *changed):
            self._schema.stored(name)
            if name not in values:
                raise QueryError(f"upsert() has no value for {name!r}")
        statement = self._owner.insert(self._schema.table).values(assignments)
        # With nothing to change the key is set to itself: DO NOTHING would return no row.
        columns = [self._schema.stored(name) for name in changed or key]
        statement = statement.on_conflict_do_update(
            index_elements=[self._schema.stored(name) for name in key],
            set_={column: statement.excluded[column.key] for column in columns},
        )
        return await self._store(statement)

    async def _store(self, statement: sa.Insert) -> RowT:
        schema = self._schema
        returning = statement.returning(schema.table)
        source: sa.Executable = returning
        if schema.model is not None:
            source = sa.select(schema.model).from_statement(returning)
        rows = await self._runner.run(lambda connection: schema.read(connection, source), writes=True)
        stored: RowT = rows[0]
        return stored
