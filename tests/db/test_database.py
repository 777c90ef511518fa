"""The database itself: start and stop, its tables' names, and statements of SQLAlchemy."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from pylinkd.db import (
    Database,
    DatabaseSetupError,
    DatabaseUnavailableError,
    Table,
    UnknownTableError,
    UntypedDatabase,
    open_database,
)

from .models import Base, ChatDatabase, Message, User, reactions

MEMORY = "sqlite:///:memory:"


@pytest.mark.parametrize(
    "tables", [Base.metadata, Base, [User, Message, reactions]], ids=["metadata", "base", "sequence"]
)
async def test_tables_are_attributes(tables: sa.MetaData | type[Base] | list[type | sa.Table]) -> None:
    """Every form of declaring tables leads to attributes with the tables' names."""
    async with open_database(MEMORY, tables) as db:
        await db.create_all()
        await db.users.insert(name="ann")
        await db.reactions.insert(emoji="🎉")

        assert await db.users.count() == await db.reactions.count() == 1


async def test_models_give_instances_and_tables_rows() -> None:
    """Whoever passes models gets instances; whoever passes a MetaData gets rows."""
    async with open_database(MEMORY, Base) as by_model:
        await by_model.create_all()
        assert type(await by_model.users.insert(name="ann")) is User
    async with open_database(MEMORY, Base.metadata) as by_table:
        await by_table.create_all()
        assert isinstance(await by_table.users.insert(name="ann"), sa.Row)


async def test_open_database_makes_the_subclass_it_is_given() -> None:
    """A typed face is instantiated, anything else becomes an untyped database."""
    assert type(open_database(MEMORY, ChatDatabase)) is ChatDatabase
    assert type(open_database(MEMORY, Base)) is UntypedDatabase
    assert type(open_database(MEMORY)) is UntypedDatabase


def test_unknown_table_names_near_ones() -> None:
    """A misspelt table is an error with the likely spelling, and an AttributeError to Python."""
    db = ChatDatabase(MEMORY)

    with pytest.raises(UnknownTableError, match="did you mean 'users'"):
        db.user  # type: ignore[attr-defined]  # noqa: B018
    assert not hasattr(db, "nothing")


def test_declaration_that_hides_a_method_is_refused() -> None:
    """A table cannot be declared under the name of a method."""
    face = type("Face", (Database,), {"__annotations__": {"start": Table[User]}})

    with pytest.raises(DatabaseSetupError, match="taken"):
        face(MEMORY)


def test_declaration_without_model_is_looked_up_by_name() -> None:
    """A plain table is declared as Table[Any] and comes from tables=."""
    face = type("Face", (Database,), {"__annotations__": {"log": Table[Any]}})

    assert isinstance(face(MEMORY, tables=Base.metadata).log, Table)
    with pytest.raises(DatabaseSetupError, match="declarative model"):
        face(MEMORY)


@pytest.mark.parametrize("tables", [7, [7], User, reactions])
def test_wrong_tables_are_refused(tables: object) -> None:
    """What is no collection of tables is refused with the accepted forms."""
    with pytest.raises(DatabaseSetupError, match="tables="):
        open_database(MEMORY, tables)  # type: ignore[call-overload]


async def test_query_before_start_is_refused() -> None:
    """A forgotten start is told as such."""
    with pytest.raises(DatabaseSetupError, match=r"await db\.start\(\)"):
        await ChatDatabase(MEMORY).users.get()


async def test_database_starts_again_after_stop(db: ChatDatabase) -> None:
    """stop leaves a database that can be started; a second stop does nothing."""
    await db.stop()
    await db.stop()
    await db.start()
    await db.create_all()

    assert await db.users.count() == 0


async def test_second_start_is_refused(db: ChatDatabase) -> None:
    """A started database has one pool and no second one that nobody closes."""
    with pytest.raises(DatabaseSetupError, match="started already"):
        await db.start()


@pytest.mark.parametrize("url", ["sqlite:////nowhere/chat.db", "postgresql://u:secret@127.0.0.1:1/x"])
async def test_start_of_unreachable_database_says_so(url: str) -> None:
    """A wrong address shows at start, without the password."""
    with pytest.raises(DatabaseUnavailableError) as caught:
        await ChatDatabase(url, timeout=5).start()

    assert "secret" not in str(caught.value)


async def test_create_all_keeps_what_exists(db: ChatDatabase) -> None:
    """create_all may run at every start."""
    await db.users.insert(name="ann")
    await db.create_all()

    assert await db.users.count() == 1


async def test_execute_returns_instances_of_models(db: ChatDatabase) -> None:
    """A select of a model gives instances, read already."""
    await db.users.insert(name="ann")
    result = await db.execute(sa.select(User).where(User.name == "ann"))

    assert result.scalars().one().role == "member"


async def test_execute_returns_rows_of_any_select(db: ChatDatabase) -> None:
    """What the chain cannot say is said by a statement."""
    await db.users.insert_many([{"name": "ann", "age": 1}, {"name": "bob", "age": 1}])
    result = await db.execute(sa.select(User.age, sa.func.count()).group_by(User.age))

    assert [tuple(row) for row in result.all()] == [(1, 2)]


async def test_execute_tells_how_many_rows_changed(db: ChatDatabase) -> None:
    """A statement without rows has a rowcount."""
    await db.users.insert_many([{"name": "ann"}, {"name": "bob"}])

    assert (await db.execute(sa.update(User).values(age=1))).rowcount == 2


async def test_execute_takes_parameters(db: ChatDatabase) -> None:
    """Text is sent with bound parameters; a list runs the statement for each set, all or none."""
    insert = sa.text("INSERT INTO users (name, role) VALUES (:name, 'member')")
    await db.execute(insert, [{"name": "ann"}, {"name": "bob"}])
    found = await db.execute(sa.text("SELECT name FROM users WHERE name = :name"), {"name": "bob"})

    assert found.scalar_one() == "bob"


async def test_execute_joins_the_transaction(db: ChatDatabase) -> None:
    """A statement inside a block is undone with it."""

    async def failing() -> None:
        async with db.transaction():
            await db.execute(sa.insert(User).values(name="ann"))
            raise LookupError

    with pytest.raises(LookupError):
        await failing()
    assert await db.users.count() == 0


async def test_statements_are_compiled_once(db: ChatDatabase) -> None:
    """The same query with other values is found in SQLAlchemy's cache."""
    compiled = []

    def remember(connection: sa.Connection, cursor: object, statement: str, *rest: object) -> None:
        compiled.append(rest[1].cache_hit.name)  # type: ignore[attr-defined]

    for number in range(3):
        if number == 2:
            await db.run(lambda c: sa.event.listen(c.engine, "before_cursor_execute", remember), writes=False)
        await db.users.where_in("id", range(number + 1)).any_of(User.id == number).order_by("-age").limit(number).get()
        await db.users.upsert({"id": number, "name": f"u{number}"})
        await db.users.order_by("name").after(db.users.order_by("name").cursor(User(id=number, name="x"))).get()

    assert compiled == ["CACHE_HIT"] * 3
