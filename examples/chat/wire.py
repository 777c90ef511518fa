"""What several parts of the chat say and understand on the wire, and how names are written there."""

from __future__ import annotations

import uuid
from typing import Annotated

import msgspec

from .models import MESSAGE_LENGTH, ROOM_NAME_LENGTH, USER_NAME_LENGTH

# Something to see. NUL, which PostgreSQL cannot store, is kept out by the service's policy for text.
VISIBLE = r"\S"

MessageText = Annotated[str, msgspec.Meta(max_length=MESSAGE_LENGTH, pattern=VISIBLE)]
RoomName = Annotated[str, msgspec.Meta(max_length=ROOM_NAME_LENGTH, pattern=VISIBLE)]
UserName = Annotated[str, msgspec.Meta(max_length=USER_NAME_LENGTH, pattern=VISIBLE)]


class Wire(msgspec.Struct, rename="camel"):
    """Base of all that travels: ``room_id`` here is ``roomId`` there."""


class InRoom(Wire):
    """A request about a room."""

    room: uuid.UUID


class Person(Wire):
    """A user, as others see them."""

    user_id: str
    username: str


class PersonInRoom(Person):
    """Somebody who did something in a room."""

    room_id: uuid.UUID


def gateway_room(room: uuid.UUID) -> str:
    """What a room is called at the gateway, and by clients: to them services that share ``/ws`` share its names."""
    return f"chat:{room}"
