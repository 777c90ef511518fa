"""Types of columns that need help on SQLite to come back as they were stored.

SQLite keeps a float without a fraction as an integer inside a column of floats, and turns it back when it is read; in
RETURNING it does not (seen with 3.40), so that an insert of 3.0 would give 3.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import sqlalchemy as sa


class _Float(sa.Float[Any]):
    def result_processor(self, dialect: Any, coltype: Any) -> Callable[[Any], Any] | None:
        return super().result_processor(dialect, coltype) or _as_float  # type: ignore[no-untyped-call]


class _Numeric(sa.Numeric[Any]):
    def result_processor(self, dialect: Any, coltype: Any) -> Callable[[Any], Any] | None:
        return super().result_processor(dialect, coltype) or _as_float  # type: ignore[no-untyped-call]


def _as_float(value: Any) -> Any:
    return float(value) if type(value) is int else value


def with_exact_floats(colspecs: Mapping[type[Any], type[Any]]) -> dict[type[Any], type[Any]]:
    """A dialect's types with those above in place of SQLAlchemy's general ones."""
    return {**colspecs, sa.Float: _Float, sa.Numeric: _Numeric}
