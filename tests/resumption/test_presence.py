"""Presence, where sessions and services do what is not usual."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import pytest

from pylinkd.gateway.routing import service as service_module
from pylinkd.protocol.link_pb2 import Frame, PresenceRule, Register, RoomRule

from ..gateway.routing.rig import Process, registration
from ..processes import make_token
from .room_helpers import OPEN, RULES, ask, connected, emit, join, take, tick
from .world import Client, World


def leave(world: World, client: Client, room: str) -> None:
    """The service has a session leave a room."""
    frame = Frame()
    frame.room_command.verb = frame.room_command.LEAVE
    frame.room_command.session = client.core.session
    frame.room_command.rooms.append(room)
    assert world.service.ask(frame).WhichOneof("body") == "done"


def second_release(world: World, **options: object) -> Process:
    """Another process of the service, which registers with these fields."""
    process = Process(SimpleNamespace(commands=world.routing.commands, link_window=8192))  # type: ignore[arg-type]
    register = registration(types=["chat.send"], release="2")
    register.MergeFrom(Register(**options))  # type: ignore[arg-type]
    assert process.ask(Frame(register=register)).WhichOneof("body") == "registered"
    return process


def members(world: World, room: str) -> list[str]:
    """The keys of a room's members, as the service sees them."""
    frame = Frame()
    frame.presence_query.room = room
    return [member.key for member in world.service.ask(frame).presence_list.members]


def test_hidden_member_stays_hidden_when_its_client_is_back(rooms: World) -> None:
    """Being back is no joining."""
    hidden = connected(rooms, "boss")
    join(rooms, hidden, "seen", absent=True, unwatching=True)
    watching = connected(rooms, "una")
    join(rooms, watching, "seen")
    tick(rooms)
    take(watching, "linkd.presence")
    hidden.cut()
    hidden.connect()
    tick(rooms)
    assert take(watching, "linkd.presence") == []
    assert rooms.came_and_went == ["+una"]


def test_member_can_hide(rooms: World) -> None:
    """By joining again, without being present."""
    hiding, watching = connected(rooms, "boss"), connected(rooms, "una")
    join(rooms, hiding, "seen")
    join(rooms, watching, "seen")
    tick(rooms)
    take(watching, "linkd.presence")
    join(rooms, hiding, "seen", absent=True)
    tick(rooms)
    assert [change.get("leave") for change in take(watching, "linkd.presence")] == [["boss"]]


def test_integer_that_messagepack_cannot_carry_is_refused(rooms: World) -> None:
    """Or every tick of the room would fail for all."""
    client = connected(rooms)
    join(rooms, client, "open")
    assert ask(client, "linkd.presence.set", {"room": "open", "data": 10**40}) == (400, "BAD_REQUEST")
    assert ask(client, "linkd.presence.set", {"room": "open", "data": [2**63]}) is None


def test_who_signs_in_after_joining_is_one_member(rooms: World) -> None:
    """The user, with two sessions; the session is no member of its own any more."""
    client, other, watching = connected(rooms, None), connected(rooms, "una"), connected(rooms, "bob")
    for one in (client, other, watching):
        join(rooms, one, "seen")
    tick(rooms)
    take(watching, "linkd.presence")
    client.core.control("linkd.auth", {"token": make_token("una")}, id=9)
    client.pump()
    tick(rooms)
    (change,) = take(watching, "linkd.presence")
    assert change["leave"] == [client.core.session]
    assert change["update"]["una"]["sessions"] == 2
    assert members(rooms, "seen") == ["una", "bob"]


def test_back_after_the_grace_of_the_room(rooms: World) -> None:
    """It has left meanwhile, and is as it was: the session is the same."""
    client, watching = connected(rooms, "una"), connected(rooms, "bob")
    join(rooms, client, "open")
    join(rooms, watching, "open")
    ask(client, "linkd.presence.set", {"room": "open", "data": {"mood": 1}, "away": True})
    tick(rooms)
    take(watching, "linkd.presence")
    client.cut()
    rooms.pass_(20.0)
    tick(rooms)
    assert [change.get("leave") for change in take(watching, "linkd.presence")] == [["una"]]
    client.connect()
    tick(rooms)
    (change,) = take(watching, "linkd.presence")
    assert change["join"]["una"] == {"state": "away", "sessions": 1, "user": "una", "name": "Una", "data": {"mood": 1}}


def test_rules_hold_at_once(rooms: World) -> None:
    """For rooms that are there already: what clients may set, and whether there is presence at all."""
    client, other = connected(rooms, "una"), connected(rooms, "bob")
    join(rooms, client, "open")
    join(rooms, other, "open")
    tick(rooms)
    closed = RoomRule(pattern="open", presence=PresenceRule(grace_ms=15_000, max_members=1000))
    rooms.restart_service(rooms=[closed], presence=True)
    assert ask(client, "linkd.presence.set", {"room": "open", "data": 1}) == (403, "FORBIDDEN")
    rooms.restart_service(presence=True)
    take(client, "linkd.presence")
    assert ask(other, "linkd.presence.set", {"room": "open", "away": True}) == (404, "NOT_FOUND")
    other.cut()
    tick(rooms)
    assert take(client, "linkd.presence") == []
    rooms.restart_service(rooms=[OPEN], presence=True)
    other.connect()
    client.cut()


def test_changes_go_to_one_instance(rooms: World) -> None:
    """The idlest one could handle the second before another one the first."""
    told: list[str] = []
    done = rooms.service.done

    def keep_unanswered(question: Frame) -> None:
        if question.WhichOneof("body") == "presence_changed":
            told.append("first")
        else:
            done(question)

    rooms.service.done = keep_unanswered  # type: ignore[method-assign]
    other = second_release(rooms, rooms=RULES, presence=True)
    client = connected(rooms, "una")
    other.open_all()
    rooms.turn()
    join(rooms, client, "seen")
    tick(rooms)
    leave(rooms, client, "seen")
    tick(rooms)
    assert told == ["first", "first"]
    assert [frame for frame in other.pump() if frame.WhichOneof("body") == "presence_changed"] == []


def test_changes_displace_no_ends_of_sessions(
    make_world: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both wait for a service that is away, and each has its own limit."""
    monkeypatch.setattr(service_module, "_MOST_OWED", 20)
    world = make_world()
    rule = RoomRule(pattern="*", presence=PresenceRule(grace_ms=1000, max_members=100))
    world.restart_service(rooms=[rule], presence=True)
    clients = [connected(world, f"user-{number}") for number in range(10)]
    for client in clients:
        for room in range(8):
            join(world, client, f"{client.core.session}-{room}")
    tick(world)
    world.service.die()
    for client in clients:
        client.cut()
    world.pass_(61.0)
    tick(world)
    world.restart_service(rooms=[rule], presence=True)
    world.turn()
    assert sorted(session for session, _ in world.closed) == sorted(client.core.session for client in clients)


def test_release_that_is_left_decides(rooms: World) -> None:
    """Another one without rules came, and crashed."""
    client = connected(rooms)
    join(rooms, client, "kept")
    emit(rooms, "kept", 1)
    second_release(rooms).die()
    emit(rooms, "kept", 2)
    client.pump()
    assert [event.get("offset") for event in client.core.delivered] == [1, 2]


def test_rooms_of_one_name_in_two_namespaces(make_world: Callable[..., World]) -> None:
    """On the shared path a session may be in both: what one of them has is found, whatever the other is."""
    world = make_world()
    games = Process(SimpleNamespace(commands=world.routing.commands, link_window=8192))  # type: ignore[arg-type]
    assert games.ask(Frame(register=registration("games", types=["games.x"]))).WhichOneof("body") == "registered"
    world.restart_service(rooms=RULES, presence=True)
    for number in range(8):
        client = Client(world, f"user-{number}")
        client.connect(path="/ws")
        games.open_all()
        frame = Frame()
        frame.room_command.verb = frame.room_command.JOIN
        frame.room_command.session = client.core.session
        frame.room_command.rooms.append("kept")
        assert games.ask(frame).WhichOneof("body") == "done"
        join(world, client, "kept")
        assert ask(client, "linkd.history", {"room": "kept"})["events"] == []


def test_asking_for_all_members_has_a_rate(rooms: World) -> None:
    """A page of members costs as much as many messages."""
    client = connected(rooms)
    join(rooms, client, "seen")
    answers = [ask(client, "linkd.presence.sync", {"room": "seen"}) for _ in range(60)]
    assert answers[:50] == [None] * 50
    assert answers[-1] == (429, "RATE_LIMITED")
