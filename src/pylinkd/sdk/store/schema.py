"""The version of the tables, and their migration: forwards only, by one instance at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import sqlalchemy as sa

from ...db import Database
from ...protocol.errors import SetupError
from .tables import METADATA, SCHEMA

_LOCK = 0x6C696E6B64  # of PostgreSQL's advisory locks: "linkd"


def _first(connection: sa.Connection) -> None:
    METADATA.create_all(connection)


MIGRATIONS: Sequence[Callable[[sa.Connection], None]] = (_first,)
"""From version n to n + 1. One that was released is never changed; what comes is added at the end."""


async def migrate(db: Database) -> None:
    """Bring the tables of a started database to this version.

    Raises:
        SetupError: If they are of a later one.
        DatabaseError: If the database does not answer, or does not let its user make tables.
    """
    if await db.run(_version, writes=False) == len(MIGRATIONS):
        return
    async with db.transaction():
        await db.run(_migrate, writes=True)


def _version(connection: sa.Connection) -> int:
    if not sa.inspect(connection).has_table(SCHEMA.name):
        return 0
    return int(connection.execute(sa.select(sa.func.coalesce(sa.func.max(SCHEMA.c.version), 0))).scalar_one())


def _migrate(connection: sa.Connection) -> None:
    # SQLite's transactions begin with the lock of the one writer.
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
    version = _version(connection)
    if version > len(MIGRATIONS):
        raise SetupError(
            f"the tables of this database whose names begin with linkd_ are of version {version}, and this pylinkd "
            f"knows {len(MIGRATIONS)}: install the version that has run here before, or a later one"
        )
    for migration in MIGRATIONS[version:]:
        migration(connection)
    connection.execute(sa.delete(SCHEMA))
    connection.execute(sa.insert(SCHEMA).values(version=len(MIGRATIONS)))
