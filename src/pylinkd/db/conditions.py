"""Conditions as values, for the places where ``where_*`` of a query is not enough.

Lives here: the functions that make a condition (``equals``, ``null``, ``any_of`` …).
Elsewhere: the chained ``where_*`` methods (query.py), which are made of these functions, and the
names of columns (schema.py).
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

from sqlalchemy import ColumnElement, and_, or_

from .errors import QueryError
from .schema import TableSchema

#: What ``where``, ``any_of`` and ``all_of`` take: a condition of this module, or an expression of
#: SQLAlchemy such as ``User.age > 17``.
Criterion: TypeAlias = "Condition | ColumnElement[bool]"


class Condition:
    """A test on the columns of a row, not yet bound to a table."""

    __slots__ = ("_build",)

    def __init__(self, build: Callable[[TableSchema[Any]], ColumnElement[bool]]) -> None:
        self._build = build

    def bind(self, schema: TableSchema[Any]) -> ColumnElement[bool]:
        """Express the condition in the columns of a table.

        Raises:
            UnknownColumnError: If the table lacks a column of the condition.
        """
        return self._build(schema)


def equals(column: str, value: Any) -> Condition:
    """The column has this value; for None say ``null``."""
    return _comparison("equals", operator.eq, column, value)


def not_equals(column: str, value: Any) -> Condition:
    """The column has another value. As in SQL, a row in which it is NULL does not match."""
    return _comparison("not_equals", operator.ne, column, value)


def lt(column: str, value: Any) -> Condition:
    """The column is less than the value."""
    return _comparison("lt", operator.lt, column, value)


def lte(column: str, value: Any) -> Condition:
    """The column is less than the value or equals it."""
    return _comparison("lte", operator.le, column, value)


def gt(column: str, value: Any) -> Condition:
    """The column is greater than the value."""
    return _comparison("gt", operator.gt, column, value)


def gte(column: str, value: Any) -> Condition:
    """The column is greater than the value or equals it."""
    return _comparison("gte", operator.ge, column, value)


def is_in(column: str, values: Iterable[Any]) -> Condition:
    """The column has one of these values; an empty list matches no row."""
    listed = _listed("is_in", column, values)
    return Condition(lambda schema: schema.column(column).in_(listed))


def not_in(column: str, values: Iterable[Any]) -> Condition:
    """The column has a value, and none of these; an empty list matches every row, also with NULL."""
    listed = _listed("not_in", column, values)
    return Condition(lambda schema: schema.column(column).not_in(listed))


def like(column: str, pattern: str) -> Condition:
    r"""The column matches a pattern, case-sensitively on both databases.

    ``%`` stands for any characters, ``_`` for one; a backslash takes the meaning from the next
    character. Text of a user goes through ``escape_like`` first.
    """
    return Condition(lambda schema: schema.column(column).like(pattern, escape="\\"))


def null(column: str) -> Condition:
    """The column is NULL."""
    return Condition(lambda schema: schema.column(column).is_(None))


def not_null(column: str) -> Condition:
    """The column is not NULL."""
    return Condition(lambda schema: schema.column(column).is_not(None))


def any_of(*conditions: Criterion) -> Condition:
    """At least one of the conditions holds.

    Raises:
        QueryError: Without a condition; matching nothing and matching everything are both bad guesses.
    """
    if not conditions:
        raise QueryError("any_of() needs at least one condition")
    return Condition(lambda schema: or_(*(bound(each, schema) for each in conditions)))


def all_of(*conditions: Criterion) -> Condition:
    """Every condition holds; for use inside ``any_of``.

    Raises:
        QueryError: Without a condition.
    """
    if not conditions:
        raise QueryError("all_of() needs at least one condition")
    return Condition(lambda schema: and_(*(bound(each, schema) for each in conditions)))


def escape_like(text: str) -> str:
    r"""Take the special meaning from ``%``, ``_`` and backslash.

    Example: ``where_like("name", f"%{escape_like(typed)}%")`` finds what the user typed, literally.
    """
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def bound(criterion: Criterion, schema: TableSchema[Any]) -> ColumnElement[bool]:
    """Express a condition in the columns of a table; an expression of SQLAlchemy already is."""
    return criterion.bind(schema) if isinstance(criterion, Condition) else criterion


def _comparison(name: str, compare: Callable[[Any, Any], ColumnElement[bool]], column: str, value: Any) -> Condition:
    if value is None:
        # IS NULL would be a guess: a missing id must not silently select the rows without one.
        raise QueryError(
            f"{name}({column!r}, None): compare with null({column!r}) or where_null, "
            "or skip the condition with where_equals_if"
        )
    return Condition(lambda schema: compare(schema.column(column), value))


def _listed(name: str, column: str, values: Iterable[Any]) -> list[Any]:
    if isinstance(values, (str, bytes)):
        raise QueryError(f"{name}({column!r}, ...) needs a list of values, got one {type(values).__name__}")
    listed = list(values)
    if None in listed:
        raise QueryError(f"{name}({column!r}, ...) contains None, which never matches in SQL; add null({column!r})")
    return listed
