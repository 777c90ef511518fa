"""Joining, leaving, listing and creating rooms; what a private room shows to others, which is nothing."""

from __future__ import annotations

import asyncio
import json
import uuid
from typing import Any

import pytest
from websockets.asyncio.client import connect

from examples.chat.membership import MOST_ROOMS

from .clients import Chat, Client, User, talking

ALICE = User("Alice", "11111111-1111-1111-1111-111111111111")
CHARLIE = User("Charlie", "33333333-3333-3333-3333-333333333333")
GENERAL = "aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa"
RANDOM = "bbbbbbbb-bbbb-bbbb-bbbb-bbbbbbbbbbbb"
PRIVATE = "cccccccc-cccc-cccc-cccc-cccccccccccc"

ABOUT_ROOMS: list[tuple[str, dict[str, Any]]] = [
    ("room.join", {}),
    ("room.join", {"since": {"epoch": "x", "offset": 1}}),
    ("room.leave", {}),
    ("room.invite", {"user": "Alice"}),
    ("room.invite", {"user": "nobody at all"}),
    ("chat.send", {"message": "hello"}),
    ("chat.typing", {"isTyping": True}),
    ("chat.history", {}),
]


async def _rooms(chat: Chat, user: User) -> dict[str, Any]:
    async with chat.window(user) as window:
        return {room["id"]: room for room in (await window.ask("room.list"))["rooms"]}


async def test_seeded_member_sees_all_three_rooms(chat: Chat) -> None:
    """Alice is a member of General, Random and the private room."""
    rooms = await _rooms(chat, ALICE)

    assert [rooms[room]["name"] for room in (GENERAL, RANDOM, PRIVATE)] == ["General", "Random", "Private Room"]
    assert [rooms[room]["isPrivate"] for room in (GENERAL, RANDOM, PRIVATE)] == [False, False, True]
    assert all(rooms[room]["isMember"] for room in (GENERAL, RANDOM, PRIVATE))
    assert rooms[PRIVATE]["memberCount"] == 2


async def test_others_see_public_rooms_only(chat: Chat) -> None:
    """Charlie sees Random, which he may join, and nothing of the private room."""
    rooms = await _rooms(chat, CHARLIE)

    assert rooms[GENERAL]["isMember"]
    assert not rooms[RANDOM]["isMember"]
    assert PRIVATE not in rooms


@pytest.mark.parametrize(("type", "data"), ABOUT_ROOMS)
async def test_private_room_answers_as_if_it_did_not_exist(chat: Chat, type: str, data: dict[str, Any]) -> None:
    """Apart from the id the answers are the same bytes."""
    missing = str(uuid.uuid4())
    async with chat.window(CHARLIE) as charlie:
        to_private = await charlie.refusal(type, room=PRIVATE, **data)
        to_missing = await charlie.refusal(type, room=missing, **data)

    assert to_private["code"] == 404
    assert json.dumps(to_private).replace(PRIVATE, missing) == json.dumps(to_missing)


async def test_private_room_over_http_answers_as_if_it_did_not_exist(chat: Chat) -> None:
    """Status, body and headers are the same apart from the id and the date."""
    missing = str(uuid.uuid4())

    to_private = await chat.http("GET", f"/chat/rooms/{PRIVATE}", CHARLIE)
    to_missing = await chat.http("GET", f"/chat/rooms/{missing}", CHARLIE)

    assert to_private.status_code == to_missing.status_code == 404
    assert to_private.text.replace(PRIVATE, missing) == to_missing.text
    assert to_private.headers.keys() == to_missing.headers.keys()


@pytest.mark.parametrize(("type", "data"), [each for each in ABOUT_ROOMS[1:] if each[0] != "room.leave"])
async def test_public_room_is_used_by_members_only(chat: Chat, type: str, data: dict[str, Any]) -> None:
    """Who sees a public room and has not joined it is told to."""
    room = await chat.new_room(User("Owner"))

    async with chat.window(User("Guest")) as guest:
        refusal = await guest.refusal(type, room=room, **data)

    assert (refusal["code"], refusal["type"]) == (403, "FORBIDDEN")


async def test_join_answers_who_the_members_are_and_tells_the_room(chat: Chat) -> None:
    """Those who are not there are among them: the gateway tells who is."""
    una, ivo = User("Una"), User("Ivo")
    room = await chat.new_room(una)
    async with chat.window(una) as first, chat.window(ivo) as second, chat.window(ivo) as third:
        await first.ask("room.join", room=room)
        joined = await second.ask("room.join", room=room)

        place = second.place(room)
        assert joined == {
            "room": room,
            "position": {"epoch": place["epoch"], "offset": 1},  # behind what tells of this member
            "recovered": False,
            "memberCount": 2,
            "members": [ivo.person(), una.person()],
        }
        assert place["offset"] == 1
        assert await first.event() == ("user.joined", ivo.person(room))
        type, added = await third.event()
        assert (type, added["room"]["id"], added["invitedBy"]) == ("room.added", room, None)


async def test_window_that_comes_back_gets_what_it_missed(chat: Chat) -> None:
    """In order and before anything new; from where it left off, each once."""
    una, ivo = User("Una"), User("Ivo")
    async with talking(chat, una, ivo) as (room, (first, second)):
        here = (await second.ask("room.join", room=room))["position"]
        await second.close()
        for text in ("one", "two"):
            await first.ask("chat.send", room=room, message=text)

        async with chat.window(ivo) as again:
            joined = await again.ask("room.join", room=room, since=here)
            await first.ask("chat.send", room=room, message="three")

            offset = here["offset"]
            assert (joined["recovered"], joined["position"]["offset"]) == (True, offset + 2)
            assert again.place(room)["replayed"] == 2
            assert [await again.placed_event() for _ in range(3)] == [
                ("one", offset + 1), ("two", offset + 2), ("three", offset + 3),
            ]  # fmt: skip


async def test_window_that_missed_too_much_is_told_so(chat: Chat) -> None:
    """It gets nothing of it, and reads the messages anew."""
    una = User("Una")
    async with talking(chat, una) as (room, (window,)), chat.window(una) as second:
        joined = await second.ask("room.join", room=room, since={"epoch": "of-another-gateway", "offset": 7})

        assert not joined["recovered"]
        assert second.place(room)["recovered"] is False
        await window.ask("chat.send", room=room, message="new")
        assert (await second.event())[1]["content"] == "new"


async def test_first_load_misses_nothing(chat: Chat) -> None:
    """Whatever is sent while a window joins and then reads is in what it read, or comes as an event."""
    una, ivo = User("Una"), User("Ivo")
    texts = [str(number) for number in range(40)]
    async with talking(chat, una) as (room, (writer,)), chat.window(ivo) as window:

        async def write() -> None:
            for text in texts:
                await writer.ask("chat.send", room=room, message=text)

        writing = asyncio.create_task(write())
        while (await writer_sent(chat, una, room)) < 5:
            pass
        await window.ask("room.join", room=room)
        read = [message["content"] for message in (await window.ask("chat.history", room=room))["messages"]]
        await writing
        while texts[-1] not in read:
            type, data = await window.event()
            if type == "chat.message" and data["content"] not in read:
                read.append(data["content"])

    assert read == texts


async def writer_sent(chat: Chat, user: User, room: str) -> int:
    """How many messages are stored."""
    async with chat.window(user) as window:
        return len((await window.ask("chat.history", room=room))["messages"])


async def test_window_that_comes_back_does_not_undo_a_leaving(chat: Chat) -> None:
    """Somebody left in another window while this one was away: it is told, and they stay outside."""
    una, ivo = User("Una"), User("Ivo")
    async with talking(chat, una, ivo) as (room, (_, second)), chat.window(ivo) as third:
        here = (await third.ask("room.join", room=room))["position"]
        await second.ask("room.leave", room=room)

        refusal = await third.refusal("room.join", room=room, since=here)

        assert (refusal["code"], refusal["type"]) == (403, "FORBIDDEN")
        listed = {each["id"]: each for each in (await third.ask("room.list"))["rooms"]}
        assert not listed[room]["isMember"]


async def test_joining_twice_tells_nobody(chat: Chat) -> None:
    """The second answer is the first one's, and the room hears nothing of it."""
    async with talking(chat, User("Una"), User("Ivo")) as (room, (una, ivo)):
        again = await ivo.ask("room.join", room=room)
        sent = await ivo.ask("chat.send", room=room, message="next")

        assert again["memberCount"] == 2
        assert (await una.event())[1]["id"] == sent["message"]["id"]


async def test_leave_ends_membership_in_all_windows(chat: Chat) -> None:
    """The room hears of it, and no window of the user gets what is said afterwards."""
    una, ivo = User("Una"), User("Ivo")
    async with talking(chat, una, ivo) as (room, (first, second)), chat.window(ivo) as third:
        await third.ask("room.join", room=room)
        assert await second.ask("room.leave", room=room) is None

        assert await first.event() == ("user.left", ivo.person(room))
        assert await third.event() == ("user.left", ivo.person(room))
        assert await third.event() == ("room.removed", {"roomId": room})
        await first.until_there(room, una)
        assert (await first.ask("chat.send", room=room, message="alone"))["reached"] == 1
        assert (await third.refusal("chat.send", room=room, message="still here"))["code"] == 403


async def test_user_who_left_is_a_member_no_more(chat: Chat) -> None:
    """The membership that is stored ends too."""
    una, ivo = User("Una"), User("Ivo")
    async with talking(chat, una, ivo) as (room, (_, second)):
        await second.ask("room.leave", room=room)
        await second.close()

        async with chat.window(ivo) as again:
            rooms = {each["id"]: each for each in (await again.ask("room.list"))["rooms"]}

        assert not rooms[room]["isMember"]
        assert rooms[room]["memberCount"] == 1


async def test_leaving_twice_is_no_fault(chat: Chat) -> None:
    """The second time nothing changes."""
    async with talking(chat, User("Una"), User("Ivo")) as (room, (_, ivo)):
        first = await ivo.ask("room.leave", room=room)
        second = await ivo.ask("room.leave", room=room)

    assert first is second is None


@pytest.mark.parametrize("by", ["id", "name"])
async def test_invited_user_is_a_member_and_hears_of_it_at_once(chat: Chat, by: str) -> None:
    """In all their windows, with the room as they see it; those in the room hear of them as of any newcomer."""
    una, ivo = User("Una"), User(f"Ivo {uuid.uuid4().hex[:8]}")
    room = await chat.new_room(una, private=True, name="Surprise")
    async with chat.window(una) as host, chat.window(ivo) as guest, chat.window(ivo) as second:
        await host.ask("room.join", room=room)
        assert (await guest.refusal("room.join", room=room))["code"] == 404

        invited = await host.ask("room.invite", room=room, user=ivo.id if by == "id" else ivo.name)

        assert invited == {"user": ivo.person(), "isNew": True}
        assert await host.event() == ("user.joined", ivo.person(room))
        for window in (guest, second):
            type, added = await window.event()
            assert (type, added["invitedBy"]) == ("room.added", una.person())
            assert added["room"].items() >= {
                "id": room, "name": "Surprise", "isPrivate": True, "isMember": True, "memberCount": 2,
            }.items()  # fmt: skip
        assert (await guest.ask("room.join", room=room))["members"] == [ivo.person(), una.person()]


async def test_inviting_a_member_changes_nothing(chat: Chat) -> None:
    """And nobody hears of it."""
    una, ivo = User("Una"), User("Ivo")
    room = await chat.new_room(una, private=True)
    async with chat.window(una) as host, chat.window(ivo) as guest:
        await host.ask("room.join", room=room)
        await host.ask("room.invite", room=room, user=ivo.id)
        again = await host.ask("room.invite", room=room, user=ivo.id)
        own = await host.ask("room.invite", room=room, user=una.id)
        sent = await host.ask("chat.send", room=room, message="next")

        assert (again["isNew"], own["isNew"]) == (False, False)
        assert [(await host.event())[0] for _ in range(2)] == ["user.joined", "chat.message"]
        await guest.ask("room.join", room=room)
        assert (await guest.event())[0] == "room.added"
        assert (await guest.ask("chat.history", room=room))["messages"] == [sent["message"]]


async def test_unknown_user_cannot_be_invited(chat: Chat) -> None:
    """The error says what is wrong, and who was meant."""
    una = User("Una")
    room = await chat.new_room(una, private=True)
    async with chat.window(una) as host:
        refusal = await host.refusal("room.invite", room=room, user="Nobody At All")

    assert (refusal["code"], refusal["type"], refusal["details"]) == (404, "NO_SUCH_USER", {"user": "Nobody At All"})


async def test_name_that_several_have_invites_none_of_them(chat: Chat) -> None:
    """Who comes with a token of somebody else's may be called as another is."""
    una, name = User("Una"), f"Twin {uuid.uuid4().hex[:8]}"
    twins = User(name), User(name)
    room = await chat.new_room(una, private=True)
    async with chat.window(una) as host, chat.window(twins[0]), chat.window(twins[1]):
        refusal = await host.refusal("room.invite", room=room, user=name)
        by_id = await host.ask("room.invite", room=room, user=twins[1].id)

    assert (refusal["code"], refusal["type"]) == (409, "AMBIGUOUS_NAME")
    assert by_id["isNew"]


async def test_nobody_is_invited_to_a_public_room(chat: Chat) -> None:
    """Everybody may join it by themselves."""
    async with talking(chat, User("Una")) as (room, (una,)):
        refusal = await una.refusal("room.invite", room=room, user=CHARLIE.id)

    assert (refusal["code"], refusal["type"]) == (409, "ROOM_IS_PUBLIC")


async def test_rooms_of_a_user_have_a_bound(own_chat: Chat) -> None:
    """Nobody is invited into more; each of their windows has to join all of them."""
    una, ivo = User("Una"), User("Ivo")
    async with own_chat.window(una) as host, own_chat.window(ivo):
        async with own_chat.database() as db:
            rooms = [uuid.uuid4() for _ in range(MOST_ROOMS)]
            await db.rooms.insert_many({"id": each, "name": "One of many"} for each in rooms)
            await db.room_members.insert_many({"room_id": each, "user_id": ivo.id} for each in rooms)
        room = await own_chat.new_room(una, private=True)
        refusal = await host.refusal("room.invite", room=room, user=ivo.id)
    created = await own_chat.http("POST", "/chat/rooms", ivo, json={"name": "One more"})

    assert (refusal["code"], refusal["type"]) == (409, "TOO_MANY_ROOMS")
    assert created.status_code == 409


async def test_room_is_created_and_found_over_http(chat: Chat) -> None:
    """The answer has the room, at the address where it is found from then on."""
    una = User("Una")

    created = await chat.http("POST", "/chat/rooms", una, json={"name": "  Gärten ", "isPrivate": True})
    found = await chat.http("GET", created.headers["Location"], una)

    assert created.status_code == 201
    assert created.json() == found.json()
    assert created.json()["room"].items() >= {
        "name": "Gärten", "isPrivate": True, "isMember": True, "memberCount": 1, "unread": 0,
    }.items()  # fmt: skip
    assert found.json()["room"] in (await chat.http("GET", "/chat/rooms", una)).json()["rooms"]


@pytest.mark.parametrize("name", ["", " \n", "x" * 101, "nul\0", None, 7])
async def test_room_needs_a_name(chat: Chat, name: Any) -> None:
    """A name that is blank, too long or no text is refused with the field's name."""
    answer = await chat.http("POST", "/chat/rooms", User("Una"), json={"name": name})

    assert answer.status_code == 422
    assert answer.json()["error"]["details"]["field"] == "name"


async def test_name_of_a_room_is_one_composed_line(chat: Chat) -> None:
    """A second line is refused, and what looks the same is the same."""
    lines = await chat.http("POST", "/chat/rooms", User("Una"), json={"name": "one\ntwo"})
    composed = await chat.http("POST", "/chat/rooms", User("Una"), json={"name": "Cafe\u0301"})

    assert lines.status_code == 422
    assert lines.json()["error"]["details"]["rule"] == "control"
    assert composed.json()["room"]["name"] == "Caf\u00e9"


@pytest.mark.parametrize(("method", "path"), [("GET", "/chat/rooms"), ("GET", f"/chat/rooms/{GENERAL}"),
                                              ("POST", "/chat/rooms")])  # fmt: skip
async def test_rooms_over_http_need_a_token(chat: Chat, method: str, path: str) -> None:
    """Without one the answer is 401."""
    assert (await chat.http(method, path)).status_code == 401


@pytest.mark.parametrize("id", ["nope", "%00", "..%2F..%2Fetc%2Fpasswd", "a" * 300])
async def test_malformed_room_id_is_a_room_that_does_not_exist(chat: Chat, id: str) -> None:
    """Whatever stands in the path, the answer is 404."""
    assert (await chat.http("GET", f"/chat/rooms/{id}", CHARLIE)).status_code == 404


@pytest.mark.parametrize("type", ["room.join", "chat.send", "room.list"])
async def test_anonymous_client_can_do_nothing(chat: Chat, type: str) -> None:
    """Without a token every message is answered 401."""
    async with connect(chat.platform.url("/ws/chat"), ssl=chat.platform.trust) as socket:
        refusal = await Client(socket, User("Nobody")).refusal(type, room=GENERAL, message="hello")

    assert refusal["code"] == 401


async def test_chat_is_reached_by_the_common_path_too(chat: Chat) -> None:
    """On /ws, which serves every service, the chat answers as on its own path."""
    async with chat.window(ALICE, "/ws") as window:
        joined = await window.ask("room.join", room=GENERAL)

    assert joined["memberCount"] >= 3


async def test_client_may_sign_in_late_on_the_common_path(chat: Chat) -> None:
    """There it connects before anybody knows whose it is, and joins as everybody does once that is known."""
    una = User("Una")
    room = await chat.new_room(User("Owner"))
    async with connect(chat.platform.url("/ws"), ssl=chat.platform.trust) as socket:
        client = Client(socket, una)
        await client.ask("linkd.auth", token=una.token)
        joined = await client.ask("room.join", room=room)

    assert una.person() in joined["members"]


@pytest.mark.parametrize(
    ("data", "field"),
    [
        ({}, "room"),
        ({"room": "nope"}, "room"),
        ({"room": 7}, "room"),
        ({"room": None}, "room"),
        ({"room": GENERAL, "since": 7}, "since"),
        ({"room": GENERAL, "since": {"epoch": "x", "offset": -1}}, "since.offset"),
    ],
)
async def test_join_names_the_field_at_fault(chat: Chat, data: dict[str, Any], field: str) -> None:
    """A room that is no id is a fault of the message, and not a missing room."""
    async with chat.window(User("Una")) as window:
        refusal = await window.refusal("room.join", **data)

    assert (refusal["code"], refusal["type"]) == (422, "VALIDATION_ERROR")
    assert refusal["details"]["field"] == field


async def test_own_rooms_come_before_others(chat: Chat) -> None:
    """A client that opens the first room thus does not join one that its user never chose."""
    una = User("Una")
    room = await chat.new_room(una)

    listed = (await chat.http("GET", "/chat/rooms", una)).json()["rooms"]

    assert [each["id"] for each in listed][:2] == [room, GENERAL]
    assert not any(each["isMember"] for each in listed[1:])
