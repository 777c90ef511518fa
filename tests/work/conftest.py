"""A database of its own for each test, once SQLite and once PostgreSQL, and services that share it."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest
import sqlalchemy as sa

from pylinkd.db import open_database
from tests.servers.postgres import PostgresServer, postgres_server

__all__ = ["postgres_server"]


async def fresh(kind: str, folder: Path, request: pytest.FixtureRequest) -> str:
    """The URL of an empty database."""
    if kind == "sqlite":
        return f"sqlite:///{folder}/shop.db"
    server: PostgresServer = request.getfixturevalue("postgres_server")
    name = f"shop_{uuid.uuid4().hex}"
    async with open_database(server.url) as postgres:
        await postgres.execute(sa.text(f"CREATE DATABASE {name}"))
    return server.url.replace("/postgres?", f"/{name}?")


@pytest.fixture(params=["sqlite", "postgresql"])
async def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database."""
    return await fresh(request.param, tmp_path, request)
