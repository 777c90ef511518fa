"""Reading a table page by page: the order of rows, and the cursor that marks a place in it.

A cursor names the values of the last row's order columns, so a page starts behind that row whatever
was inserted or deleted meanwhile; an offset would repeat or skip rows. It is opaque to clients but
not secret and not signed: a forged one moves the start of a page, and never widens the conditions
of the query, which are not in it.

Lives here: order keys, encoding, the condition "behind this row". Elsewhere: queries (query.py).
"""

from __future__ import annotations

import base64
import binascii
import datetime
import decimal
import json
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sqlalchemy import ColumnElement, and_, false, literal, or_, tuple_

from .errors import InvalidCursorError, QueryError
from .schema import TableSchema

RowT = TypeVar("RowT")

# Tag on the wire: type, to text, from text. JSON itself carries str, int, float, bool and None.
# datetime stands before date, whose subclass it is.
_TAGGED: dict[str, tuple[type, Callable[[Any], str], Callable[[str], Any]]] = {
    "t": (datetime.datetime, datetime.datetime.isoformat, datetime.datetime.fromisoformat),
    "d": (datetime.date, datetime.date.isoformat, datetime.date.fromisoformat),
    "u": (uuid.UUID, str, uuid.UUID),
    "n": (decimal.Decimal, str, decimal.Decimal),
    "b": (bytes, bytes.hex, bytes.fromhex),
}


@dataclass(frozen=True, slots=True)
class Page(Generic[RowT]):
    """Some rows, and how to go on behind them.

    Attributes:
        rows: At most as many as asked for, in the order of the query.
        next: Cursor for the following page, None when this is the last one.
    """

    rows: list[RowT]
    next: str | None


@dataclass(frozen=True, slots=True)
class OrderKey:
    """One column of an order.

    Attributes:
        column: Name of the column.
        descending: Largest first.
    """

    column: str
    descending: bool = False

    @classmethod
    def parse(cls, text: str) -> OrderKey:
        """Read ``"created_at"`` as ascending and ``"-created_at"`` as descending."""
        return cls(text.removeprefix("-"), text.startswith("-"))

    def __str__(self) -> str:
        return f"-{self.column}" if self.descending else self.column

    def clause(self, schema: TableSchema[Any]) -> Any:
        """Express the key for ORDER BY.

        NULL counts as largest, as PostgreSQL and its indexes have it. SQLite thinks the opposite, so
        a column that may be NULL says it explicitly.
        """
        column = schema.column(self.column)
        ordered = column.desc() if self.descending else column.asc()
        if not self.nullable(schema):
            return ordered
        return ordered.nulls_first() if self.descending else ordered.nulls_last()

    def nullable(self, schema: TableSchema[Any]) -> bool:
        """Whether rows may have NULL in the column; an expression might always."""
        return bool(getattr(schema.column(self.column), "nullable", True))


def total_order(schema: TableSchema[Any], keys: Sequence[OrderKey]) -> tuple[OrderKey, ...]:
    """Add the primary key, so that no two rows rank equally.

    It takes the direction of the last key: an index over all of them can then be read in one sweep.
    """
    named = {key.column for key in keys}
    descending = keys[-1].descending if keys else False
    return (*keys, *(OrderKey(name, descending) for name in schema.primary_key if name not in named))


def encode_cursor(schema: TableSchema[Any], order: Sequence[OrderKey], row: Any) -> str:
    """Mark the place of a row in an order.

    Raises:
        QueryError: If the table has no primary key, a value has no form in a cursor, or the row was
            selected without a column of the order.
    """
    _require_primary_key(schema)
    values = [_to_wire(key.column, schema.value(row, key.column)) for key in order]
    text = json.dumps([_signature(schema, order), *values], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def behind(schema: TableSchema[Any], order: Sequence[OrderKey], cursor: str) -> ColumnElement[bool]:
    """Condition for the rows that follow the cursor's row in an order.

    Raises:
        InvalidCursorError: If the cursor is damaged or belongs to another table or order.
        QueryError: If the table has no primary key.
    """
    _require_primary_key(schema)
    values = _decode(schema, order, cursor)
    columns = [schema.column(key.column) for key in order]
    if len({key.descending for key in order}) == 1 and not any(key.nullable(schema) for key in order):
        # The comparison of whole rows is the one form that PostgreSQL answers from one range of an index.
        place = tuple_(*(literal(value, column.type) for value, column in zip(values, columns, strict=True)))
        return tuple_(*columns) < place if order[0].descending else tuple_(*columns) > place
    steps = []
    same: list[ColumnElement[bool]] = []
    for key, column, value in zip(order, columns, values, strict=True):
        steps.append(and_(*same, _follows(key, column, value, key.nullable(schema))))
        same.append(column.is_(None) if value is None else column == value)
    return or_(*steps)


def _follows(key: OrderKey, column: Any, value: Any, nullable: bool) -> ColumnElement[bool]:
    if key.descending:
        return column.is_not(None) if value is None else column < value  # type: ignore[no-any-return]
    if value is None:
        return false()
    return or_(column > value, column.is_(None)) if nullable else column > value


def _require_primary_key(schema: TableSchema[Any]) -> None:
    if not schema.primary_key:
        raise QueryError(f"table {schema.name!r} has no primary key, so a cursor cannot tell its rows apart")


def _signature(schema: TableSchema[Any], order: Sequence[OrderKey]) -> str:
    return f"{schema.name}:{','.join(map(str, order))}"


def _decode(schema: TableSchema[Any], order: Sequence[OrderKey], cursor: str) -> list[Any]:
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        content = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (ValueError, binascii.Error, TypeError, RecursionError):
        raise InvalidCursorError("it is not a cursor") from None
    match content:
        case [str() as signature, *wired] if signature == _signature(schema, order):
            if len(wired) != len(order):
                raise InvalidCursorError("it is damaged")
            return [_from_wire(schema, key, wire) for key, wire in zip(order, wired, strict=True)]
        case [str(), *_]:
            raise InvalidCursorError("it was made for another table or order")
        case _:
            raise InvalidCursorError("it is damaged")


def _to_wire(column: str, value: Any) -> Any:
    if value is None or type(value) in (str, int, float, bool):
        return value
    for tag, (kind, write, _) in _TAGGED.items():
        # isinstance, because asyncpg has its own subclass of UUID.
        if isinstance(value, kind):
            return [tag, write(value)]
    raise QueryError(f"column {column!r} has values of {type(value).__name__}, which a cursor cannot hold")


def _from_wire(schema: TableSchema[Any], key: OrderKey, wire: Any) -> Any:
    match wire:
        case [str() as tag, str() as text] if tag in _TAGGED:
            try:
                value = _TAGGED[tag][2](text)
            except (ValueError, ArithmeticError):
                raise InvalidCursorError("it is damaged") from None
        case None | bool() | int() | float() | str():
            value = wire
        case _:
            raise InvalidCursorError("it is damaged")
    if value is None:
        if not key.nullable(schema):
            raise InvalidCursorError("it is damaged")
    elif not _fits(value, schema.column(key.column).type):
        raise InvalidCursorError(f"its value for {key.column!r} has the wrong type")
    return value


def _fits(value: Any, column_type: Any) -> bool:
    # The driver would refuse a wrong type too, but as the fault of the caller instead of the cursor.
    try:
        expected = column_type.python_type
    except NotImplementedError:
        return True
    if expected is object:
        return True  # a TypeDecorator, which says no more
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return False
    return type(value) is expected or (expected in (float, decimal.Decimal) and type(value) in (int, float))
