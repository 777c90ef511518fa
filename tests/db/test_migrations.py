"""Revisions of tables, on both databases: made, applied, compared, and found missing at a start."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import pytest
import sqlalchemy as sa

from pylinkd.db import Database, DatabaseBusyError, MigrationError, SchemaOutdatedError, open_database
from pylinkd.db.address import parse_url
from pylinkd.db.migration_connection import migration_connection
from pylinkd.db.migrations import Migrations

pytestmark = pytest.mark.blocks("migrations run in a command, with no loop beside")

ResultT = TypeVar("ResultT")


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Of an empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/test.db"
    server = request.getfixturevalue("postgres_server")
    name = f"migrations_{tmp_path.name.lower().replace('-', '_')}"

    async def create(db: Database) -> None:
        await db.execute(sa.text(f'DROP DATABASE IF EXISTS "{name}"'))
        await db.execute(sa.text(f'CREATE DATABASE "{name}"'))

    used(open_database(server.url), create)
    return str(server.url).replace("/postgres?", f"/{name}?")


def used(database: Database, work: Callable[[Database], Awaitable[ResultT]]) -> ResultT:
    """What ``work`` comes to with the database open."""

    async def run() -> ResultT:
        async with database:
            return await work(database)

    return asyncio.run(run())


def tables(*, with_age: bool = False, nullable: bool = True) -> sa.MetaData:
    """Users and their notes, in two states."""
    metadata = sa.MetaData()
    age = [sa.Column("age", sa.Integer)] if with_age else []
    name = sa.Column("name", sa.String, nullable=nullable)
    sa.Table("users", metadata, sa.Column("id", sa.Integer, primary_key=True), name, *age)
    owner = sa.ForeignKey("users.id", ondelete="CASCADE", name="notes_owner")
    sa.Table("notes", metadata, sa.Column("id", sa.Integer, primary_key=True), sa.Column("owner", sa.Integer, owner))
    return metadata


def migrations(url: str, folder: Path, metadata: sa.MetaData, *, lock_timeout: float = 30.0) -> Migrations:
    """As ``linkd db board.py`` has them."""
    return Migrations(open_database(url, metadata), folder / "migrations", "board.py", lock_timeout=lock_timeout)


@pytest.fixture
def first(url: str, tmp_path: Path) -> Migrations:
    """A folder with one revision, and a database without any."""
    found = migrations(url, tmp_path, tables())
    found.init()
    path = found.revise("users and notes")
    assert path is not None
    assert path.parent == tmp_path / "migrations" / "versions"
    return found


def test_revisions_bring_the_database_to_the_models(url: str, tmp_path: Path, first: Migrations) -> None:
    """From nothing, and on from there; what differs is named, with what to run."""
    (pending,) = first.faults()
    assert pending.startswith("pending: ")
    assert pending.endswith("run linkd db upgrade board.py")
    assert len(first.upgrade()) == 1
    assert first.faults() == []
    assert first.upgrade() == []

    second = migrations(url, tmp_path, tables(with_age=True))
    assert second.faults() == [
        "add_column: users.age",
        "models and database differ: run linkd db revision board.py -m TEXT",
    ]
    assert second.revise("age") is not None
    assert len(second.upgrade()) == 1
    assert second.faults() == []
    assert second.revise("nothing") is None


def test_changed_table_keeps_what_refers_to_it(url: str, tmp_path: Path, first: Migrations) -> None:
    """SQLite copies the table and drops the old one: nothing is deleted in cascade."""
    first.upgrade()

    async def fill(db: Database) -> None:
        await db.execute(sa.text("INSERT INTO users (id, name) VALUES (1, 'ada')"))
        await db.execute(sa.text("INSERT INTO notes (id, owner) VALUES (7, 1)"))

    used(open_database(url), fill)
    second = migrations(url, tmp_path, tables(nullable=False))
    assert second.revise("every user has a name") is not None
    second.upgrade()

    async def count(db: Database) -> int:
        return int((await db.execute(sa.text("SELECT count(*) FROM notes"))).scalar_one())

    assert used(open_database(url), count) == 1
    assert second.faults() == []


def test_upgrade_is_all_or_nothing(url: str, tmp_path: Path, first: Migrations) -> None:
    """A revision that fails leaves nothing of itself, nor of those before it in the same command."""
    first.upgrade()
    broken = first.revise("fails", empty=True)
    assert broken is not None
    statement = '    op.create_table("extra", sa.Column("id", sa.Integer))\n    op.execute("SELECT nonsense")\n'
    broken.write_text(broken.read_text().replace("    pass\n", statement))

    with pytest.raises(Exception, match="nonsense"):
        first.upgrade()

    async def names(db: Database) -> list[str]:
        return await db.run(lambda connection: sa.inspect(connection).get_table_names(), writes=False)

    assert "extra" not in used(open_database(url), names)


def test_database_that_another_process_migrates_is_waited_for_within_bounds(
    url: str, tmp_path: Path, first: Migrations
) -> None:
    """And afterwards it is free again."""

    async def hold() -> None:
        async with migration_connection(parse_url(url), 5.0) as connection:
            await connection.execute(sa.text("SELECT 1"))  # on SQLite the lock is the transaction's
            with pytest.raises(DatabaseBusyError):
                await asyncio.to_thread(migrations(url, tmp_path, tables(), lock_timeout=0.2).upgrade)

    asyncio.run(hold())

    assert len(first.upgrade()) == 1


def test_tables_without_revision_are_adopted_on_request(url: str, tmp_path: Path, first: Migrations) -> None:
    """A database from before there were revisions; whoever does not say of which it is gets a sentence."""
    used(open_database(url, tables()), lambda db: db.create_all())
    (revision,) = [path.name.split("_")[1] for path in (tmp_path / "migrations/versions").glob("*.py")]

    with pytest.raises(MigrationError, match=r"has tables \(notes, users\) but no revision: .* --adopt R$"):
        first.upgrade()
    assert first.upgrade(adopt=revision) == [revision]
    assert first.upgrade(adopt=revision) == []
    assert first.faults() == []


def test_start_against_an_older_schema_says_what_to_run(url: str, tmp_path: Path, first: Migrations) -> None:
    """In one sentence. A database of a newer release is no reason to stop."""
    database = open_database(url, tables())

    async def start(db: Database) -> bool:
        return await Migrations(db, tmp_path / "migrations", "board.py").require_current()

    with pytest.raises(SchemaOutdatedError, match=r"lacks 1 revision, from .* on: run linkd db upgrade board.py$"):
        used(database, start)
    first.upgrade()
    assert used(database, start)

    newer = first.revise("newer", empty=True)
    assert newer is not None
    first.upgrade()
    newer.unlink()
    assert not used(database, start)
    assert "does not have" in first.faults()[0]


def test_mistakes_are_one_sentence(tmp_path: Path) -> None:
    """Of whoever runs the command."""
    in_memory = migrations("sqlite:///:memory:", tmp_path, tables())
    with pytest.raises(MigrationError, match="in memory has no revisions"):
        in_memory.upgrade()
    found = migrations(f"sqlite:///{tmp_path}/a.db", tmp_path, tables())
    with pytest.raises(MigrationError, match=r"run linkd db init board.py"):
        found.upgrade()
    found.init()
    with pytest.raises(MigrationError, match=r"has an env.py already"):
        found.init()
    found.revise("one")
    with pytest.raises(MigrationError, match=r"lacks revisions: run linkd db upgrade board.py, then this again"):
        found.revise("two")
    with pytest.raises(MigrationError, match="nowhere"):
        found.upgrade("nowhere")


def test_missing_alembic_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is an extra, which services without revisions do not need."""
    database = open_database(f"sqlite:///{tmp_path}/a.db", tables())
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)

    with pytest.raises(MigrationError, match=r"need Alembic: pip install 'pylinkd\[migrations\]'$"):
        Migrations(database, tmp_path, "board.py")
