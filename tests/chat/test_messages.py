"""Sending, history and read receipts."""

from __future__ import annotations

import asyncio
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from .clients import Chat, User, talking


async def test_message_reaches_everybody_in_the_room(chat: Chat) -> None:
    """All windows get the same event, the sender's too, and the answer says how many did."""
    una, ivo = User("Una"), User("Ivo")
    async with talking(chat, una, ivo) as (room, (first, second)):
        sent = await first.ask("chat.send", room=room, message="Hello ✨")

        type, message = await second.event()
        assert type == "chat.message"
        assert sent == {"message": message, "reached": 2}
        assert await first.event() == (type, message)
        created_at = datetime.fromisoformat(message.pop("createdAt"))
        assert abs(datetime.now(UTC) - created_at) < timedelta(minutes=1)
        assert message == {
            "id": sent["message"]["id"], "roomId": room, "userId": una.id, "username": "Una",
            "content": "Hello ✨", "messageType": "text", "metadata": None, "key": None,
        }  # fmt: skip


async def test_metadata_comes_back_unchanged(chat: Chat) -> None:
    """What a client adds for itself is in the event and in the history, as it was."""
    metadata = {"clientId": "c-1", "ünï": [1, 2.5, None, True, {"zero": ""}], "b": 1, "a": 2}
    async with talking(chat, User("Una")) as (room, (una,)):
        await una.ask("chat.send", room=room, message="look", type="image", metadata=metadata)
        _, event = await una.event()
        (stored,) = (await una.ask("chat.history", room=room))["messages"]

    assert event == stored
    assert event["metadata"] == metadata
    assert list(event["metadata"]) == list(metadata)
    assert event["messageType"] == "image"


async def test_message_that_is_sent_again_is_stored_and_told_once(chat: Chat) -> None:
    """The client could not know whether it came: the answer is the message as it is, whatever else happened since."""
    key = str(uuid.uuid4())
    async with talking(chat, User("Una"), User("Ivo")) as (room, (una, ivo)):
        first = await una.ask("chat.send", room=room, message="cafe\u0301", key=key)
        between = await una.ask("chat.send", room=room, message="between")
        again = await una.ask("chat.send", room=room, message="cafe\u0301", key=key, metadata={"try": 2})
        last = await una.ask("chat.send", room=room, message="last")
        told = [(await ivo.event())[1] for _ in range(3)]
        stored = (await una.ask("chat.history", room=room))["messages"]

    assert first["message"]["key"] == key
    assert again == {"message": first["message"], "reached": 0}
    assert told == stored == [first["message"], between["message"], last["message"]]


async def test_message_that_is_sent_again_at_once_is_stored_once(chat: Chat) -> None:
    """In two windows of the user in the same moment, too."""
    una, key = User("Una"), str(uuid.uuid4())
    async with talking(chat, una) as (room, (window,)), chat.window(una) as second:
        answers = await asyncio.gather(
            *(each.ask("chat.send", room=room, message="once", key=key) for each in (window, second))
        )
        stored = (await window.ask("chat.history", room=room))["messages"]

    assert [answer["message"] for answer in answers] == stored * 2


async def test_key_is_its_users_own(chat: Chat) -> None:
    """Somebody else's message may have the same one."""
    key = str(uuid.uuid4())
    async with talking(chat, User("Una"), User("Ivo")) as (room, (una, ivo)):
        first = await una.ask("chat.send", room=room, message="mine", key=key)
        second = await ivo.ask("chat.send", room=room, message="mine, too", key=key)

    assert second["reached"] == 2
    assert first["message"]["id"] != second["message"]["id"]


async def test_key_of_another_message_is_refused(chat: Chat) -> None:
    """Rather than to lose what has come with it."""
    una, key = User("Una"), str(uuid.uuid4())
    async with talking(chat, una) as (room, (window,)):
        other = await chat.new_room(una)
        await window.ask("chat.send", room=room, message="one", key=key)
        refusals = [
            await window.refusal("chat.send", room=room, message="two", key=key),
            await window.refusal("chat.send", room=other, message="one", key=key),
        ]

    assert [(refusal["code"], refusal["type"]) for refusal in refusals] == [(409, "KEY_USED")] * 2


async def test_message_goes_to_no_other_room(chat: Chat) -> None:
    """Who is in another room only, hears of that room only."""
    async with talking(chat, User("Una")) as (room, (una,)), talking(chat, User("Ivo")) as (other, (ivo,)):
        await una.ask("chat.send", room=room, message="here")
        sent = await ivo.ask("chat.send", room=other, message="there")

        assert (await ivo.event())[1]["id"] == sent["message"]["id"]


@pytest.mark.parametrize("text", ["", " ", "\n\t\u00a0", "x" * 2001, "nul \0 nul", None, 7, ["x"]])
async def test_text_must_be_visible_and_at_most_2000_characters(chat: Chat, text: Any) -> None:
    """Anything else is refused with the field's name, and nothing is stored."""
    async with talking(chat, User("Una")) as (room, (una,)):
        refusal = await una.refusal("chat.send", room=room, message=text)
        history = await una.ask("chat.history", room=room)

    assert (refusal["code"], refusal["type"]) == (422, "VALIDATION_ERROR")
    assert refusal["details"]["field"] == "message"
    assert history == {"messages": [], "hasMore": False}


@pytest.mark.parametrize("text", ["x", "x" * 2000, "🙂" * 2000, "\n x \n", "<img src=x onerror=alert(1)>"])
async def test_text_is_kept_as_it_was_written(chat: Chat, text: str) -> None:
    """Length is counted in characters, and nothing is trimmed or escaped."""
    async with talking(chat, User("Una")) as (room, (una,)):
        await una.ask("chat.send", room=room, message=text)
        (message,) = (await una.ask("chat.history", room=room))["messages"]

    assert message["content"] == text


async def test_text_is_composed(chat: Chat) -> None:
    """What looks the same is the same, on whatever keyboard it was written."""
    async with talking(chat, User("Una")) as (room, (una,)):
        await una.ask("chat.send", room=room, message="cafe\u0301")
        (message,) = (await una.ask("chat.history", room=room))["messages"]

    assert message["content"] == "caf\u00e9"


@pytest.mark.parametrize(
    ("data", "field"),
    [
        ({"type": "system"}, "type"),
        ({"key": "k-1"}, "key"),
        ({"metadata": "x"}, "metadata"),
        ({"metadata": [1]}, "metadata"),
        ({"metadata": {"zero\0": ""}}, "metadata[...]"),
        ({"metadata": {"x": ["\u202e"]}}, "metadata.x[0]"),
    ],
)
async def test_send_names_the_field_at_fault(chat: Chat, data: dict[str, Any], field: str) -> None:
    """A type that is not known, such as the page's own notices, and metadata that is no object are refused."""
    async with talking(chat, User("Una")) as (room, (una,)):
        refusal = await una.refusal("chat.send", room=room, message="x", **data)

    assert refusal["details"]["field"] == field


async def test_send_without_id_gets_no_answer(chat: Chat) -> None:
    """The event is all that comes."""
    async with talking(chat, User("Una")) as (room, (una,)):
        await una.tell("chat.send", room=room, message="quiet")
        await una.tell("chat.send", room=room, message="please")

        assert [(await una.event())[1]["content"] for _ in range(2)] == ["quiet", "please"]


async def test_history_is_read_page_by_page(chat: Chat) -> None:
    """Each page is oldest first, pages go backwards, none has a message twice, and the last one says so."""
    async with talking(chat, User("Una")) as (room, (una,)):
        for number in range(7):
            await una.ask("chat.send", room=room, message=str(number))

        latest = await una.ask("chat.history", room=room, limit=3)
        middle = await una.ask("chat.history", room=room, limit=3, before=latest["messages"][0]["id"])
        oldest = await una.ask("chat.history", room=room, limit=3, before=middle["messages"][0]["id"])
        exact = await una.ask("chat.history", room=room, limit=4, before=latest["messages"][0]["id"])

    pages = [[message["content"] for message in page["messages"]] for page in (oldest, middle, latest, exact)]
    assert pages == [["0"], ["1", "2", "3"], ["4", "5", "6"], ["0", "1", "2", "3"]]
    assert [page["hasMore"] for page in (latest, middle, oldest, exact)] == [True, True, False, False]


async def test_history_has_50_messages_unless_told(chat: Chat) -> None:
    """The limit's default is 50."""
    async with talking(chat, User("Una")) as (room, (una,)):
        for number in range(51):
            await una.tell("chat.send", room=room, message=str(number))
        history = await una.ask("chat.history", room=room)

    assert len(history["messages"]) == 50
    assert history["hasMore"]
    assert history["messages"][-1]["content"] == "50"


@pytest.mark.parametrize("limit", [0, 101, -1, "10", 1.5])
async def test_history_limit_is_a_number_from_1_to_100(chat: Chat, limit: Any) -> None:
    """Anything else is refused."""
    async with talking(chat, User("Una")) as (room, (una,)):
        refusal = await una.refusal("chat.history", room=room, limit=limit)

    assert (refusal["code"], refusal["details"]["field"]) == (422, "limit")


async def test_history_before_a_message_of_another_room_is_not_found(chat: Chat) -> None:
    """A message elsewhere and one that does not exist give the same answer."""
    async with talking(chat, User("Una")) as (room, (una,)), talking(chat, User("Ivo")) as (other, (ivo,)):
        elsewhere = (await ivo.ask("chat.send", room=other, message="x"))["message"]["id"]
        missing = str(uuid.uuid4())
        answers = [await una.refusal("chat.history", room=room, before=before) for before in (elsewhere, missing)]

    assert answers[0]["code"] == 404
    assert str(answers[0]).replace(elsewhere, missing) == str(answers[1])


async def test_unread_counts_what_others_wrote_since_the_last_read(chat: Chat) -> None:
    """One's own messages do not count, and reading an older message again changes nothing."""
    una, ivo = User("Una"), User("Ivo")

    async def unread() -> int:
        rooms = (await second.ask("room.list"))["rooms"]
        count: int = next(each["unread"] for each in rooms if each["id"] == room)
        return count

    async with talking(chat, una, ivo) as (room, (first, second)):
        ids = [(await first.ask("chat.send", room=room, message=str(number)))["message"]["id"] for number in range(3)]
        await second.ask("chat.send", room=room, message="mine")

        assert await unread() == 3
        assert await second.ask("chat.read", message=ids[1]) is None
        assert await unread() == 1
        await second.ask("chat.read", message=ids[0])
        assert await unread() == 1
        await second.ask("chat.read", message=ids[2])
        assert await unread() == 0


async def test_last_read_message_is_told_with_the_room(chat: Chat) -> None:
    """A client that comes back knows where its user stopped reading."""
    una = User("Una")
    async with talking(chat, una) as (room, (window,)):
        sent = await window.ask("chat.send", room=room, message="x")
        await window.ask("chat.read", message=sent["message"]["id"])
        answer = await chat.http("GET", f"/chat/rooms/{room}", una)

    assert answer.json()["room"]["lastReadMessageId"] == sent["message"]["id"]


async def test_message_of_a_foreign_room_cannot_be_read(chat: Chat) -> None:
    """To who is no member it answers like a message that does not exist."""
    async with talking(chat, User("Una")) as (room, (una,)), chat.window(User("Ivo")) as ivo:
        sent = (await una.ask("chat.send", room=room, message="x"))["message"]["id"]
        missing = str(uuid.uuid4())
        answers = [await ivo.refusal("chat.read", message=message) for message in (sent, missing)]

    assert answers[0]["code"] == 404
    assert str(answers[0]).replace(sent, missing) == str(answers[1])
