"""``linkd db``: the revisions of a service's tables, written, applied and compared."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from ..db import DatabaseError
from ..db.migrations import Migrations
from ..protocol.errors import SetupError
from ..sdk.service import Service
from ..settings import ProcessSettings
from .loading import load_service
from .logs import configure_logs
from .settings import load_settings

db = typer.Typer(no_args_is_help=True, help="Revisions of a service's tables.")

Target = Annotated[str, typer.Argument(help="module:service, or path/to/file.py:service")]

ResultT = TypeVar("ResultT")


class DatabaseCommandError(SetupError):
    """A command cannot do what it should; the text says why."""


@db.command()
def init(target: Target) -> None:
    """Write a folder for revisions beside the module."""
    folder = _with_migrations(target, lambda migrations: migrations.init(), default="migrations")
    print(f'wrote {folder}: give Service(…) migrations="{folder.name}", then run linkd db revision {target} -m TEXT')


@db.command()
def revision(
    target: Target,
    text: Annotated[str, typer.Option("-m", "--message", help="What it does.")],
    empty: Annotated[bool, typer.Option(help="With nothing in it, to be filled by hand.")] = False,
) -> None:
    """Write a revision that brings the database to where the models are. Read it before it is applied."""
    path = _with_migrations(target, lambda migrations: migrations.revise(text, empty=empty))
    print("models and database are the same: nothing written" if path is None else f"wrote {path}")


@db.command()
def upgrade(
    target: Target,
    revision: Annotated[str, typer.Argument(help="The last one that is wanted.")] = "head",
    adopt: Annotated[
        str | None, typer.Option(help="Take tables that are there, without a revision, for those of this one.")
    ] = None,
) -> None:
    """Bring the database forward to a revision, all or nothing."""
    applied = _with_migrations(target, lambda migrations: migrations.upgrade(revision, adopt=adopt))
    for one in applied:
        print(f"applied {one}")
    if not applied:
        print("nothing to apply")


@db.command()
def check(target: Target) -> None:
    """End with status 1 where a revision is missing, or models and database differ."""
    faults = _with_migrations(target, lambda migrations: migrations.faults())
    for fault in faults:
        print(fault)
    if faults:
        raise typer.Exit(1)
    print("models and database are the same")


def _with_migrations(target: str, work: Callable[[Migrations], ResultT], default: str | None = None) -> ResultT:
    settings = load_settings(ProcessSettings)
    configure_logs(settings.log_level, settings.log_format)
    service = load_service(target)
    try:
        return work(_migrations_of(service, target, default))
    except DatabaseError as error:  # the layer stands alone and knows nothing of SetupError
        raise DatabaseCommandError(str(error)) from error


def _migrations_of(service: Service[Any], target: str, default: str | None) -> Migrations:
    try:
        database = service.db
    except RuntimeError as error:
        raise DatabaseCommandError(str(error)) from error
    folder = service.migrations
    if folder is None:
        if default is None:
            raise DatabaseCommandError(
                f"the service {service.name!r} has no migrations: run linkd db init {target}, "
                "and give Service(…) migrations='migrations'"
            )
        folder = (Path.cwd() if service.module_file is None else service.module_file.parent) / default
    return Migrations(database, folder, target)
