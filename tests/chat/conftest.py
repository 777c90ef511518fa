"""The chat behind a real gateway, once on SQLite and once on PostgreSQL.

Starting it takes seconds, so that one chat serves all tests of a session that do not stop any part of it. They keep
out of each other's way by users and rooms of their own.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.servers.postgres import fresh_database, postgres_server

from .clients import Chat, started

__all__ = ["postgres_server"]


@pytest_asyncio.fixture(scope="session", loop_scope="session", params=["sqlite", "postgresql"])
async def chat(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Chat]:
    """A chat that all tests share; it must be left running, and its seeded users as they are."""
    folder = tmp_path_factory.mktemp("chat")
    async with started(folder, await fresh_database(request.param, folder, request, "chat")) as chat:
        yield chat


@pytest.fixture(params=["sqlite", "postgresql"])
async def own_chat(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Chat]:
    """A chat of this test's own, whose processes it may stop and start."""
    async with started(tmp_path, await fresh_database(request.param, tmp_path, request, "chat")) as chat:
        yield chat
