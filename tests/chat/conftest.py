"""The chat behind a real gateway, once on SQLite and once on PostgreSQL.

Starting it takes seconds, so that one chat serves all tests of a session that do not stop any part of it. They keep
out of each other's way by users and rooms of their own.
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
import sqlalchemy as sa

from pylinkd.db import open_database
from tests.servers.postgres import PostgresServer, postgres_server

from .clients import Chat, started

__all__ = ["postgres_server"]


async def _fresh_database(kind: str, folder: Path, request: pytest.FixtureRequest) -> str:
    """The URL of an empty database."""
    if kind == "sqlite":
        return f"sqlite:///{folder}/chat.db"
    # Asked for here and not as an argument: tests on SQLite alone start no server.
    server: PostgresServer = request.getfixturevalue("postgres_server")
    name = f"chat_{uuid.uuid4().hex}"
    async with open_database(server.url) as postgres:
        await postgres.execute(sa.text(f"CREATE DATABASE {name}"))
    return server.url.replace("/postgres?", f"/{name}?")


@pytest_asyncio.fixture(scope="session", loop_scope="session", params=["sqlite", "postgresql"])
async def chat(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Chat]:
    """A chat that all tests share; it must be left running, and its seeded users as they are."""
    folder = tmp_path_factory.mktemp("chat")
    async with started(folder, await _fresh_database(request.param, folder, request)) as chat:
        yield chat


@pytest.fixture(params=["sqlite", "postgresql"])
async def own_chat(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Chat]:
    """A chat of this test's own, whose processes it may stop and start."""
    async with started(tmp_path, await _fresh_database(request.param, tmp_path, request)) as chat:
        yield chat
