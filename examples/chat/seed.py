"""The first rows: three users and three rooms, so that a fresh chat has something to show."""

from __future__ import annotations

from uuid import UUID

from pylinkd import Service

from .models import ChatDatabase

ALICE = "11111111-1111-1111-1111-111111111111"
BOB = "22222222-2222-2222-2222-222222222222"
CHARLIE = "33333333-3333-3333-3333-333333333333"

GENERAL = UUID("aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa")
RANDOM = UUID("bbbbbbbb-bbbb-bbbb-bbbb-bbbbbbbbbbbb")
PRIVATE = UUID("cccccccc-cccc-cccc-cccc-cccccccccccc")

_USERS = {ALICE: "Alice", BOB: "Bob", CHARLIE: "Charlie"}
_ROOMS = {GENERAL: "General", RANDOM: "Random", PRIVATE: "Private Room"}
_MEMBERS = {GENERAL: (ALICE, BOB, CHARLIE), RANDOM: (ALICE, BOB), PRIVATE: (ALICE, BOB)}


async def seed(service: Service[ChatDatabase]) -> None:
    """Create the tables, and fill them unless somebody has: who left a room is not put back into it."""
    db = service.db
    await db.create_all()
    async with db.transaction():
        if await db.users.exists():
            return
        await db.users.insert_many({"id": user, "name": name} for user, name in _USERS.items())
        await db.rooms.insert_many(
            {"id": room, "name": name, "is_private": room == PRIVATE} for room, name in _ROOMS.items()
        )
        await db.room_members.insert_many(
            {"room_id": room, "user_id": user} for room, users in _MEMBERS.items() for user in users
        )
