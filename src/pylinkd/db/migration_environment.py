"""What the ``env.py`` of a migrations folder calls: Alembic, configured as this layer needs it."""

from __future__ import annotations

from typing import Any, Literal

import sqlalchemy as sa
from alembic import context
from alembic.autogenerate.api import AutogenContext

from .errors import MigrationError

OWN_PREFIX = "linkd_"
"""Of tables that pylinkd makes by itself: migrations leave them alone."""


def run_migrations(**options: Any) -> None:
    """Run what ``linkd db`` asks for, on its connection.

    Args:
        options: Of Alembic's ``context.configure``, in place of those that are given here.

    Raises:
        MigrationError: If another program runs it, or SQLite's rows refer to rows that are not there afterwards.
    """
    given = context.config.attributes
    if "connection" not in given:
        raise MigrationError("run migrations by linkd db: it takes database and tables from the service")
    connection: sa.Connection = given["connection"]
    applied = given.get("applied")

    def note(step: Any, **_: Any) -> None:
        if applied is not None:
            applied(", ".join(step.up_revision_ids))

    on_sqlite = connection.dialect.name == "sqlite"
    configuration = {
        "target_metadata": given["metadata"],
        "render_as_batch": on_sqlite,  # SQLite changes a table by copying it
        "transactional_ddl": True,  # which SQLite has, other than Alembic assumes
        "render_item": _render,
        "include_name": _is_the_authors,
        "process_revision_directives": _leave_out_empty,
        "on_version_apply": note,
        **options,
    }
    context.configure(connection=connection, **configuration)
    with context.begin_transaction():
        context.run_migrations()
        if on_sqlite:
            _check_foreign_keys(connection)


def _check_foreign_keys(connection: sa.Connection) -> None:
    """They were not enforced meanwhile."""
    broken = connection.exec_driver_sql("PRAGMA foreign_key_check").first()
    if broken is not None:
        raise MigrationError(
            f"rows of {broken[0]} refer to rows of {broken[2]} that are not there: mend them in the revision"
        )


def _render(kind: str, item: Any, autogenerate: AutogenContext) -> str | Literal[False]:
    """A type of the author's own as what it is in the database: revisions outlive the module that it is in."""
    if kind == "type" and isinstance(item, sa.TypeDecorator) and not type(item).__module__.startswith("sqlalchemy."):
        stored = item.impl_instance
        if type(stored).__module__ == "sqlalchemy.sql.sqltypes":
            return f"sa.{stored!r}"
    return False


def _is_the_authors(name: str | None, kind: str, parents: Any) -> bool:
    return not (kind == "table" and name is not None and name.startswith(OWN_PREFIX))


def _leave_out_empty(_: Any, revision: Any, directives: list[Any]) -> None:
    """Write no revision in which there is nothing, unless one by hand is wanted."""
    if context.config.attributes.get("leave_out_empty") and directives[0].upgrade_ops.is_empty():
        directives[:] = []
