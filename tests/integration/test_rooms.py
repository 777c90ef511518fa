"""Rooms, events to clients, and disconnecting them."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_asyncio

from tests.integration.client import Client, client, error_of, eventually
from tests.processes import Platform, Program, make_token, platform

pytestmark = pytest.mark.asyncio(loop_scope="module")

ROOMS = "tests/services/rooms.py"
Join = Callable[..., Any]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def processes(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Platform, Program]]:
    """The services ``rooms`` and ``other``, each with its rooms, and ``left`` and ``right``, which share theirs."""
    shared = {"LINKD_NAMESPACES": "left:shared,right:shared"}
    async with platform(tmp_path_factory.mktemp("p"), env=shared) as running:
        service = await running.start_service(ROOMS)
        await running.start_service(ROOMS, {"TEST_SERVICE": "other"})
        await running.start_service(ROOMS, {"TEST_SERVICE": "left", "TEST_NAMESPACE": "shared"})
        await running.start_service(ROOMS, {"TEST_SERVICE": "right", "TEST_NAMESPACE": "shared"})
        yield running, service


@pytest.fixture(scope="module")
def rooms(processes: tuple[Platform, Program]) -> Platform:
    """The gateway in front of them."""
    return processes[0]


@contextlib.asynccontextmanager
async def three(rooms: Platform, room: str) -> AsyncIterator[tuple[Client, Client, Client]]:
    """Ana and Ben in the room, Cid connected and elsewhere."""
    url = rooms.url("/ws/rooms")
    async with (
        client(url, token=make_token("ana")) as ana,
        client(url, token=make_token("ben")) as ben,
        client(url, token=make_token("cid")) as cid,
    ):
        await ana.ask("rooms.join", [room])
        await ben.ask("rooms.join", [room])
        await cid.ask("rooms.me")
        yield ana, ben, cid


async def heard(one: Client) -> list[Any]:
    """The texts of the events that came so far: whatever was sent before the question is here before its answer."""
    return await one.events("rooms.event", one.ask("rooms.me"))


async def test_join_is_idempotent(rooms: Platform) -> None:
    """Joining twice is being in the room once."""
    async with client(rooms.url("/ws/rooms")) as one:
        assert await one.ask("rooms.join", ["a", "b"]) == ["a", "b"]
        assert await one.ask("rooms.join", ["a"]) == ["a", "b"]
        assert len(await one.ask("rooms.members", "a")) == 1


async def test_leave_ends_the_membership(rooms: Platform) -> None:
    """Who left is not a member, and leaving what one is not in changes nothing."""
    async with client(rooms.url("/ws/rooms")) as one:
        await one.ask("rooms.join", ["leave-1", "leave-2"])

        assert await one.ask("rooms.leave", ["leave-1"]) == ["leave-2"]
        assert await one.ask("rooms.leave", ["leave-1", "never"]) == ["leave-2"]
        assert await one.ask("rooms.members", "leave-1") == []


async def test_members_say_who_they_are(rooms: Platform) -> None:
    """Session, user and name of those who signed in; only the session of the others."""
    async with (
        client(rooms.url("/ws/rooms"), token=make_token("ana", name="Ana")) as ana,
        client(rooms.url("/ws/rooms")) as guest,
    ):
        await ana.ask("rooms.join", ["who"])
        await guest.ask("rooms.join", ["who"])
        members = await ana.ask("rooms.members", "who")

        wanted = [
            {"session": await ana.ask("rooms.me"), "user": "ana", "name": "Ana"},
            {"session": await guest.ask("rooms.me"), "user": None, "name": None},
        ]
    assert sorted(members, key=str) == sorted(wanted, key=str)


async def test_closed_session_is_no_member(rooms: Platform) -> None:
    """A member that closed its connection is gone from the room."""
    async with client(rooms.url("/ws/rooms")) as stays:
        async with client(rooms.url("/ws/rooms")) as leaves:
            await leaves.ask("rooms.join", ["gone"])
            assert len(await stays.ask("rooms.members", "gone")) == 1

        assert await stays.ask("rooms.members", "gone") == []


async def test_on_disconnect_knows_the_rooms(processes: tuple[Platform, Program]) -> None:
    """When a session ended, its rooms are told once more."""
    running, service = processes
    async with client(running.url("/ws/rooms")) as one:
        await one.ask("rooms.join", ["x", "y"])
        session = await one.ask("rooms.me")

    async def told() -> bool:
        return session in [line["session"] for line in service.logged("test_left")]

    await eventually(told, "on_disconnect ran")
    (line,) = [line for line in service.logged("test_left") if line["session"] == session]
    assert (line["rooms"], line["reason"]) == (["x", "y"], "client_closed")


@pytest.mark.parametrize("name", ["", "r" * 257])
async def test_bad_room_name_is_refused(rooms: Platform, name: str) -> None:
    """A name has 1 to 256 characters; the rest of the command does not happen either."""
    async with client(rooms.url("/ws/rooms")) as one:
        assert error_of(await one.request("rooms.join", ["fine", name])) == (400, "BAD_REQUEST")
        assert await one.ask("rooms.rooms") == []


async def test_event_reaches_the_members_of_the_room(rooms: Platform) -> None:
    """Everybody in the room gets it once, nobody else does, and the receipt counts them."""
    async with three(rooms, "r1") as (ana, ben, cid):
        assert await ana.ask("rooms.emit", {"rooms": ["r1"]}) == 2

        assert [await heard(one) for one in (ana, ben, cid)] == [["hello"], ["hello"], []]


async def test_event_to_two_rooms_arrives_once(rooms: Platform) -> None:
    """Who is in both rooms gets it once."""
    async with three(rooms, "r2") as (ana, ben, cid):
        await ana.ask("rooms.join", ["r2-too"])
        await cid.ask("rooms.join", ["r2-too"])

        assert await ben.ask("rooms.emit", {"rooms": ["r2", "r2-too"]}) == 3
        assert [await heard(one) for one in (ana, ben, cid)] == [["hello"], ["hello"], ["hello"]]


async def test_except_leaves_a_session_out(rooms: Platform) -> None:
    """A session that is excepted gets nothing and is not counted."""
    async with three(rooms, "r3") as (ana, ben, _):
        me = await ana.ask("rooms.me")

        assert await ana.ask("rooms.emit", {"rooms": ["r3"], "except_sessions": [me]}) == 1
        assert [await heard(one) for one in (ana, ben)] == [[], ["hello"]]


async def test_except_leaves_a_user_out(rooms: Platform) -> None:
    """A user that is excepted gets nothing on any session."""
    async with three(rooms, "r4") as (ana, ben, _):
        assert await ana.ask("rooms.emit", {"rooms": ["r4"], "except_user": "ben"}) == 1
        assert [await heard(one) for one in (ana, ben)] == [["hello"], []]


async def test_event_to_a_user_reaches_all_sessions_of_it(rooms: Platform) -> None:
    """A user with two windows gets it in both."""
    async with three(rooms, "r5") as (ana, ben, _), client(rooms.url("/ws/rooms"), token=make_token("ben")) as again:
        await again.ask("rooms.me")

        assert await ana.ask("rooms.emit", {"user": "ben"}) == 2
        assert [await heard(one) for one in (ana, ben, again)] == [[], ["hello"], ["hello"]]


async def test_event_to_a_session_reaches_it_alone(rooms: Platform) -> None:
    """One session is named, one gets it."""
    async with three(rooms, "r6") as (ana, ben, _):
        session = await ben.ask("rooms.me")

        assert await ana.ask("rooms.emit", {"session": session}) == 1
        assert [await heard(one) for one in (ana, ben)] == [[], ["hello"]]


@pytest.mark.parametrize("target", [{"rooms": ["nobody"]}, {"user": "nobody"}, {"session": "nobody"}, {}])
async def test_event_to_nobody_reaches_nobody(rooms: Platform, target: dict[str, Any]) -> None:
    """A target without sessions is no error, and the receipt says 0."""
    async with client(rooms.url("/ws/rooms")) as one:
        assert await one.ask("rooms.emit", target) == 0
        assert await heard(one) == []


async def test_everyone_is_everyone_who_can_reach_the_service(rooms: Platform) -> None:
    """The sender too, sessions on /ws too, and none on another service's path."""
    async with (
        three(rooms, "r7") as (ana, ben, cid),
        client(rooms.url("/ws")) as shared,
        client(rooms.url("/ws/other")) as stranger,
    ):
        await shared.ask("rooms.me")
        await stranger.ask("other.me")
        reached = await ana.ask("rooms.emit", {"everyone": True})

        assert reached == 4
        assert [await heard(one) for one in (ana, ben, cid, shared)] == [["hello"]] * 4
        assert await stranger.events("rooms.event", stranger.ask("other.me")) == []


async def test_broadcast_leaves_the_sender_out(rooms: Platform) -> None:
    """Everyone but me."""
    async with three(rooms, "r8") as (ana, ben, cid):
        assert await ana.ask("rooms.emit", {"broadcast": True}) == 2
        assert [await heard(one) for one in (ana, ben, cid)] == [[], ["hello"], ["hello"]]


async def test_events_of_one_handler_arrive_in_order(rooms: Platform) -> None:
    """500 events arrive in the order in which they were sent, and before the answer."""
    async with client(rooms.url("/ws/rooms")) as one:
        await one.send({"type": "rooms.burst", "data": 500, "id": "end"})
        messages = [await one.receive() for _ in range(501)]

    assert [message["data"] for message in messages] == [*range(500), 500]
    assert messages[-1]["id"] == "end"


@pytest.mark.parametrize("type", ["linkd.welcome", "", "a..b", "with space"])
async def test_event_with_a_bad_type_is_the_handlers_fault(rooms: Platform, type: str) -> None:
    """Reserved and malformed event types never reach a client."""
    async with client(rooms.url("/ws/rooms")) as one:
        answer = await one.request("rooms.emit_badly", type)

        assert error_of(answer) == (500, "INTERNAL_ERROR")
        assert await one.ask("rooms.me")


async def test_same_room_name_in_two_services_is_two_rooms(rooms: Platform) -> None:
    """Neither members nor events cross from one service's room to the other's."""
    async with client(rooms.url("/ws")) as one, client(rooms.url("/ws")) as two:
        await one.ask("rooms.join", ["lobby"])
        await two.ask("other.join", ["lobby"])

        assert len(await one.ask("rooms.members", "lobby")) == 1
        assert await one.ask("rooms.emit", {"rooms": ["lobby"]}) == 1
        assert await one.ask("other.rooms") == []
        assert await two.events("rooms.event", two.ask("other.me")) == []


async def test_shared_namespace_is_one_room(rooms: Platform) -> None:
    """Two services that share a namespace share members and reach them."""
    async with client(rooms.url("/ws")) as one, client(rooms.url("/ws")) as two:
        await one.ask("left.join", ["hall"])
        await two.ask("right.join", ["hall"])

        assert len(await one.ask("right.members", "hall")) == 2
        assert await one.ask("left.emit", {"rooms": ["hall"]}) == 2
        assert await two.event("left.event") == "hello"


@pytest.mark.parametrize(("code", "reason"), [(1000, ""), (3000, "three"), (4999, "ü" * 100)])
async def test_service_disconnects_with_code_and_reason(rooms: Platform, code: int, reason: str) -> None:
    """The client gets the code, and as much of the reason as a close frame holds."""
    async with client(rooms.url("/ws/rooms")) as one:
        await one.send({"type": "rooms.disconnect", "data": {"code": code, "reason": reason}})
        closed = await one.closed()

    assert closed == (code, reason.encode()[:123].decode(errors="ignore"))


@pytest.mark.parametrize("code", [0, 999, 1001, 1005, 1006, 2999, 5000])
async def test_service_may_not_use_other_close_codes(rooms: Platform, code: int) -> None:
    """RFC 6455 §7.4.2: anything else is refused and nobody is disconnected."""
    async with client(rooms.url("/ws/rooms")) as one:
        assert error_of(await one.request("rooms.disconnect", {"code": code})) == (400, "BAD_REQUEST")
        assert await one.ask("rooms.me")


async def test_service_disconnects_all_sessions_of_a_user(rooms: Platform) -> None:
    """Every window of the user closes, and nobody else's."""
    token = make_token("zoe")
    url = rooms.url("/ws/rooms")
    async with client(url) as other, client(url, token=token) as one, client(url, token=token) as two:
        await one.ask("rooms.me")
        await two.ask("rooms.me")
        await other.ask("rooms.disconnect", {"user": "zoe", "code": 4000})

        assert [(await one.closed())[0], (await two.closed())[0]] == [4000, 4000]
        assert await other.ask("rooms.me")


async def test_disconnecting_a_session_that_ended_is_not_found(rooms: Platform) -> None:
    """Whoever is gone cannot be disconnected, and the service learns it."""
    async with client(rooms.url("/ws/rooms")) as one:
        answer = await one.request("rooms.disconnect", {"session": "gone"})

    assert error_of(answer) == (404, "SESSION_GONE")


async def test_service_does_not_reach_sessions_of_others(rooms: Platform) -> None:
    """A session on another service's path cannot be closed or written to."""
    async with client(rooms.url("/ws/rooms")) as one, client(rooms.url("/ws/other")) as stranger:
        session = await stranger.ask("other.me")

        assert error_of(await one.request("rooms.disconnect", {"session": session})) == (404, "SESSION_GONE")
        assert await one.ask("rooms.emit", {"session": session}) == 0
        assert await stranger.ask("other.me") == session


async def test_members_can_be_asked_over_http(rooms: Platform) -> None:
    """An action sees the same rooms as a message."""
    async with client(rooms.url("/ws/rooms")) as one, rooms.http_client() as http:
        await one.ask("rooms.join", ["http"])

        assert (await http.get("/rooms/members/http")).json() == 1


async def test_a_session_may_be_in_as_many_rooms_as_the_limit(rooms: Platform) -> None:
    """1,000 rooms are allowed, the next is refused with 409."""
    async with client(rooms.url("/ws/rooms")) as one:
        await one.ask("rooms.join", [f"many-{number}" for number in range(1000)])

        assert error_of(await one.request("rooms.join", ["one-more"])) == (409, "TOO_MANY_ROOMS")
        assert len(await one.ask("rooms.rooms")) == 1000
