"""The tables. Their names begin with ``linkd_``; a service's own should not.

Each row is a service's: several may share a database. Times are Unix seconds by the clock of the instance that writes
them.
"""

from __future__ import annotations

import sqlalchemy as sa

METADATA = sa.MetaData()

PREFIX = "linkd_"
"""What the names of all tables begin with, and of none of the author's."""

SCHEMA = sa.Table("linkd_schema", METADATA, sa.Column("version", sa.Integer, nullable=False))

WORK = sa.Table(
    "linkd_work",
    METADATA,
    sa.Column("service", sa.String(128), primary_key=True),
    sa.Column("id", sa.String(300), primary_key=True),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("name", sa.String(200), nullable=False),
    sa.Column("key", sa.String(200)),
    sa.Column("data", sa.LargeBinary, nullable=False),
    sa.Column("headers", sa.LargeBinary, nullable=False),
    sa.Column("created_at", sa.Float, nullable=False),
    sa.Column("due_at", sa.Float, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("errors", sa.LargeBinary, nullable=False),
    sa.Column("leased_until", sa.Float, nullable=False),
    sa.Column("lease", sa.String(40)),
    sa.Column("done_at", sa.Float),
    sa.UniqueConstraint("service", "name", "key", name="linkd_work_key"),
    sa.Index("linkd_work_due", "service", "done_at", "due_at"),
)

DEAD_LETTERS = sa.Table(
    "linkd_dead_letters",
    METADATA,
    sa.Column("service", sa.String(128), primary_key=True),
    sa.Column("id", sa.String(300), primary_key=True),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("name", sa.String(200), nullable=False),
    sa.Column("data", sa.LargeBinary, nullable=False),
    sa.Column("headers", sa.LargeBinary, nullable=False),
    sa.Column("errors", sa.LargeBinary, nullable=False),
    sa.Column("failed_at", sa.Float, nullable=False),
    sa.Index("linkd_dead_letters_failed", "service", "failed_at"),
)

OUTBOX = sa.Table(
    "linkd_outbox",
    METADATA,
    sa.Column("position", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
    sa.Column("service", sa.String(128), nullable=False),
    sa.Column("id", sa.String(64), nullable=False, unique=True),
    sa.Column("type", sa.String(200), nullable=False),
    sa.Column("data", sa.LargeBinary, nullable=False),
    sa.Column("headers", sa.LargeBinary, nullable=False),
    sa.Column("created_at", sa.Float, nullable=False),
    sa.Column("taken_by", sa.LargeBinary, nullable=False),
    sa.Column("due_at", sa.Float, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Index("linkd_outbox_due", "service", "due_at"),
    sqlite_autoincrement=True,
)

SUBSCRIBERS = sa.Table(
    "linkd_subscribers",
    METADATA,
    sa.Column("service", sa.String(128), primary_key=True),
    sa.Column("subscriber", sa.String(128), primary_key=True),
    sa.Column("pattern", sa.String(200), primary_key=True),
    sa.Column("seen_at", sa.Float, nullable=False),
)

KEYS = sa.Table(
    "linkd_keys",
    METADATA,
    sa.Column("service", sa.String(128), primary_key=True),
    sa.Column("key", sa.String(64), primary_key=True),
    sa.Column("fingerprint", sa.String(64), nullable=False),
    sa.Column("answer", sa.LargeBinary),
    sa.Column("stored_at", sa.Float, nullable=False),
    sa.Index("linkd_keys_stored", "service", "stored_at"),
)
