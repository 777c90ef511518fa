"""The tables of these tests: a small chat."""

from __future__ import annotations

import datetime
import uuid

import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from pylinkd.db import Database, Table


class Base(DeclarativeBase):
    """Base of the models."""


class User(Base):
    """Someone who writes; every kind of constraint is on this table or the next."""

    __tablename__ = "users"
    __table_args__ = (sa.CheckConstraint("age >= 0", name="age_is_not_negative"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    age: Mapped[int | None]
    role: Mapped[str] = mapped_column(default="member")
    # Attribute and column are named differently on purpose: queries speak of attributes.
    notes: Mapped[str | None] = mapped_column("notes_text")


class Message(Base):
    """Something written, keyed by a value that the client makes."""

    __tablename__ = "messages"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    author: Mapped[int] = mapped_column(sa.ForeignKey("users.id"))
    sent: Mapped[datetime.datetime] = mapped_column(sa.DateTime())
    text: Mapped[str]


#: A plain table in the same MetaData, without a model.
reactions = sa.Table(
    "reactions",
    Base.metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("emoji", sa.String, nullable=False),
    sa.Column("count", sa.Integer, server_default="1", nullable=False),
)

#: Whether the other row exists is checked at COMMIT.
replies = sa.Table(
    "replies",
    Base.metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("to", sa.ForeignKey("users.id", deferrable=True, initially="DEFERRED"), nullable=False),
)

#: A table without a primary key.
log = sa.Table("log", Base.metadata, sa.Column("line", sa.String))


class ChatDatabase(Database):
    """The typed face of the database."""

    users: Table[User]
    messages: Table[Message]

    def lock_users(self) -> sa.Executable:
        """Something that waits for other writers: PostgreSQL takes no lock at the start as SQLite does."""
        if self._url.get_backend_name() == "sqlite":
            return sa.text("SELECT 1")
        return sa.text("LOCK TABLE users")
