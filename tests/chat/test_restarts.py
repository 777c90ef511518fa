"""What clients notice when the service is killed: nothing, but a pause."""

from __future__ import annotations

from .clients import Chat, User, talking


async def test_clients_stay_and_go_on_chatting_over_a_killed_service(own_chat: Chat) -> None:
    """After kill -9 and a new start the same sockets are in the same rooms, and nothing stored is lost."""
    una, ivo = User("Una"), User("Ivo")
    async with talking(own_chat, una, ivo) as (room, (first, second)):
        before = await first.ask("chat.send", room=room, message="before")
        assert (await second.event())[1]["id"] == before["messageId"]

        await own_chat.service.kill()
        meanwhile = await first.refusal("chat.send", room=room, message="meanwhile")
        await own_chat.restart_service()
        after = await second.ask("chat.send", room=room, message="after")

        assert (meanwhile["code"], meanwhile["type"]) == (503, "SERVICE_UNAVAILABLE")
        assert after["reached"] == 2
        assert [(await first.event())[1]["content"] for _ in range(2)] == ["before", "after"]
        history = await first.ask("chat.history", room=room)
        assert [message["content"] for message in history["messages"]] == ["before", "after"]


async def test_user_who_went_while_the_service_was_down_is_offline_after_it(own_chat: Chat) -> None:
    """The new process is told what its predecessor missed, and tells the room."""
    una, ivo = User("Una"), User("Ivo")
    async with talking(own_chat, una, ivo) as (room, (first, second)):
        await own_chat.service.kill()
        await second.close()
        await own_chat.restart_service()

        assert await first.presence() == ("user.offline", ivo.person(room))


async def test_seeding_again_does_not_put_back_who_left(own_chat: Chat) -> None:
    """The first rows are made once; what people did since stays."""
    charlie = User("Charlie", "33333333-3333-3333-3333-333333333333")
    general = "aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa"
    async with own_chat.window(charlie) as window:
        await window.ask("chat.leave", room=general)
        await own_chat.service.stop()
        await own_chat.restart_service()

        assert (await window.refusal("chat.history", room=general))["code"] == 403
