"""Adding rows: single, many, and in place of those that exist."""

from __future__ import annotations

import datetime
import uuid

import pytest
import sqlalchemy as sa

from pylinkd.db import QueryError, UniqueConflictError, UnknownColumnError

from .models import ChatDatabase, Message


async def test_insert_returns_the_row_as_stored(db: ChatDatabase) -> None:
    """Defaults and generated keys are filled in."""
    user = await db.users.insert(name="ann", notes="hello")
    assert (user.id, user.role, user.age, user.notes) == (1, "member", None, "hello")


async def test_insert_into_plain_table_returns_a_row(db: ChatDatabase) -> None:
    """A table without a model gives rows of SQLAlchemy, with defaults of the server."""
    row = await db.table("reactions").insert(emoji="🎉")
    assert (type(row), row.emoji, row._mapping["count"]) == (sa.Row, "🎉", 1)


async def test_insert_runs_defaults_written_in_python(db: ChatDatabase) -> None:
    """A default that the model computes is applied."""
    user = await db.users.insert(name="ann")
    message = await db.messages.insert(author=user.id, sent=datetime.datetime(2026, 1, 1), text="hi")

    assert isinstance(message.id, uuid.UUID)


async def test_insert_takes_a_mapping(db: ChatDatabase) -> None:
    """Columns whose names are no keywords go in a mapping; both ways may be mixed."""
    user = await db.users.insert({"name": "ann"}, age=3)
    assert (user.name, user.age) == ("ann", 3)


async def test_insert_refuses_unknown_columns(db: ChatDatabase) -> None:
    """A misspelt column is not silently dropped."""
    with pytest.raises(UnknownColumnError):
        await db.users.insert(nam="ann")


async def test_insert_many_has_no_limit_of_parameters(db: ChatDatabase) -> None:
    """More values than either database takes in one statement are stored."""
    rows = [{"name": f"user {number}", "age": number, "notes": "n"} for number in range(25_000)]

    assert await db.users.insert_many(rows) == 25_000
    assert await db.users.count() == 25_000


async def test_insert_many_takes_rows_with_different_columns(db: ChatDatabase) -> None:
    """A column left out gets its default in that row alone."""
    await db.users.insert_many([{"name": "ann", "role": "admin"}, {"name": "bob"}, {"name": "cid", "age": 2}])

    rows = await db.users.select("name", "role", "age").order_by("name").get()
    assert [tuple(row) for row in rows] == [
        ("ann", "admin", None),
        ("bob", "member", None),
        ("cid", "member", 2),
    ]


async def test_insert_many_stores_all_or_none(db: ChatDatabase) -> None:
    """One refused row takes the others with it."""
    with pytest.raises(UniqueConflictError):
        await db.users.insert_many([{"name": "ann"}, {"name": "bob", "age": 1}, {"name": "ann"}])

    assert await db.users.count() == 0


async def test_insert_many_of_nothing_does_nothing(db: ChatDatabase) -> None:
    """An empty list is no mistake."""
    assert await db.users.insert_many([]) == 0


async def test_upsert_adds_a_missing_row(db: ChatDatabase) -> None:
    """Without a row of the same key, upsert is insert."""
    user = await db.users.upsert({"name": "ann", "age": 1}, conflict=["name"])
    assert (user.id, user.age) == (1, 1)


async def test_upsert_changes_the_existing_row(db: ChatDatabase) -> None:
    """The columns given are changed and the others kept."""
    first = await db.users.insert(name="ann", age=1, notes="kept")
    second = await db.users.upsert({"name": "ann", "age": 2}, conflict=["name"])

    assert (second.id, second.age, second.notes) == (first.id, 2, "kept")
    assert await db.users.count() == 1


async def test_upsert_decides_by_primary_key(db: ChatDatabase) -> None:
    """Without conflict= the primary key decides."""
    await db.users.insert(id=7, name="ann")
    assert (await db.users.upsert({"id": 7, "name": "eve"})).name == "eve"


async def test_upsert_with_empty_update_keeps_the_row(db: ChatDatabase) -> None:
    """update=[] means get or create; the existing row is returned."""
    await db.users.insert(name="ann", age=1)
    assert (await db.users.upsert({"name": "ann", "age": 2}, conflict=["name"], update=[])).age == 1


async def test_upsert_maps_attributes_to_columns(db: ChatDatabase) -> None:
    """An attribute named unlike its column is changed too."""
    await db.users.insert(name="ann", notes="old")
    assert (await db.users.upsert({"name": "ann", "notes": "new"}, conflict=["name"])).notes == "new"


async def test_upsert_without_key_is_refused(db: ChatDatabase) -> None:
    """A table without a primary key, or values without the key, cannot decide."""
    with pytest.raises(QueryError, match="no primary key"):
        await db.table("log").upsert({"line": "x"})
    with pytest.raises(QueryError, match="no value for 'name'"):
        await db.users.upsert({"age": 1}, conflict=["name"])


async def test_table_is_found_by_model(db: ChatDatabase) -> None:
    """table() takes a model as well as a name."""
    assert await db.table(Message).count() == 0
