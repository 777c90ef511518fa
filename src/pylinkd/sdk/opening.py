"""The database of a service that starts: it is waited for, has the revisions that the service needs, and is used."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

import structlog

from ..protocol.errors import SetupError
from .validation import RegistrationError, where

if TYPE_CHECKING:
    from ..db import Database
    from .handlers import Handler
    from .runtime import Runtime
    from .service import Service

log = structlog.get_logger("linkd.service")

DATABASE_TIMEOUT = 60.0
"""Seconds for which a start waits for a database that is not there yet."""

_FIRST_DELAY = 0.1  # seconds between two attempts; it doubles with each
_LONGEST_DELAY = 2.0
_STARTING_UP = "57P03"  # SQLSTATE cannot_connect_now
_NOT_THE_AUTHORS = ("pylinkd.sdk.", "typing")


def calling_file() -> Path | None:
    """The file of the module that makes a service; ``None``: there is none, as at a prompt."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith(_NOT_THE_AUTHORS):
        frame = frame.f_back
    file = frame.f_globals.get("__file__")
    return None if file is None else Path(file).resolve()


def folder_of_migrations(place: str, migrations: Any, module: Path | None, *, has_database: bool) -> Path | None:
    """The folder that a service names, as an absolute path; it need not be there.

    Raises:
        RegistrationError: If it is no folder, or there is no database for it.
    """
    if migrations is None:
        return None
    if not isinstance(migrations, str | Path) or not str(migrations):
        raise RegistrationError(f"{place}: migrations is a folder such as 'migrations', not {migrations!r}")
    if not has_database:
        raise RegistrationError(f"{place}: migrations= goes together with database= and tables=")
    return (Path.cwd() if module is None else module.parent) / migrations


async def require_current(database: Database, folder: Path, module: Path | None, service: str) -> None:
    """See that the database has every revision.

    Raises:
        SchemaOutdatedError: If it lacks some; the text says what to run.
        MigrationError: If there are none, or Alembic is not installed.
    """
    from ..db.migrations import Migrations

    target = "MODULE" if module is None else os.path.relpath(module)
    if not await Migrations(database, folder, target).require_current():
        # A newer release migrates before its instances start, while those of this one still come and go.
        log.warning("schema_newer", service=service, advice="the database has a revision of a newer release")


async def reach(database: Database, service: str, timeout: float | None = None) -> None:
    """Start the database; wait for one that is not there yet, and say so once.

    Args:
        database: Not started yet.
        service: Name, for the log.
        timeout: Seconds to wait; ``None``: as long as a start does.

    Raises:
        SetupError: If it is not there in time.
        DatabaseError: If waiting would not help, as with a wrong password.
    """
    from ..db import DatabaseUnavailableError

    timeout = DATABASE_TIMEOUT if timeout is None else timeout
    deadline, delay = monotonic() + timeout, 0.0
    while True:
        try:
            await database.start()
        except DatabaseUnavailableError as error:
            if not _may_come(error):
                raise
            if monotonic() >= deadline:
                raise SetupError(
                    f"the database of the service {service!r} was not there within {timeout:g} s ({error}): start it, "
                    "or correct its URL"
                ) from error
            if not delay:
                log.warning("database_awaited", service=service, error=str(error), timeout=timeout)
            delay = min(_LONGEST_DELAY, delay * 2 or _FIRST_DELAY)
            await asyncio.sleep(min(delay, max(0.0, deadline - monotonic())))
        else:
            if delay:
                log.info("database_reached", service=service)
            return


def _may_come(error: BaseException) -> bool:
    """Whether nobody listens there, or a server that is starting: everything else stays as it is."""
    cause: BaseException | None = error.__cause__
    while cause is not None:
        if isinstance(cause, OSError) or getattr(cause, "sqlstate", None) == _STARTING_UP:
            return True
        cause = getattr(cause, "orig", None) or cause.__cause__
    return False


async def begin_persistence(service: Service[Any], database: Database | None, runtime: Runtime) -> None:
    """Have what the service stores in its database, and begin to work at it.

    Raises:
        RegistrationError: If it stores something and has no database.
        SetupError: If the tables are of a later version.
    """
    if database is None:
        _refuse_stored(service)
        return
    from .persistence import Persistence

    runtime.persistence = Persistence(database, runtime, service)
    await runtime.persistence.start()


async def end_persistence(runtime: Runtime) -> None:
    """Hand on what was not done."""
    if runtime.persistence is None:
        return
    try:
        await runtime.persistence.stop()
    except Exception as error:  # its leases end by themselves
        log.warning("work_not_handed_on", error=type(error).__name__)


def _refuse_stored(service: Service[Any]) -> None:
    keepers: list[Handler] = [
        *service.jobs,
        *(handler for handler in service.events.handlers if handler.durable),
        *(handler for handler in (*service.ws.handlers, *service.action.handlers) if handler.dead_letters),
    ]
    if keepers:
        raise RegistrationError(
            f"{where(keepers[0].function)}: jobs, durable events and dead letters are stored, and the service "
            f"{service.name!r} has no database: give Service(…) database= and tables="
        )
