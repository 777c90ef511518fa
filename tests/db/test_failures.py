"""Errors of the drivers, told by what they mean to the caller."""

from __future__ import annotations

import datetime
import uuid

import pytest
import sqlalchemy as sa

from pylinkd.db import (
    CheckConflictError,
    ForeignKeyConflictError,
    InvalidValueError,
    NotNullConflictError,
    StatementError,
    UniqueConflictError,
)

from .models import ChatDatabase


async def test_second_row_with_a_key_is_a_unique_conflict(db: ChatDatabase) -> None:
    """The conflict names table and columns, keeps the original and quotes no value."""
    await db.users.insert(name="secret")

    with pytest.raises(UniqueConflictError) as caught:
        await db.users.insert(name="secret")

    assert (caught.value.table, caught.value.columns) == ("users", ("name",))
    assert isinstance(caught.value.__cause__, sa.exc.IntegrityError)
    assert "secret" not in str(caught.value)


async def test_primary_key_is_a_unique_key(db: ChatDatabase) -> None:
    """A repeated primary key is the same kind of conflict."""
    await db.users.insert(id=1, name="ann")

    with pytest.raises(UniqueConflictError) as caught:
        await db.users.insert(id=1, name="bob")
    assert caught.value.columns == ("id",)


async def test_missing_reference_is_a_foreign_key_conflict(db: ChatDatabase) -> None:
    """Foreign keys are checked, on SQLite too."""
    with pytest.raises(ForeignKeyConflictError):
        await db.messages.insert(author=99, sent=datetime.datetime(2026, 1, 1), text="hi")


async def test_false_check_is_a_check_conflict(db: ChatDatabase) -> None:
    """The conflict names the constraint."""
    with pytest.raises(CheckConflictError) as caught:
        await db.users.insert(name="ann", age=-1)
    assert caught.value.constraint == "age_is_not_negative"


async def test_missing_value_is_a_not_null_conflict(db: ChatDatabase) -> None:
    """The conflict names the column."""
    with pytest.raises(NotNullConflictError) as caught:
        await db.users.insert(age=1)
    assert (caught.value.table, caught.value.columns) == ("users", ("name",))


async def test_update_conflicts_too(db: ChatDatabase) -> None:
    """Constraints hold for changes as for new rows, and nothing is changed."""
    await db.users.insert_many([{"name": "ann"}, {"name": "bob"}])

    with pytest.raises(UniqueConflictError):
        await db.users.where_equals("name", "bob").update(name="ann")
    assert await db.users.where_equals("name", "bob").exists()


async def test_value_of_wrong_type_is_an_invalid_value(db: ChatDatabase) -> None:
    """A type that does not fit is the caller's fault, and no failure of the database."""
    with pytest.raises(InvalidValueError):
        await db.messages.insert(id=uuid.uuid4(), author=1, sent="yesterday", text="hi")
    with pytest.raises(InvalidValueError):
        await db.users.insert(name=object())


async def test_missing_table_is_a_statement_error(db: ChatDatabase) -> None:
    """What the database refuses for other reasons is told in its words."""
    with pytest.raises(StatementError, match="nowhere"):
        await db.execute(sa.text("SELECT * FROM nowhere"))
