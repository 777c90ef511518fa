"""User code that a type checker reads; test_typing.py has mypy check it, nothing runs it."""

from __future__ import annotations

from typing import Any, assert_type

import sqlalchemy as sa

from pylinkd.db import Page, Query, Table, UntypedDatabase, equals, null, open_database

from .models import Base, ChatDatabase, Message, User


async def typed(db: ChatDatabase) -> None:
    """Tables of a declared database know their rows."""
    assert_type(db.users, Table[User])
    assert_type(db.table(Message), Table[Message])
    assert_type(db.users.where_equals("id", 1).any_of(equals("age", 1), null("age")), Query[User])
    assert_type(await db.users.where_equals("id", 1).first(), User | None)
    assert_type(await db.users.where(User.age > 1).one(), User)
    assert_type(await db.users.get(), list[User])
    assert_type(await db.users.page(10), Page[User])
    assert_type(await db.users.insert(name="ann"), User)
    assert_type(await db.users.upsert({"name": "ann"}, conflict=["name"]), User)
    assert_type(await db.users.insert_many([{"name": "ann"}]), int)
    assert_type(await db.users.select("name").get(), list[sa.Row[*tuple[Any, ...]]])
    assert_type((await db.execute(sa.select(User.name, User.age))).one(), sa.Row[str, int | None])
    assert_type((await db.execute(sa.delete(User))).rowcount, int)
    db.user  # type: ignore[attr-defined]  # noqa: B018 - a misspelt table is an error
    await db.users.where_equals(1, 1).get()  # type: ignore[arg-type] # a column is a name


def opened() -> None:
    """open_database keeps the type of a declared database, and is loose about the rest."""
    assert_type(open_database("sqlite://", ChatDatabase), ChatDatabase)
    assert_type(open_database("sqlite://", Base.metadata), UntypedDatabase)
    assert_type(open_database("sqlite://", [User, Message]), UntypedDatabase)
    assert_type(open_database("sqlite://", Base.metadata).anything, Table[Any])
