"""A database of its own for each test, once SQLite and once PostgreSQL, and services that share it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.servers.postgres import fresh_database, postgres_server

__all__ = ["postgres_server"]


async def fresh(kind: str, folder: Path, request: pytest.FixtureRequest) -> str:
    """The URL of an empty database."""
    return await fresh_database(kind, folder, request, "shop")


@pytest.fixture(params=["sqlite", "postgresql"])
async def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database."""
    return await fresh(request.param, tmp_path, request)
