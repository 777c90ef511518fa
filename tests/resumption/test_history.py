"""Histories of rooms, where it is tempting to say that everything is there."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import msgspec
from websockets.frames import Opcode

from pylinkd.protocol.link_pb2 import Frame, HistoryRule, RoomRule

from ..gateway.wire import hear, say
from .room_helpers import RULES, ask, connected, emit, join, take
from .world import Client, World


def large(world: World, room: str, size: int) -> None:
    """The service emits an event of so many bytes."""
    frame = Frame()
    frame.publish.type = "n"
    frame.publish.data = json.dumps("x" * size).encode()
    frame.publish.rooms.append(room)
    assert world.service.ask(frame).WhichOneof("body") == "published"


def acknowledge(client: Client) -> None:
    """The client lets the gateway forget what it has got."""
    client.pump()
    client.core.acknowledge()
    client.pump()


def position(world: World, client: Client) -> str:
    """Join the room, and its epoch."""
    join(world, client, "kept")
    epoch: str = take(client, "linkd.room")[0]["epoch"]
    return epoch


def test_nothing_older_is_sent_again(rooms: World) -> None:
    """Although somebody has touched the history since, again and again."""
    epoch = position(rooms, connected(rooms))
    emit(rooms, "kept", 1)
    for user in ("una", "bob"):
        rooms.pass_(299.0)
        join(rooms, connected(rooms, user), "kept")
    late = connected(rooms, "eve")
    join(rooms, late, "kept", since=(epoch, 0))
    assert take(late, "linkd.room")[0]["recovered"] is False


def test_hole_is_no_history(rooms: World) -> None:
    """An event was sent while no release kept any."""
    client = connected(rooms)
    epoch = position(rooms, client)
    emit(rooms, "kept", 1)
    client.pump()
    client.cut()
    rooms.pass_(61.0)
    rooms.restart_service()
    emit(rooms, "kept", 2)
    rooms.restart_service(rooms=RULES)
    emit(rooms, "kept", 3)
    client.connect()
    join(rooms, client, "kept", since=(epoch, 1))
    assert take(client, "linkd.room")[0]["recovered"] is False


def test_reading_corrects_what_histories_take(make_world: Callable[..., World]) -> None:
    """Events that a reader finds too old are not counted any more, or nothing of other rooms could be kept."""
    world = make_world(history_limit=2**20)
    rule = HistoryRule(messages=100, period_ms=10_000, bytes=2**20, readable=True)
    world.restart_service(rooms=[RoomRule(pattern="*", history=rule)])
    client = connected(world)
    for room in "ab":
        join(world, client, room)
    for _ in range(14):
        large(world, "a", 60_000)
        acknowledge(client)
        world.pass_(9.9)
        ask(client, "linkd.history", {"room": "a", "limit": 1})
        world.pass_(0.2)
        ask(client, "linkd.history", {"room": "a"})
    take(client, "linkd.gap")
    for number in range(5):
        emit(world, "a", number)
        emit(world, "b", number)
    assert take(client, "linkd.gap") == []


def test_history_that_was_given_up_is_a_gap(make_world: Callable[..., World]) -> None:
    """Its members learn that it has begun anew, before its first event."""
    world = make_world(history_limit=2**20)
    rule = HistoryRule(messages=100, period_ms=10_000_000, bytes=2**20)
    world.restart_service(rooms=[RoomRule(pattern="*", history=rule)])
    client = connected(world)
    for room in "abc":
        join(world, client, room)
    emit(world, "b", 0)
    for room in "ac":
        for _ in range(6):
            large(world, room, 60_000)
            acknowledge(client)
    emit(world, "b", 1)
    assert [(gap["room"], gap["reason"]) for gap in take(client, "linkd.gap")] == [("b", "evicted")]


def test_command_that_is_refused_joins_nothing(rooms: World) -> None:
    """A position is for a room with a history, and for a client that is there to get what it has missed."""
    client = connected(rooms)
    assert join(rooms, client, "plain", since=("epoch", 0)).failure.type == "BAD_REQUEST"
    client.cut()
    assert join(rooms, client, "kept", since=("epoch", 0)).failure.type == "SESSION_AWAY"
    (session,) = rooms.routing.registry
    assert not session.rooms


def test_event_that_messagepack_cannot_carry(rooms: World) -> None:
    """A client that speaks it gets all or nothing, and an error that says what is wrong."""
    epoch = position(rooms, connected(rooms))
    for data in (1, 10**30, 3):
        emit(rooms, "kept", data)
    client = Client(rooms, "mia")
    client.dial(offers=["linkd.v1+msgpack"])
    assert client.line is not None
    client.line.carry_up()
    rooms.turn()
    client.core.session = next(one.id for one in rooms.routing.registry if one.codec.binary)
    place = len(client.line.transport.bytes)
    joined = join(rooms, client, "kept", since=(epoch, 0)).room_joined
    assert (joined.recovered, joined.replayed) == (False, 0)
    client.line.up += say(Opcode.BINARY, _pack({"type": "linkd.history", "id": 1, "data": {"room": "kept"}}))
    client.line.carry_up()
    rooms.turn()
    messages = [msgspec.msgpack.decode(frame.payload) for frame in hear(client.line.transport.bytes[place:])]
    assert [message["type"] for message in messages] == ["linkd.room", "error"]
    assert messages[1]["error"]["type"] == "BAD_REQUEST"


def _pack(message: dict[str, Any]) -> bytes:
    return msgspec.msgpack.encode(message)
