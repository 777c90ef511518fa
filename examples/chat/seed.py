"""In development the first rows: four users, and what they have said to each other these days."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from pylinkd import Service, SetupError
from pylinkd.db import StatementError

from .accounts import name_key
from .development import ALICE, BOB, CHARLIE, DANA, DEMO_PASSWORD, DEMO_USERS
from .models import ChatDatabase, now
from .passwords import passwords
from .settings import DEVELOPMENT

GENERAL = UUID("aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa")
RANDOM = UUID("bbbbbbbb-bbbb-bbbb-bbbb-bbbbbbbbbbbb")
PRIVATE = UUID("cccccccc-cccc-cccc-cccc-cccccccccccc")
RELEASES = UUID("dddddddd-dddd-dddd-dddd-dddddddddddd")
READING = UUID("eeeeeeee-eeee-eeee-eeee-eeeeeeeeeeee")


class _Room(NamedTuple):
    name: str
    members: tuple[str, ...]
    is_private: bool = False


_ROOMS = {
    GENERAL: _Room("General", (ALICE, BOB, CHARLIE, DANA)),
    RANDOM: _Room("Random", (ALICE, BOB, DANA)),
    PRIVATE: _Room("Private Room", (ALICE, BOB), is_private=True),
    RELEASES: _Room("Releases", (BOB, CHARLIE)),
    READING: _Room("Reading circle", (DANA,)),
}

# Room, days ago, time of the day, who, what; in order.
_SAID: list[tuple[UUID, int, str, str, str]] = [
    (READING, 6, "19:04", DANA, "Next up: A Wizard of Earthsea. Join if you like short books and long talks."),
    (GENERAL, 4, "09:02", BOB, "Good morning! Charlie starts today, say hello."),
    (GENERAL, 4, "09:03", DANA, "Hello Charlie 👋"),
    (GENERAL, 4, "09:05", CHARLIE, "Hello everybody! Which machine is the one not to touch?"),
    (GENERAL, 4, "09:06", BOB, "The one with the sticker. You will know it when you see the sticker."),
    (GENERAL, 4, "09:11", ALICE, "Welcome! I can show you around at eleven."),
    (GENERAL, 4, "09:12", CHARLIE, "Eleven is perfect, thank you."),
    (RELEASES, 4, "15:40", BOB, "2.4 is out: rooms remember, and a phone that slept gets what it missed."),
    (RELEASES, 4, "15:52", CHARLIE, "On my first day! I take no credit at all."),
    (RANDOM, 3, "12:31", DANA, "The bakery is back from its holiday. I repeat: the bakery is back."),
    (RANDOM, 3, "12:33", ALICE, "Two cinnamon rolls for me, please, whoever goes."),
    (RANDOM, 3, "12:34", BOB, "Going now. Four it is, I know how this ends."),
    (RANDOM, 3, "13:02", DANA, "It ended with five."),
    (GENERAL, 2, "10:20", CHARLIE, "The numbers of last night's load test look odd, a flat line from two until four."),
    (GENERAL, 2, "10:24", ALICE, "That was me: I pulled the network cable to see what the clients do."),
    (GENERAL, 2, "10:25", CHARLIE, "And what do they do?"),
    (GENERAL, 2, "10:27", ALICE, "Wait, come back, and go on where they stopped. Nobody lost a message."),
    (GENERAL, 2, "10:28", BOB, "Please write that into the report exactly like this."),
    (PRIVATE, 2, "16:10", ALICE, "Dana has been here for five years next week. Cake or flowers?"),
    (PRIVATE, 2, "16:12", BOB, "Cake. And the card with the cat, I have it in my drawer."),
    (PRIVATE, 2, "16:13", ALICE, "You have a card with a cat in your drawer?"),
    (PRIVATE, 2, "16:13", BOB, "Several."),
    (GENERAL, 1, "08:58", BOB, "I am about to restart the chat service. Does anybody mind?"),
    (GENERAL, 1, "08:59", CHARLIE, "Will it throw us out?"),
    (GENERAL, 1, "09:00", BOB, "No. The gateway keeps every connection, the service comes back behind it."),
    (GENERAL, 1, "09:01", ALICE, "Go ahead, I will keep typing and see what happens."),
    (GENERAL, 1, "09:02", BOB, "Done, it is back."),
    (GENERAL, 1, "09:02", ALICE, "Nothing happened here 🎉"),
    (GENERAL, 1, "09:04", CHARLIE, "Nor here. Shall we ship at noon, then?"),
    (GENERAL, 1, "09:05", DANA, "Noon it is. I will watch the graphs."),
    (RANDOM, 1, "17:45", BOB, "Who takes the last croissant?"),
]

# Up to which of their messages, by number from the end, who has read a room; all that come before it are read, too.
_READ = {(GENERAL, ALICE): 1, (GENERAL, BOB): 1, (RANDOM, ALICE): 2, (PRIVATE, ALICE): 1, (PRIVATE, BOB): 1}


async def seed(service: Service[ChatDatabase]) -> None:
    """Fill the tables in development, unless somebody has: who left a room is not put back into it.

    Raises:
        SetupError: If the tables are those of an older chat.
    """
    db = service.db
    try:
        await db.accounts.first()
        await db.chat_messages.first()
    except StatementError as error:
        raise SetupError(
            "the database of CHAT_DATABASE was made by an older chat, and has other tables: take a new one"
        ) from error
    if DEVELOPMENT and not await db.users.exists():
        password = await passwords.hash(DEMO_PASSWORD)
        async with db.transaction():
            if not await db.users.exists():  # another instance may have been quicker
                await _fill(db, password)


async def _fill(db: ChatDatabase, password: str) -> None:
    today = now()
    begun = today - timedelta(days=7)
    await db.users.insert_many({"id": id, "name": name, "created_at": begun} for id, name in DEMO_USERS.items())
    await db.accounts.insert_many(
        {"user_id": id, "name_key": name_key(name), "password_hash": password} for id, name in DEMO_USERS.items()
    )
    await db.rooms.insert_many(
        {
            "id": id,
            "name": room.name,
            "is_private": room.is_private,
            # The order in which they are listed.
            "created_at": begun + timedelta(seconds=number),
        }
        for number, (id, room) in enumerate(_ROOMS.items())
    )
    await db.room_members.insert_many(
        {"room_id": id, "user_id": user, "joined_at": begun} for id, room in _ROOMS.items() for user in room.members
    )
    await db.chat_messages.insert_many(_messages(today))
    for (room, user), number in _READ.items():
        messages = await db.chat_messages.where_equals("room_id", room).order_by("-created_at").limit(number).get()
        last = messages[-1]
        await db.read_receipts.insert(room_id=room, user_id=user, message_id=last.id, read_until=last.created_at)


def _messages(today: datetime) -> Iterator[dict[str, Any]]:
    for number, (room, days, time, user, text) in enumerate(_SAID):
        hour, _, minute = time.partition(":")
        # A second of its own: two of one minute are to keep their order.
        day = (today - timedelta(days=days)).replace(hour=int(hour), minute=int(minute), second=0, microsecond=0)
        at = day + timedelta(seconds=number)
        yield {"room_id": room, "user_id": user, "content": text, "created_at": at, "announced": True}
