"""Queries over one table: chained, immutable, and sent by the method that ends the chain.

Lives here: conditions, order, paging, reading, update and delete of what matches.
Elsewhere: adding rows (table.py), conditions as values (conditions.py), cursors (pagination.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

import sqlalchemy as sa

from . import conditions as when
from .errors import MultipleRowsError, QueryError, RowNotFoundError
from .pagination import OrderKey, Page, behind, encode_cursor, total_order
from .schema import TableSchema

if TYPE_CHECKING:
    from .conditions import Criterion

RowT = TypeVar("RowT")
ResultT = TypeVar("ResultT")

_ONE: sa.ColumnElement[int] = sa.literal_column("1")


class Runner(Protocol):
    """What a query needs of the database it belongs to."""

    async def run(self, work: Callable[[sa.Connection], ResultT], *, writes: bool) -> ResultT:
        """Call ``work`` with a connection: that of the current transaction, else one from the pool."""
        ...


@dataclass(frozen=True, slots=True)
class Selection:
    """Which rows, which columns and in which order; everything a query has collected."""

    conditions: tuple[sa.ColumnElement[bool], ...] = ()
    columns: tuple[str, ...] = ()
    order: tuple[OrderKey, ...] = ()
    limit: int | None = None
    offset: int | None = None
    after: str | None = None


class Query(Generic[RowT]):
    """Rows of one table that match some conditions.

    Every chained method returns a new query, so a query may be kept and extended in two ways. Values
    are always sent as bound parameters. Methods that take a column raise UnknownColumnError at once.
    """

    __slots__ = ("_runner", "_schema", "_selection")

    def __init__(self, runner: Runner, schema: TableSchema[Any], selection: Selection | None = None) -> None:
        self._runner = runner
        self._schema = schema
        self._selection = selection or Selection()

    # Conditions. Several of them must hold together.

    def where(self, *criteria: Criterion) -> Query[RowT]:
        """Keep rows for which all of these hold: conditions, or expressions of SQLAlchemy."""
        added = tuple(when.bound(each, self._schema) for each in criteria)
        return self._with(conditions=self._selection.conditions + added)

    def any_of(self, *criteria: Criterion) -> Query[RowT]:
        """Keep rows for which at least one of these holds.

        Example: ``db.users.any_of(equals("role", "admin"), null("banned_at"))``
        """
        return self.where(when.any_of(*criteria))

    def where_equals(self, column: str, value: Any) -> Query[RowT]:
        """Keep rows in which the column has this value.

        Raises:
            QueryError: If the value is None; see ``where_null`` and ``where_equals_if``.
        """
        return self.where(when.equals(column, value))

    def where_equals_if(self, column: str, value: Any | None) -> Query[RowT]:
        """Like ``where_equals``, and no condition at all when the value is None: an optional filter."""
        if value is None:
            self._schema.column(column)  # a misspelt name shows even while the filter is unused
            return self
        return self.where_equals(column, value)

    def where_not(self, column: str, value: Any) -> Query[RowT]:
        """Keep rows in which the column has another value; as in SQL, NULL does not match."""
        return self.where(when.not_equals(column, value))

    def where_in(self, column: str, values: Iterable[Any]) -> Query[RowT]:
        """Keep rows in which the column has one of these values; none of them for an empty list."""
        return self.where(when.is_in(column, values))

    def where_lt(self, column: str, value: Any) -> Query[RowT]:
        """Keep rows in which the column is less than the value."""
        return self.where(when.lt(column, value))

    def where_lte(self, column: str, value: Any) -> Query[RowT]:
        """Keep rows in which the column is less than the value or equals it."""
        return self.where(when.lte(column, value))

    def where_gt(self, column: str, value: Any) -> Query[RowT]:
        """Keep rows in which the column is greater than the value."""
        return self.where(when.gt(column, value))

    def where_gte(self, column: str, value: Any) -> Query[RowT]:
        """Keep rows in which the column is greater than the value or equals it."""
        return self.where(when.gte(column, value))

    def where_like(self, column: str, pattern: str) -> Query[RowT]:
        """Keep rows in which the column matches a pattern of ``%`` and ``_``; see ``conditions.like``."""
        return self.where(when.like(column, pattern))

    def where_null(self, column: str) -> Query[RowT]:
        """Keep rows in which the column is NULL."""
        return self.where(when.null(column))

    def where_not_null(self, column: str) -> Query[RowT]:
        """Keep rows in which the column is not NULL."""
        return self.where(when.not_null(column))

    # Shape and order.

    def select(self, *columns: str) -> Query[sa.Row[*tuple[Any, ...]]]:
        """Read only these columns; the rows are then ``sqlalchemy.Row`` with the columns as attributes."""
        if not columns:
            raise QueryError("select() needs the name of a column")
        for column in columns:
            self._schema.column(column)
        return Query(self._runner, self._schema, replace(self._selection, columns=columns))

    def order_by(self, *columns: str) -> Query[RowT]:
        """Sort by these columns, after those of earlier calls; ``"-created_at"`` puts the largest first.

        NULL counts as largest on both databases. The primary key decides between equal rows, so the
        order is always the same.
        """
        keys = tuple(OrderKey.parse(column) for column in columns)
        for key in keys:
            self._schema.column(key.column)
        return self._with(order=self._selection.order + keys)

    def limit(self, count: int) -> Query[RowT]:
        """Read at most this many rows.

        Raises:
            QueryError: If it is not a whole number of at least 0.
        """
        return self._with(limit=_whole("limit", count))

    def offset(self, count: int) -> Query[RowT]:
        """Skip this many rows. For pages use ``page`` or ``after``, which stay fast and exact.

        Raises:
            QueryError: If it is not a whole number of at least 0.
        """
        return self._with(offset=_whole("offset", count))

    def after(self, cursor: str) -> Query[RowT]:
        """Start behind the row a cursor was made of, in the order of the query (else the primary key).

        A cursor that does not fit raises InvalidCursorError when the query is sent, since
        ``order_by`` may still follow.
        """
        return self._with(after=cursor)

    def cursor(self, row: RowT) -> str:
        """Mark the place of a row of this query, for ``after`` of a query with the same order.

        Raises:
            QueryError: If the table has no primary key, or ``select`` left out a column of the order.
        """
        return encode_cursor(self._schema, self._total_order(), row)

    # Reading. A cancelled read leaves nothing behind.

    async def get(self) -> list[RowT]:
        """Read all matching rows."""
        schema, statement = self._schema, self._statement()
        if self._selection.columns:
            return await self._runner.run(lambda connection: _rows(connection, statement), writes=False)
        return await self._runner.run(lambda connection: schema.read(connection, statement), writes=False)

    async def first(self) -> RowT | None:
        """Read the first matching row; without ``order_by`` whichever the database finds first."""
        rows = await self.limit(1).get()
        return rows[0] if rows else None

    async def one(self) -> RowT:
        """Read the one matching row.

        Raises:
            RowNotFoundError: If no row matches.
            MultipleRowsError: If more than one row matches.
        """
        rows = await self.limit(2).get()
        if not rows:
            raise RowNotFoundError(self._schema.name)
        if len(rows) > 1:
            raise MultipleRowsError(self._schema.name)
        return rows[0]

    async def page(self, size: int, after: str | None = None) -> Page[RowT]:
        """Read one page of ``size`` rows, from the start or behind a cursor.

        Raises:
            QueryError: If the size is below 1, or the table has no primary key.
            InvalidCursorError: If the cursor was not made by a query with this order.
        """
        if _whole("page size", size) < 1:
            raise QueryError("page size must be at least 1")
        query = self if after is None else self.after(after)
        # One row more than asked for tells whether there is a next page, without counting.
        rows = await query._with(order=self._total_order(), limit=size + 1).get()
        return Page(rows[:size], self.cursor(rows[size - 1]) if len(rows) > size else None)

    async def count(self) -> int:
        """Count the matching rows, within ``limit`` and ``offset`` if they are set."""
        selection = self._selection
        statement: sa.Select[Any]
        if selection.limit is None and selection.offset is None:
            statement = self._filtered(sa.select(sa.func.count()).select_from(self._schema.entity))
        else:
            part = self._sliced(self._filtered(sa.select(_ONE).select_from(self._schema.entity)))
            statement = sa.select(sa.func.count()).select_from(part.subquery())
        rows = await self._runner.run(lambda connection: _rows(connection, statement), writes=False)
        number: int = rows[0][0]
        return number

    async def exists(self) -> bool:
        """Tell whether at least one row matches."""
        statement = self._sliced(self._filtered(sa.select(_ONE).select_from(self._schema.entity))).limit(1)
        return bool(await self._runner.run(lambda connection: _rows(connection, statement), writes=False))

    # Changing.

    async def update(self, values: dict[str, Any] | None = None, /, *, all_rows: bool = False, **columns: Any) -> int:
        """Change columns of every matching row.

        Args:
            values: New values by column, for names that are no keyword; joined with ``columns``. A value
                may be an expression of SQLAlchemy: ``update(score=Player.score + 1)``.
            all_rows: Must be True for a query without a condition.

        Returns:
            How many rows matched.

        Raises:
            QueryError: Without values, without a condition, or with ``limit``, ``offset`` or ``after``.
            IntegrityConflictError: If a constraint refuses the new values.
        """
        self._require_changeable("update", all_rows)
        assignments = self._schema.assignments({**(values or {}), **columns})
        if not assignments:
            raise QueryError("update() needs at least one column")
        statement = sa.update(self._schema.table).where(*self._selection.conditions).values(assignments)
        return await self._change(statement)

    async def delete(self, *, all_rows: bool = False) -> int:
        """Delete every matching row.

        Args:
            all_rows: Must be True for a query without a condition.

        Returns:
            How many rows were deleted.

        Raises:
            QueryError: Without a condition, or with ``limit``, ``offset`` or ``after``.
            ForeignKeyConflictError: If another row refers to one of them.
        """
        self._require_changeable("delete", all_rows)
        return await self._change(sa.delete(self._schema.table).where(*self._selection.conditions))

    async def _change(self, statement: sa.Update | sa.Delete) -> int:
        return await self._runner.run(lambda connection: connection.execute(statement).rowcount, writes=True)

    def _require_changeable(self, verb: str, all_rows: bool) -> None:
        selection = self._selection
        if selection.limit is not None or selection.offset is not None or selection.after is not None:
            raise QueryError(f"{verb}() changes every matching row; it cannot follow limit, offset or after")
        if not selection.conditions and not all_rows:
            raise QueryError(f"{verb}() without a condition would change the whole table; if so, {verb}(all_rows=True)")

    def _with(self, **changes: Any) -> Query[RowT]:
        return Query(self._runner, self._schema, replace(self._selection, **changes))

    def _total_order(self) -> tuple[OrderKey, ...]:
        return total_order(self._schema, self._selection.order)

    def _statement(self) -> sa.Select[Any]:
        columns = self._selection.columns
        entities = [self._schema.column(name).label(name) for name in columns] or [self._schema.entity]
        statement = self._filtered(sa.select(*entities))
        if self._selection.order or self._selection.after is not None:
            statement = statement.order_by(*(key.clause(self._schema) for key in self._total_order()))
        return self._sliced(statement)

    def _filtered(self, statement: sa.Select[Any]) -> sa.Select[Any]:
        statement = statement.where(*self._selection.conditions)
        if self._selection.after is not None:
            statement = statement.where(behind(self._schema, self._total_order(), self._selection.after))
        return statement

    def _sliced(self, statement: sa.Select[Any]) -> sa.Select[Any]:
        return statement.limit(self._selection.limit).offset(self._selection.offset)


def _rows(connection: sa.Connection, statement: sa.Select[Any]) -> list[Any]:
    return list(connection.execute(statement).all())


def _whole(what: str, number: Any) -> int:
    # bool is an int to Python, and limit(True) a slip of the pen.
    if not isinstance(number, int) or isinstance(number, bool) or number < 0:
        raise QueryError(f"{what} must be a whole number of at least 0, got {number!r}")
    return number
