"""What tests of rooms with a history or presence do in the world."""

from __future__ import annotations

import time
from typing import Any

from pylinkd.protocol.link_pb2 import Frame, HistoryRule, PresenceRule, RoomRule

from .world import Client, World

KEPT = RoomRule(pattern="kept", history=HistoryRule(messages=5, period_ms=300_000, bytes=2**20, readable=True))
SECRET = RoomRule(pattern="secret", history=HistoryRule(messages=5, period_ms=300_000, bytes=2**20))
SEEN = RoomRule(pattern="seen*", presence=PresenceRule(grace_ms=15_000, max_members=1000))
OPEN = RoomRule(pattern="open", presence=PresenceRule(grace_ms=15_000, max_members=1000, client_data=True))
COUNTED = RoomRule(pattern="counted", presence=PresenceRule(grace_ms=15_000, max_members=3))
RULES = [KEPT, SECRET, SEEN, OPEN, COUNTED]


def connected(world: World, user: str | None = "una") -> Client:
    """A client with a session that is let in."""
    client = Client(world, user)
    client.connect()
    return client


def join(world: World, client: Client, room: str, **more: Any) -> Frame:
    """The service has a session join a room."""
    frame = Frame()
    frame.room_command.verb = frame.room_command.JOIN
    frame.room_command.session = client.core.session
    frame.room_command.rooms.append(room)
    since = more.pop("since", None)
    if since is not None:
        frame.room_command.since.epoch, frame.room_command.since.offset = since
    for name, value in more.items():
        setattr(frame.room_command, name, value)
    return world.service.ask(frame)


def emit(world: World, room: str, data: int) -> None:
    """The service emits an event to a room."""
    frame = Frame()
    frame.publish.type = "n"
    frame.publish.data = b"%d" % data
    frame.publish.rooms.append(room)
    assert world.service.ask(frame).WhichOneof("body") == "published"


def tick(world: World, seconds: float = 2.0) -> None:
    """Time passes, so that whatever changed is told."""
    world.loop.ahead += seconds
    world.turn()
    time.sleep(0.001)
    world.pass_(0.0)


def take(client: Client, type: str) -> list[dict[str, Any]]:
    """The data of the control messages of this type that came since the last call."""
    client.pump()
    found = [message["data"] for message in client.core.controls if message["type"] == type]
    client.core.controls = [message for message in client.core.controls if message["type"] != type]
    return found


def ask(client: Client, type: str, data: Any) -> Any:
    """The answer to a control message: its data, or code and type of the error."""
    client.core.control(type, data, id=7)
    client.pump()
    answer = client.core.delivered.pop()
    assert answer["id"] == 7
    return answer["data"] if answer["type"] == "response" else (answer["error"]["code"], answer["error"]["type"])
