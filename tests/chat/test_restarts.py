"""What clients notice when the service is killed: nothing, but a pause."""

from __future__ import annotations

import uuid

from .clients import Chat, User, talking


async def test_clients_stay_and_go_on_chatting_over_a_killed_service(own_chat: Chat) -> None:
    """After kill -9 and a new start the same sockets are in the same rooms, and nothing stored is lost."""
    una, ivo = User("Una"), User("Ivo")
    async with talking(own_chat, una, ivo) as (room, (first, second)):
        before = await first.ask("chat.send", room=room, message="before")
        assert (await second.event())[1]["id"] == before["message"]["id"]

        await own_chat.service.kill()
        meanwhile = await first.refusal("chat.send", room=room, message="meanwhile")
        await own_chat.restart_service()
        after = await second.ask("chat.send", room=room, message="after")

        assert (meanwhile["code"], meanwhile["type"]) == (503, "SERVICE_UNAVAILABLE")
        assert after["reached"] == 2
        assert [(await first.event())[1]["content"] for _ in range(2)] == ["before", "after"]
        history = await first.ask("chat.history", room=room)
        assert [message["content"] for message in history["messages"]] == ["before", "after"]


async def test_message_that_was_cut_off_is_sent_again_once(own_chat: Chat) -> None:
    """Its first try was stored by a process that died before it told anybody: then the second one tells."""
    una, ivo, key = User("Una"), User("Ivo"), str(uuid.uuid4())
    async with talking(own_chat, una, ivo) as (room, (first, second)):
        sent = await first.ask("chat.send", room=room, message="hello", key=key)
        assert (await second.event())[1] == sent["message"]
        async with own_chat.database() as db:
            await db.chat_messages.where_equals("key", uuid.UUID(key)).update(announced=False)

        tries = [await first.ask("chat.send", room=room, message="hello", key=key) for _ in range(2)]

        assert [(each["message"], each["reached"]) for each in tries] == [(sent["message"], 2), (sent["message"], 0)]
        assert (await second.event())[1] == sent["message"]


async def test_window_that_comes_back_to_a_new_service_gets_what_it_missed(own_chat: Chat) -> None:
    """The gateway has kept it; from a new gateway it would have to be read anew."""
    una, ivo = User("Una"), User("Ivo")
    async with talking(own_chat, una, ivo) as (room, (first, second)):
        here = (await second.ask("room.join", room=room))["position"]
        await second.close()
        await first.ask("chat.send", room=room, message="missed")
        await own_chat.service.kill()
        await own_chat.restart_service()

        async with own_chat.window(ivo) as again:
            assert (await again.ask("room.join", room=room, since=here))["recovered"]
            assert (await again.event())[1]["content"] == "missed"


async def test_who_is_there_is_known_to_a_new_service(own_chat: Chat) -> None:
    """And who went meanwhile is not."""
    una, ivo, eve = User("Una"), User("Ivo"), User("Eve")
    async with talking(own_chat, una, ivo, eve) as (room, (first, second, _)):
        await own_chat.service.kill()
        await second.close()
        await own_chat.restart_service()

        await first.until_there(room, una, eve)


async def test_seeding_again_does_not_put_back_who_left(own_chat: Chat) -> None:
    """The first rows are made once; what people did since stays."""
    charlie = User("Charlie", "33333333-3333-3333-3333-333333333333")
    general = "aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa"
    async with own_chat.window(charlie) as window:
        await window.ask("room.leave", room=general)
        await own_chat.service.stop()
        await own_chat.restart_service()

        assert (await window.refusal("chat.history", room=general))["code"] == 403
