"""Migrations of a database by Alembic: which revisions there are, which the database has, and the way between.

Lives here: what ``linkd db`` does, and the check at the start of a service. Elsewhere: how Alembic is configured
(migration_environment.py), and the connection with its lock (migration_connection.py).
"""

from __future__ import annotations

import asyncio
import importlib.util
from argparse import Namespace
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import sqlalchemy as sa

from . import catalog
from .database import Database
from .errors import MigrationError, SchemaOutdatedError
from .failures import translated
from .sqlite import is_in_memory

if TYPE_CHECKING:
    from alembic.config import Config
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory

ResultT = TypeVar("ResultT")
Steps = Callable[[Any, "MigrationContext"], Iterable[Any]]

_ENVIRONMENT = '''"""How Alembic runs here: ``linkd db`` takes the database and the tables from the service."""

from pylinkd.db.migration_environment import run_migrations

run_migrations()
'''
_REVISION = '''"""${message}

Revision: ${up_revision}, after ${down_revision | comma,n}.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
${imports if imports else ""}
revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = ${repr(branch_labels)}
depends_on = ${repr(depends_on)}


def upgrade() -> None:
    """Bring the tables forward."""
    ${upgrades if upgrades else "pass"}
'''
_FILES = "%%(year)d%%(month).2d%%(day).2d_%%(rev)s_%%(slug)s"  # sorted by date


class Migrations:
    """The revisions in a folder, and a database that has some of them.

    Args:
        database: Whose tables they make; it need not be started.
        folder: With ``env.py`` and ``versions/``.
        target: The service as ``linkd`` takes it, for the messages.
        lock_timeout: Seconds to wait for another process that migrates the same database.

    Raises:
        MigrationError: If Alembic is not installed.
    """

    def __init__(self, database: Database, folder: Path, target: str, *, lock_timeout: float = 300.0) -> None:
        if importlib.util.find_spec("alembic") is None:
            raise MigrationError("migrations need Alembic: pip install 'pylinkd[migrations]'")
        self._database = database
        self._folder = folder
        self._target = target
        self._lock_timeout = lock_timeout

    # for ``linkd db``; these block, and run a loop of their own

    def init(self) -> Path:
        """Write the folder, with no revision in it.

        Raises:
            MigrationError: If it is there already.
        """
        if (self._folder / "env.py").exists():
            raise MigrationError(f"{self._folder} has an env.py already: linkd db revision {self._target} -m TEXT")
        (self._folder / "versions").mkdir(parents=True, exist_ok=True)
        (self._folder / "env.py").write_text(_ENVIRONMENT)
        (self._folder / "script.py.mako").write_text(_REVISION)
        return self._folder

    def revise(self, text: str, *, empty: bool = False) -> Path | None:
        """Write a revision that brings the database to where the models are; ``None``: it is there.

        Args:
            text: What it does, for people.
            empty: Write one with nothing in it, to be filled by hand.

        Raises:
            MigrationError: If the database lacks revisions that there are already.
        """
        from alembic import command

        def work(config: Config) -> Path | None:
            config.attributes["leave_out_empty"] = not empty
            script: Any = command.revision(config, message=text, autogenerate=not empty)
            return Path(script.path) if script else None

        return self._run(work)

    def upgrade(self, revision: str = "head", *, adopt: str | None = None) -> list[str]:
        """Bring the database forward to a revision, wholly or not at all.

        Two processes that do so at once do it one after the other: the second finds nothing left to do.

        Args:
            revision: The last one that is wanted.
            adopt: Where the database has tables but no revision: the revision that they are of.

        Returns:
            The revisions that were applied or adopted, in order.

        Raises:
            MigrationError: If there is no such revision, or the database has tables of no known revision.
            DatabaseBusyError: If another process migrates for longer than ``lock_timeout``.
        """
        applied: list[str] = []

        def work(config: Config) -> None:
            script = self._scripts(config)

            def steps(heads: Any, context: MigrationContext) -> Iterable[Any]:
                first: list[Any] = []
                if not heads and (found := self._tables_in(context)):
                    if adopt is None:
                        raise MigrationError(
                            f"the database has tables ({', '.join(found[:3])}) but no revision: if they are those of "
                            f"revision R, run linkd db upgrade {self._target} --adopt R"
                        )
                    first, heads = list(script._stamp_revs(adopt, heads)), (adopt,)
                return [*first, *script._upgrade_revs(revision, heads)]

            config.attributes["applied"] = applied.append
            _run_environment(config, script, steps)

        self._run(work)
        return applied

    def faults(self) -> list[str]:
        """What keeps database, revisions and models from being the same; empty: nothing. Changes nothing."""
        found: list[str] = []

        def work(config: Config) -> None:
            script = self._scripts(config)

            def steps(heads: Any, context: MigrationContext) -> Iterable[Any]:
                pending = _pending(script, heads)
                if pending is None:
                    found.append(f"the database is at revision {', '.join(heads)}, which {self._folder} does not have")
                elif pending:
                    found.append(f"pending: {', '.join(pending)}: run linkd db upgrade {self._target}")
                else:
                    found.extend(self._differences(context))
                return ()

            _run_environment(config, script, steps, dont_mutate=True)

        self._run(work)
        return found

    def _differences(self, context: MigrationContext) -> list[str]:
        from alembic.autogenerate import produce_migrations

        metadata: Any = catalog.metadata_of(self._database._schemas.values())  # several are taken too
        operations = produce_migrations(context, metadata).upgrade_ops
        if operations is None or operations.is_empty():
            return []
        changes = [_describe(change) for change in operations.as_diffs()]
        return [*changes, f"models and database differ: run linkd db revision {self._target} -m TEXT"]

    def _tables_in(self, context: MigrationContext) -> list[str]:
        """Which tables of the models the database has."""
        assert context.connection is not None
        there = set(sa.inspect(context.connection).get_table_names())
        return sorted(there & {schema.table.name for schema in self._database._schemas.values()})

    def _run(self, work: Callable[[Config], ResultT]) -> ResultT:
        from alembic.util.exc import CommandError

        if is_in_memory(self._database._url):
            raise MigrationError("a database in memory has no revisions: await db.create_all() makes its tables")
        config = self._config()
        try:
            return asyncio.run(self._run_connected(config, work))
        except CommandError as error:
            if "not up to date" in str(error):
                raise MigrationError(
                    f"the database lacks revisions: run linkd db upgrade {self._target}, then this again"
                ) from None
            raise MigrationError(str(error).rstrip(".")) from error

    async def _run_connected(self, config: Config, work: Callable[[Config], ResultT]) -> ResultT:
        from .migration_connection import migration_connection

        def run(connection: sa.Connection) -> ResultT:
            config.attributes["connection"] = connection
            return work(config)

        with translated():
            async with migration_connection(self._database._url, self._lock_timeout) as connection:
                return await connection.run_sync(run)

    def _config(self) -> Config:
        from alembic.config import Config

        if not (self._folder / "env.py").is_file():
            raise MigrationError(f"there are no migrations in {self._folder}: run linkd db init {self._target}")
        (self._folder / "versions").mkdir(exist_ok=True)  # Git keeps no empty folder
        config = Config(cmd_opts=Namespace(quiet=True))
        config.set_main_option("script_location", str(self._folder).replace("%", "%%"))
        config.set_main_option("file_template", _FILES)
        config.attributes["metadata"] = catalog.metadata_of(self._database._schemas.values())
        return config

    def _scripts(self, config: Config) -> ScriptDirectory:
        from alembic.script import ScriptDirectory

        return ScriptDirectory.from_config(config)

    # for the start of a service

    async def require_current(self) -> bool:
        """Raise where the started database lacks revisions.

        Returns:
            Whether all revisions of the database are known here; ``False``: a newer release has migrated it.

        Raises:
            SchemaOutdatedError: If it lacks some; the text says what to run.
        """
        from alembic.runtime.migration import MigrationContext

        if is_in_memory(self._database._url):
            return True
        script = await asyncio.to_thread(self._load)
        heads = await self._database.run(
            lambda connection: MigrationContext.configure(connection).get_current_heads(), writes=False
        )
        pending = _pending(script, heads)
        if pending:
            raise SchemaOutdatedError(
                f"the database lacks {len(pending)} revision{'s' * (len(pending) > 1)}, from {pending[0]} on: "
                f"run linkd db upgrade {self._target}"
            )
        return pending is not None

    def _load(self) -> ScriptDirectory:
        script = self._scripts(self._config())
        script.get_heads()  # reads the files
        return script


def _run_environment(config: Config, script: ScriptDirectory, steps: Steps, **options: Any) -> None:
    from alembic.runtime.environment import EnvironmentContext

    with EnvironmentContext(config, script, fn=steps, **options):
        script.run_env()


def _pending(script: ScriptDirectory, heads: Any) -> list[str] | None:
    """The revisions that a database lacks, in order; ``None``: it has one that is not known."""
    from alembic.script.revision import RevisionError
    from alembic.util.exc import CommandError

    try:
        had = {each.revision for each in script.iterate_revisions(tuple(heads), "base")} if heads else set()
    except (CommandError, RevisionError):
        return None
    every = [each.revision for each in script.walk_revisions()]
    return [revision for revision in reversed(every) if revision not in had]


def _describe(change: Any) -> str:
    """One difference in a line: Alembic gives tuples, and lists of them for one column."""
    first = change[0] if isinstance(change, list) else change
    kind, *where = first
    names = [str(getattr(each, "name", each)) for each in where if isinstance(each, str) or hasattr(each, "name")]
    return f"{kind}: {'.'.join(names)}"
