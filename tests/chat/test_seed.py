"""What somebody sees who opens the chat for the first time, in development."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import sqlalchemy as sa

from examples.chat.development import ALICE, DEMO_USERS
from examples.chat.seed import GENERAL, PRIVATE, RANDOM
from pylinkd.db import open_database
from tests.processes import start_program

from .clients import SERVICE, Chat, User, upgrade


async def test_first_screen_is_not_empty(own_chat: Chat) -> None:
    """Rooms that one is in and rooms that one is not, a private one, some days of messages, and something unread."""
    alice = User("Alice", ALICE)
    async with own_chat.window(alice) as window:
        rooms = (await window.ask("room.list"))["rooms"]
        histories = {
            room["id"]: (await window.ask("chat.history", room=room["id"]))["messages"]
            for room in rooms
            if room["isMember"]
        }

    assert [(room["name"], room["isMember"], room["isPrivate"], room["unread"]) for room in rooms] == [
        ("General", True, False, 0),
        ("Random", True, False, 1),
        ("Private Room", True, True, 0),
        ("Releases", False, False, 0),
        ("Reading circle", False, False, 0),
    ]
    assert list(histories) == [str(GENERAL), str(RANDOM), str(PRIVATE)]
    general = histories[str(GENERAL)]
    assert {message["userId"] for message in general} == set(DEMO_USERS)
    times = [datetime.fromisoformat(message["createdAt"]) for message in general]
    assert times == sorted(set(times))
    assert times[-1] < datetime.now(UTC)
    assert times[-1] - times[0] > timedelta(days=2)


async def test_tables_of_an_older_chat_stop_the_start(tmp_path: Path) -> None:
    """With one sentence, rather than to fail with each message."""
    url = f"sqlite:///{tmp_path}/old.db"
    async with open_database(url) as db:
        await db.execute(sa.text("CREATE TABLE chat_messages (id CHAR(32) PRIMARY KEY, content VARCHAR)"))
    await upgrade(tmp_path, url, "--adopt", "0001")

    program = await start_program(tmp_path, "service", "run", str(SERVICE), env={"CHAT_DATABASE": url})

    assert await program.process.wait() == 1
    assert "made by an older chat" in program.text()
    assert "Traceback" not in program.text()
