"""Who is there, as the gateway tells it, and who is typing."""

from __future__ import annotations

import pytest

from .clients import Chat, User, talking


async def test_user_is_there_while_a_window_is_open(chat: Chat) -> None:
    """Of two windows the first makes them come and the last makes them go."""
    una, ivo = User("Una"), User("Ivo")
    async with talking(chat, una, ivo) as (room, (observer, first)):
        async with chat.window(ivo) as second:
            await second.ask("room.join", room=room)
            await first.close()
            sent = await second.ask("chat.send", room=room, message="still here")
            assert (await observer.event())[1] == sent["message"]
            assert observer.there[f"chat:{room}"] == {una.id: "online", ivo.id: "online"}
        await observer.until_there(room, una)

        async with chat.window(ivo) as third:
            await third.ask("room.join", room=room)
            await observer.until_there(room, una, ivo)


async def test_window_that_joins_is_told_who_is_there(chat: Chat) -> None:
    """Each room by itself."""
    una, ivo, eve = User("Una"), User("Ivo"), User("Eve")
    async with talking(chat, una, ivo) as (one, _), talking(chat, una, eve) as (two, _), chat.window(una) as window:
        for room in (one, two):
            await window.ask("room.join", room=room)

        await window.until_there(one, una, ivo)
        await window.until_there(two, una, eve)


async def test_members_are_listed_whether_they_are_there_or_not(chat: Chat) -> None:
    """By name; those who are not there are no less members."""
    una, ivo = User("Una"), User("Ivo")
    async with talking(chat, una, ivo) as (room, (observer, window)):
        await window.close()
        await observer.until_there(room, una)
        joined = await observer.ask("room.join", room=room)

    assert joined["members"] == [ivo.person(), una.person()]


@pytest.mark.parametrize("is_typing", [True, False])
async def test_typing_is_told_to_the_others(chat: Chat, is_typing: bool) -> None:
    """No window of the typing user gets the event, and who did not ask for an answer gets none."""
    una, ivo = User("Una"), User("Ivo")
    async with talking(chat, una, ivo) as (room, (first, second)), chat.window(una) as third:
        await third.ask("room.join", room=room)
        await first.tell("chat.typing", room=room, isTyping=is_typing)
        assert await second.event() == ("user.typing", {**una.person(room), "isTyping": is_typing})
        sent = await first.ask("chat.send", room=room, message="x")

        for window in (first, third):
            assert (await window.event())[1]["id"] == sent["message"]["id"]


async def test_typing_is_answered_to_who_asks(chat: Chat) -> None:
    """With an id there is an answer, which has nothing to tell."""
    async with talking(chat, User("Una")) as (room, (una,)):
        assert await una.ask("chat.typing", room=room, isTyping=True) is None


async def test_typing_says_whether(chat: Chat) -> None:
    """isTyping has to be there, and to be true or false."""
    async with talking(chat, User("Una")) as (room, (una,)):
        missing = await una.refusal("chat.typing", room=room)
        wrong = await una.refusal("chat.typing", room=room, isTyping="yes")

    assert missing["details"]["field"] == wrong["details"]["field"] == "isTyping"


async def test_unknown_user_with_a_valid_token_is_taken_in(chat: Chat) -> None:
    """Who is in no table gets a row on the first connect, with the name that the token has."""
    newcomer = User("Zoë")
    async with talking(chat, newcomer) as (room, (window,)):
        await window.ask("chat.send", room=room, message="new here")
        (message,) = (await window.ask("chat.history", room=room))["messages"]

    assert message["username"] == "Zoë"
