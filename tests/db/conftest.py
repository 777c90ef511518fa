"""A started database with empty tables, once on SQLite and once on PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.servers.postgres import PostgresServer, postgres_server

from .models import Base, ChatDatabase

__all__ = ["postgres_server"]


@pytest.fixture(params=["sqlite", "memory", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where a database may be: a file, the memory, a server."""
    match request.param:
        case "sqlite":
            return f"sqlite:///{tmp_path}/chat.db"
        case "memory":
            return "sqlite:///:memory:"
        case _:
            # Asked for here and not as an argument: tests on SQLite alone start no server.
            server: PostgresServer = request.getfixturevalue("postgres_server")
            return server.url


@pytest.fixture
async def db(url: str) -> AsyncIterator[ChatDatabase]:
    """A started database with empty tables."""
    database = ChatDatabase(url, tables=Base.metadata, pool_size=3)
    await database.start()
    await database.drop_all()
    await database.create_all()
    yield database
    await database.stop()
