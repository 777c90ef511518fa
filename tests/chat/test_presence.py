"""Who is online, and who is typing."""

from __future__ import annotations

import asyncio

import pytest

from .clients import Chat, User, talking


async def test_first_window_and_last_window_are_announced(chat: Chat) -> None:
    """Of two windows the first makes the user online and the last offline; between them the room hears nothing."""
    una, ivo = User("Una"), User("Ivo")
    async with talking(chat, una, ivo) as (room, (observer, first)):
        async with chat.window(ivo) as second:
            await first.close()
            sent = await second.ask("chat.send", room=room, message="still here")

            assert (await observer.event())[1]["id"] == sent["messageId"]
        assert await observer.presence() == ("user.offline", ivo.person(room))

        async with chat.window(ivo):
            assert await observer.presence() == ("user.online", ivo.person(room))


async def test_two_windows_that_open_at_once_are_announced_once(chat: Chat) -> None:
    """However they overtake each other, one of them is the first."""
    una, ivo = User("Una"), User("Ivo")
    async with talking(chat, una, ivo) as (room, (observer, window)):
        await window.close()
        assert (await observer.presence())[0] == "user.offline"

        windows = [chat.window(ivo) for _ in range(5)]
        opened = await asyncio.gather(*(each.__aenter__() for each in windows))
        sent = await opened[-1].ask("chat.send", room=room, message="here")

        assert await observer.presence() == ("user.online", ivo.person(room))
        assert (await observer.event())[1]["id"] == sent["messageId"]
        await asyncio.gather(*(each.__aexit__(None, None, None) for each in windows))


async def test_presence_is_told_once_in_every_room(chat: Chat) -> None:
    """Somebody who shares two rooms hears of each once."""
    una, ivo = User("Una"), User("Ivo")
    async with talking(chat, una, ivo) as (one, (observer, window)):
        two = await chat.new_room(una)
        await observer.ask("chat.join", room=two)
        await window.ask("chat.join", room=two)
        assert (await observer.event())[0] == "user.joined"
        await observer.until("user.online", ivo.person(two))
        await window.close()

        gone = [await observer.presence() for _ in range(2)]
        async with chat.window(ivo):
            back = [await observer.presence() for _ in range(2)]

    assert {type for type, _ in gone} == {"user.offline"}
    assert {type for type, _ in back} == {"user.online"}
    assert {data["roomId"] for _, data in gone} == {data["roomId"] for _, data in back} == {one, two}


async def test_page_that_is_loaded_anew_is_no_going(chat: Chat) -> None:
    """The window is closed, and the next one opens at once: the others hear nothing."""
    una, ivo = User("Una"), User("Ivo")
    async with talking(chat, una, ivo) as (room, (observer, window)):
        for _ in range(3):
            await window.close()
            window = await chat.window(ivo).__aenter__()
        await window.close()
        assert await observer.presence() == ("user.offline", ivo.person(room))


async def test_members_who_are_not_there_are_listed(chat: Chat) -> None:
    """As offline, by name."""
    una, ivo = User("Una"), User("Ivo")
    async with talking(chat, una, ivo) as (room, (observer, window)):
        await window.close()
        await observer.until("user.offline", ivo.person(room))
        joined = await observer.ask("chat.join", room=room)

    assert joined["members"] == [{**ivo.person(), "online": False}, {**una.person(), "online": True}]


async def test_who_leaves_a_room_is_not_offline_there(chat: Chat) -> None:
    """But a member no more: the next who is told of is somebody else."""
    una, ivo, eve = User("Una"), User("Ivo"), User("Eve")
    async with talking(chat, una, ivo) as (room, (observer, window)):
        await window.ask("chat.leave", room=room)
        assert (await observer.event())[0] == "user.left"
        async with chat.window(eve) as other:
            await other.ask("chat.join", room=room)
            assert await observer.presence() == ("user.online", eve.person(room))


async def test_online_has_each_user_once(chat: Chat) -> None:
    """Two windows of a user are one person."""
    una = User("Una")
    async with talking(chat, una) as (room, (window,)), chat.window(una):
        joined = await window.ask("chat.join", room=room)

    assert joined["online"] == [una.person()]


async def test_second_window_is_in_the_rooms_without_joining(chat: Chat) -> None:
    """On connect a user enters all rooms that they are a member of."""
    una = User("Una")
    async with talking(chat, una) as (room, (window,)), chat.window(una) as second:
        sent = await window.ask("chat.send", room=room, message="x")

        assert sent["reached"] == 2
        assert (await second.event())[1]["id"] == sent["messageId"]


@pytest.mark.parametrize("is_typing", [True, False])
async def test_typing_is_told_to_the_others(chat: Chat, is_typing: bool) -> None:
    """No window of the typing user gets the event, and who did not ask for an answer gets none."""
    una, ivo = User("Una"), User("Ivo")
    async with talking(chat, una, ivo) as (room, (first, second)), chat.window(una) as third:
        await first.tell("chat.typing", room=room, isTyping=is_typing)
        assert await second.event() == ("user.typing", {**una.person(room), "isTyping": is_typing})
        sent = await first.ask("chat.send", room=room, message="x")

        for window in (first, third):
            assert (await window.event())[1]["id"] == sent["messageId"]


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
