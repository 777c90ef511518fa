"""Joining, leaving, listing and creating rooms; what a private room shows to others, which is nothing."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest
from websockets.asyncio.client import connect

from .clients import Chat, Client, User, talking

ALICE = User("Alice", "11111111-1111-1111-1111-111111111111")
CHARLIE = User("Charlie", "33333333-3333-3333-3333-333333333333")
GENERAL = "aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa"
RANDOM = "bbbbbbbb-bbbb-bbbb-bbbb-bbbbbbbbbbbb"
PRIVATE = "cccccccc-cccc-cccc-cccc-cccccccccccc"

ABOUT_ROOMS = [
    ("chat.join", {}),
    ("chat.leave", {}),
    ("chat.send", {"message": "hello"}),
    ("chat.typing", {"isTyping": True}),
    ("chat.history", {}),
]


async def _rooms(chat: Chat, user: User) -> dict[str, Any]:
    async with chat.window(user) as window:
        return {room["id"]: room for room in (await window.ask("chat.rooms"))["rooms"]}


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


@pytest.mark.parametrize(("type", "data"), ABOUT_ROOMS[2:])
async def test_public_room_is_used_by_members_only(chat: Chat, type: str, data: dict[str, Any]) -> None:
    """Who sees a public room and has not joined it is told to."""
    room = await chat.new_room(User("Owner"))

    async with chat.window(User("Guest")) as guest:
        refusal = await guest.refusal(type, room=room, **data)

    assert (refusal["code"], refusal["type"]) == (403, "FORBIDDEN")


async def test_join_answers_who_is_there_and_tells_the_room(chat: Chat) -> None:
    """The newcomer gets the count of members and who is online; those in the room hear of both."""
    una, ivo = User("Una"), User("Ivo")
    room = await chat.new_room(una)
    async with chat.window(una) as first, chat.window(ivo) as second:
        joined = await second.ask("chat.join", room=room)

        assert joined == {
            "success": True,
            "room": room,
            "memberCount": 2,
            "online": [ivo.person(), una.person()],
            "members": [{**ivo.person(), "online": True}, {**una.person(), "online": True}],
        }
        assert await first.event() == ("user.joined", ivo.person(room))
        await first.until("user.online", ivo.person(room))


async def test_joining_twice_tells_nobody(chat: Chat) -> None:
    """The second answer is the first one's, and the room hears nothing of it."""
    async with talking(chat, User("Una"), User("Ivo")) as (room, (una, ivo)):
        again = await ivo.ask("chat.join", room=room)
        sent = await ivo.ask("chat.send", room=room, message="next")

        assert again["memberCount"] == 2
        assert (await una.event())[1]["id"] == sent["messageId"]


async def test_leave_ends_membership_in_all_windows(chat: Chat) -> None:
    """The room hears of it, and no window of the user gets what is said afterwards."""
    una, ivo = User("Una"), User("Ivo")
    async with talking(chat, una, ivo) as (room, (first, second)), chat.window(ivo) as third:
        assert await second.ask("chat.leave", room=room) == {"success": True}

        assert await first.event() == ("user.left", ivo.person(room))
        assert await third.event() == ("user.left", ivo.person(room))
        assert (await first.ask("chat.send", room=room, message="alone"))["reached"] == 1
        assert (await third.refusal("chat.send", room=room, message="still here"))["code"] == 403


async def test_user_who_left_is_not_put_back_on_connect(chat: Chat) -> None:
    """The membership that is stored ends too."""
    una, ivo = User("Una"), User("Ivo")
    async with talking(chat, una, ivo) as (room, (first, second)):
        await second.ask("chat.leave", room=room)
        await second.close()

        async with chat.window(ivo) as again:
            rooms = {each["id"]: each for each in (await again.ask("chat.rooms"))["rooms"]}

            assert not rooms[room]["isMember"]
            assert rooms[room]["memberCount"] == 1
            assert (await first.ask("chat.send", room=room, message="alone"))["reached"] == 1


async def test_leaving_twice_is_no_fault(chat: Chat) -> None:
    """The second time nothing changes."""
    async with talking(chat, User("Una"), User("Ivo")) as (room, (_, ivo)):
        first = await ivo.ask("chat.leave", room=room)
        second = await ivo.ask("chat.leave", room=room)

    assert first == second == {"success": True}


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


@pytest.mark.parametrize("type", ["chat.join", "chat.send", "chat.rooms"])
async def test_anonymous_client_can_do_nothing(chat: Chat, type: str) -> None:
    """Without a token every message is answered 401."""
    async with connect(chat.platform.url("/ws/chat"), ssl=chat.platform.trust) as socket:
        refusal = await Client(socket, User("Nobody")).refusal(type, room=GENERAL, message="hello")

    assert refusal["code"] == 401


async def test_chat_is_reached_by_the_common_path_too(chat: Chat) -> None:
    """On /ws, which serves every service, the chat answers as on its own path."""
    async with chat.window(ALICE, "/ws") as window:
        joined = await window.ask("chat.join", room=GENERAL)

    assert joined["success"]
    assert joined["memberCount"] >= 3


@pytest.mark.parametrize(
    ("data", "field"),
    [({}, "room"), ({"room": "nope"}, "room"), ({"room": 7}, "room"), ({"room": None}, "room")],
)
async def test_join_names_the_field_at_fault(chat: Chat, data: dict[str, Any], field: str) -> None:
    """A room that is no id is a fault of the message, and not a missing room."""
    async with chat.window(User("Una")) as window:
        refusal = await window.refusal("chat.join", **data)

    assert (refusal["code"], refusal["type"]) == (422, "VALIDATION_ERROR")
    assert refusal["details"]["field"] == field


async def test_own_rooms_come_before_others(chat: Chat) -> None:
    """A client that opens the first room thus does not join one that its user never chose."""
    una = User("Una")
    room = await chat.new_room(una)

    listed = (await chat.http("GET", "/chat/rooms", una)).json()["rooms"]

    assert [each["id"] for each in listed][:2] == [room, GENERAL]
    assert not any(each["isMember"] for each in listed[1:])
