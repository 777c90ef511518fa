"""A service whose database is not there yet, or is of an older release."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest
import sqlalchemy as sa
import structlog

from pylinkd import RegistrationError, Service, SetupError
from pylinkd.db import DatabaseUnavailableError, open_database
from pylinkd.sdk.opening import reach
from tests.servers.postgres import PostgresServer, postgres_server

__all__ = ["postgres_server"]


async def test_database_that_comes_late_is_waited_for_and_said_once(
    tmp_path: Path, postgres_server: PostgresServer
) -> None:
    """As where both are started together."""
    path = tmp_path / ".s.PGSQL.5432"
    target = Path(postgres_server.url.partition("host=")[2]) / path.name

    with structlog.testing.capture_logs() as logs:
        database = open_database(f"postgresql://postgres@/postgres?host={tmp_path}")
        opening = asyncio.create_task(reach(database, "chat", 20.0))
        while not logs:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.3)  # further attempts, which are no news
        path.symlink_to(target)
        await opening
    try:
        assert [line["event"] for line in logs] == ["database_awaited", "database_reached"]
        assert (await database.execute(sa.select(1))).scalar_one() == 1
    finally:
        await database.stop()


async def test_database_that_does_not_come_stops_the_start() -> None:
    """With one sentence, without the password."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]  # nobody listens there
        database = open_database(f"postgresql://u:secret@127.0.0.1:{port}/x")

        with pytest.raises(SetupError, match=r"'chat' was not there within 0\.3 s .* correct its URL$") as caught:
            await reach(database, "chat", 0.3)

    assert "secret" not in str(caught.value)


async def test_database_that_will_not_come_is_not_waited_for(postgres_server: PostgresServer) -> None:
    """Waiting mends neither a name nor a path."""
    for url in (postgres_server.url.replace("/postgres?", "/nothing?"), "sqlite:////nowhere/chat.db"):
        with pytest.raises(DatabaseUnavailableError):
            await reach(open_database(url), "chat", 20.0)


def test_migrations_are_a_folder_beside_the_module() -> None:
    """And go with a database."""
    service = Service("chat", database="sqlite:///chat.db", tables=sa.MetaData(), migrations="migrations")
    assert service.migrations == Path(__file__).parent / "migrations"

    with pytest.raises(RegistrationError, match=r"migrations= goes together with database= and tables="):
        Service("chat", migrations="migrations")
    with pytest.raises(RegistrationError, match=r"migrations is a folder such as 'migrations', not True"):
        Service("chat", database="sqlite:///chat.db", tables=sa.MetaData(), migrations=True)  # type: ignore[call-overload]
