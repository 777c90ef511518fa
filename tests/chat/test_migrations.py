"""The revisions of the chat's tables, on both databases."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from examples.chat.models import ChatDatabase
from pylinkd.db import open_database
from tests.processes import start_program
from tests.servers.postgres import fresh_database

from .clients import SERVICE, upgrade


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_revisions_make_the_tables_of_the_models(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """From nothing: a start before it stops with what to run, and afterwards nothing differs."""
    url = await fresh_database(kind, tmp_path, request, "chat")
    env = {"CHAT_DATABASE": url}

    early = await start_program(tmp_path, "service", "run", str(SERVICE), env=env)
    assert await early.process.wait() == 1
    assert "run linkd db upgrade" in early.text()
    assert "Traceback" not in early.text()
    pending = await start_program(tmp_path, "check", "db", "check", str(SERVICE), env=env)
    assert await pending.process.wait() == 1
    assert "pending: 0001" in pending.text()

    assert "applied 0001" in (await upgrade(tmp_path, url)).text()

    check = await start_program(tmp_path, "check", "db", "check", str(SERVICE), env=env)
    assert await check.process.wait() == 0, check.text()


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_database_from_before_revisions_is_adopted(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """As scripts/demo does it; what was in it stays."""
    url = await fresh_database(kind, tmp_path, request, "chat")
    async with open_database(url, ChatDatabase) as db:
        await db.create_all()
        await db.users.insert(id="ada", name="Ada")

    await upgrade(tmp_path, url, "--adopt", "0001")

    async with open_database(url, ChatDatabase) as db:
        assert (await db.users.one()).name == "Ada"
    check = await start_program(tmp_path, "check", "db", "check", str(SERVICE), env={"CHAT_DATABASE": url})
    assert await check.process.wait() == 0, check.text()


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_processes_that_upgrade_at_once_do_it_once(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """As where several instances are started together: one does it, the others have nothing to do."""
    url = await fresh_database(kind, tmp_path, request, "chat")

    programs = await asyncio.gather(*(upgrade(tmp_path / str(number), url) for number in range(3)))

    assert sorted("applied 0001" in program.text() for program in programs) == [False, False, True]
