"""A real PostgreSQL for a test session: its own folder with data and socket, stopped at the end.

It listens on a Unix socket in that folder only, so no port can be taken by someone else, and the folder's
permissions stand in for a password.

Use it by naming the fixture; ``tests/db/conftest.py`` imports it. Under pytest-xdist every worker is a
session of its own and so gets a server of its own. A machine without PostgreSQL fails the tests that
ask for it: a skipped test looks like a passed one.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import sqlalchemy as sa

from pylinkd.db import open_database

# Debian keeps initdb and postgres out of PATH.
_FOLDERS = "/usr/lib/postgresql"
# PostgreSQL refuses to run as root; Debian's package brings this user.
_USER = "postgres"
_START_SECONDS = 30.0

# Nothing has to survive a crash here, and three connections per test of one worker are plenty.
_SETTINGS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_connections": "50",
    "shared_buffers": "16MB",
    "log_min_messages": "warning",
}


@dataclass(frozen=True, slots=True)
class PostgresServer:
    """A running server.

    Attributes:
        url: Of its database ``postgres``, for pylinkd.
        process_id: Of the postmaster.
    """

    url: str
    process_id: int


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """One server for all tests of the session."""
    folder = Path(tempfile.mkdtemp(prefix="linkd-postgres-"))
    try:
        _give_to_server_user(folder)
        _create_cluster(folder)
        process = _start(folder)
        try:
            _wait_until_ready(process, folder)
            yield PostgresServer(f"postgresql://{_USER}@/postgres?host={folder}", process.pid)
        finally:
            # SIGINT is "fast shutdown": it ends sessions instead of waiting for them.
            process.send_signal(signal.SIGINT)
            process.wait(timeout=_START_SECONDS)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def fresh_database(kind: str, folder: Path, request: pytest.FixtureRequest, name: str) -> str:
    """The URL of an empty database.

    Args:
        kind: ``sqlite`` or ``postgresql``.
        folder: Where a file of SQLite may be.
        request: Of the test, which starts the server if it wants PostgreSQL.
        name: What the database is called, which has more behind it on PostgreSQL.
    """
    if kind == "sqlite":
        return f"sqlite:///{folder}/{name}.db"
    # Asked for here and not as an argument: tests on SQLite alone start no server.
    server: PostgresServer = request.getfixturevalue("postgres_server")
    unique = f"{name}_{uuid.uuid4().hex}"
    async with open_database(server.url) as postgres:
        await postgres.execute(sa.text(f"CREATE DATABASE {unique}"))
    return server.url.replace("/postgres?", f"/{unique}?")


def _binary(name: str) -> str:
    found = sorted(Path(_FOLDERS).glob(f"*/bin/{name}"), key=lambda path: int(path.parts[-3]))
    path = str(found[-1]) if found else shutil.which(name)
    if path is None:
        pytest.fail(f"PostgreSQL is not installed ({name} not found): apt-get install postgresql", pytrace=False)
    return path


def _as_server_user() -> dict[str, str | int | list[int]]:
    """How a child process sheds root."""
    if os.geteuid() != 0:
        return {}
    try:
        account = pwd.getpwnam(_USER)
    except KeyError:
        pytest.fail(f"PostgreSQL will not run as root and there is no user {_USER!r} to run it", pytrace=False)
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


def _give_to_server_user(folder: Path) -> None:
    if _as_server_user():
        shutil.chown(folder, _USER, _USER)


def _create_cluster(folder: Path) -> None:
    # The same locale on every machine: the order of text must not depend on who runs the tests.
    command = [_binary("initdb"), "-D", str(folder / "data"), "-U", _USER, "-A", "trust"]
    command += ["--locale=C", "-E", "UTF8", "--no-sync", "--no-instructions"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, **_as_server_user())  # type: ignore[call-overload]
    if done.returncode != 0:
        pytest.fail(f"initdb failed:\n{done.stdout}{done.stderr}", pytrace=False)


def _start(folder: Path) -> subprocess.Popen[bytes]:
    command = [_binary("postgres"), "-D", str(folder / "data"), "-h", "", "-k", str(folder)]
    for name, value in _SETTINGS.items():
        command += ["-c", f"{name}={value}"]
    with (folder / "log").open("wb") as log:
        return subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, **_as_server_user())  # type: ignore[call-overload,no-any-return]


def _wait_until_ready(process: subprocess.Popen[bytes], folder: Path) -> None:
    probe = [_binary("pg_isready"), "-q", "-h", str(folder)]
    deadline = time.monotonic() + _START_SECONDS
    while subprocess.run(probe, check=False).returncode != 0:
        if process.poll() is not None or time.monotonic() > deadline:
            log = (folder / "log").read_text()
            pytest.fail(f"PostgreSQL did not start:\n{log}", pytrace=False)
        # Waits for a process, not for code under test; there is nothing to be notified by.
        time.sleep(0.05)
