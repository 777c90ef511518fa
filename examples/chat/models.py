"""The tables of the chat, as models and as the typed face of the database."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from pylinkd.db import Database, Table

MESSAGE_LENGTH = 2000
ROOM_NAME_LENGTH = 100
USER_NAME_LENGTH = 40


def now() -> datetime:
    """The present time, always in UTC."""
    return datetime.now(UTC)


class Timestamp(sa.TypeDecorator[datetime]):
    """A time in UTC. SQLite keeps no zone, so it is put back when a row is read."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_result_value(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        """See TypeDecorator."""
        return value if value is None or value.tzinfo else value.replace(tzinfo=UTC)


class Base(DeclarativeBase):
    """Base of the models."""


# Who there is


class User(Base):
    """Someone with an account, or who has connected at least once; the id is the subject of their token."""

    __tablename__ = "users"
    __table_args__ = (sa.CheckConstraint("length(id) > 0", name="users_id_not_empty"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(index=True)
    created_at: Mapped[datetime] = mapped_column(Timestamp, default=now)


class Account(Base):
    """How a user signs in here. Users with a token of somebody else's have none."""

    __tablename__ = "accounts"

    user_id: Mapped[str] = mapped_column(sa.ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    # The user's name as accounts.name_key has it: one for all spellings that look the same.
    name_key: Mapped[str] = mapped_column(unique=True)
    password_hash: Mapped[str]

    # Read together with the account: signing in needs the name.
    user: Mapped[User] = relationship(lazy="joined", innerjoin=True)


class SignIn(Base):
    """A user who is signed in in one browser. It has a refresh token, of which only hashes are kept."""

    __tablename__ = "sign_ins"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    user_id: Mapped[str] = mapped_column(sa.ForeignKey("users.id", ondelete="CASCADE"), index=True)
    family: Mapped[str] = mapped_column(unique=True)
    shown_hash: Mapped[str | None]
    offered_hash: Mapped[str]
    renewed_at: Mapped[datetime] = mapped_column(Timestamp, default=now)
    expires_at: Mapped[datetime] = mapped_column(Timestamp, index=True)

    user: Mapped[User] = relationship(lazy="joined", innerjoin=True)


class Attempt(Base):
    """How often somebody has tried something lately, so that nobody tries all passwords."""

    __tablename__ = "attempts"

    key: Mapped[str] = mapped_column(primary_key=True)
    count: Mapped[int] = mapped_column(default=0)
    ends_at: Mapped[datetime] = mapped_column(Timestamp, index=True)


# What they say to each other


class Room(Base):
    """A place to talk. Everybody may join a public one; a private one exists for its members only."""

    __tablename__ = "rooms"
    __table_args__ = (sa.CheckConstraint(f"length(name) BETWEEN 1 AND {ROOM_NAME_LENGTH}", name="rooms_name_length"),)

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    name: Mapped[str]
    is_private: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime] = mapped_column(Timestamp, default=now)


class RoomMember(Base):
    """Who belongs to which room, connected or not."""

    __tablename__ = "room_members"

    room_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("rooms.id", ondelete="CASCADE"), primary_key=True)
    user_id: Mapped[str] = mapped_column(sa.ForeignKey("users.id", ondelete="CASCADE"), primary_key=True, index=True)
    joined_at: Mapped[datetime] = mapped_column(Timestamp, default=now)


class ChatMessage(Base):
    """What somebody wrote."""

    __tablename__ = "chat_messages"
    __table_args__ = (
        sa.CheckConstraint(f"length(content) BETWEEN 1 AND {MESSAGE_LENGTH}", name="chat_messages_content_length"),
        sa.CheckConstraint("message_type IN ('text', 'image', 'file')", name="chat_messages_type_known"),
        # A message that is sent again has the key that it had.
        sa.UniqueConstraint("user_id", "key", name="chat_messages_sent_once"),
        # The order in which history is read.
        sa.Index("chat_messages_history", "room_id", "created_at", "id"),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    room_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("rooms.id", ondelete="CASCADE"))
    user_id: Mapped[str] = mapped_column(sa.ForeignKey("users.id", ondelete="CASCADE"))
    key: Mapped[uuid.UUID | None]
    content: Mapped[str]
    message_type: Mapped[str] = mapped_column(default="text")
    # SQLAlchemy keeps the name ``metadata`` for itself.
    extra: Mapped[dict[str, Any] | None] = mapped_column("metadata", sa.JSON(none_as_null=True))
    created_at: Mapped[datetime] = mapped_column(Timestamp, default=now)
    # Whether the room was told of it: a process may end between storing and telling.
    announced: Mapped[bool] = mapped_column(default=False)

    # Read together with the message: history needs every author's name.
    author: Mapped[User] = relationship(lazy="joined", innerjoin=True)


class ReadReceipt(Base):
    """How far a member has read a room; it goes with the membership."""

    __tablename__ = "read_receipts"
    __table_args__ = (
        sa.ForeignKeyConstraint(
            ["room_id", "user_id"], ["room_members.room_id", "room_members.user_id"], ondelete="CASCADE"
        ),
    )

    room_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    user_id: Mapped[str] = mapped_column(primary_key=True)
    message_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("chat_messages.id", ondelete="CASCADE"), index=True)
    read_until: Mapped[datetime] = mapped_column(Timestamp)


class ChatDatabase(Database):
    """The tables by name: ``ctx.db.users`` and so on."""

    users: Table[User]
    accounts: Table[Account]
    sign_ins: Table[SignIn]
    attempts: Table[Attempt]
    rooms: Table[Room]
    room_members: Table[RoomMember]
    chat_messages: Table[ChatMessage]
    read_receipts: Table[ReadReceipt]
