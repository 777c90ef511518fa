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


class User(Base):
    """Someone who has connected at least once; the id is the subject of their token."""

    __tablename__ = "users"
    __table_args__ = (sa.CheckConstraint("length(id) > 0", name="users_id_not_empty"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(Timestamp, default=now)


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
        # The order in which history is read.
        sa.Index("chat_messages_history", "room_id", "created_at", "id"),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    room_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("rooms.id", ondelete="CASCADE"))
    user_id: Mapped[str] = mapped_column(sa.ForeignKey("users.id", ondelete="CASCADE"), index=True)
    content: Mapped[str]
    message_type: Mapped[str] = mapped_column(default="text")
    # SQLAlchemy keeps the name ``metadata`` for itself.
    extra: Mapped[dict[str, Any] | None] = mapped_column("metadata", sa.JSON(none_as_null=True))
    created_at: Mapped[datetime] = mapped_column(Timestamp, default=now)

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
    rooms: Table[Room]
    room_members: Table[RoomMember]
    chat_messages: Table[ChatMessage]
    read_receipts: Table[ReadReceipt]
