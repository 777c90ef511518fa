"""Limits that a service lowers for its own path."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from pylinkd.protocol.link_pb2 import Frame, Limits, Retry

from ..gateway.routing.rig import Process, registration
from .world import Client, World


def connected(world: World, user: str | None = "una") -> Client:
    """A client with a session."""
    client = Client(world, user)
    client.connect()
    return client


def closed_with(client: Client) -> bytes:
    """Everything that it was sent, in which a close frame stands."""
    assert client.line is not None
    return client.line.transport.bytes


def test_welcome_says_what_holds(world: World) -> None:
    """On this path; and what the gateway says elsewhere."""
    world.restart_service(
        limits=Limits(
            max_message_size=1000,
            resume_window_ms=5000,
            rate_count=10,
            rate_period_ms=1000,
            retry=Retry(base_ms=100, cap_ms=2000, jitter=1.0, attempts=3),
        )
    )
    client = connected(world)
    assert client.core.welcome is not None
    assert client.core.welcome["maxMessageSize"] == 1000
    assert client.core.welcome["graceMs"] == 5000
    assert client.core.welcome["messageRate"] == "10/1s"
    assert client.core.welcome["retry"] == {"baseMs": 100, "capMs": 2000, "jitter": 1.0, "attempts": 3}
    elsewhere = Client(world, "una")
    elsewhere.connect(path="/ws")
    assert elsewhere.core.welcome is not None
    assert elsewhere.core.welcome["maxMessageSize"] == 65536


def test_message_size_holds(world: World) -> None:
    """With 1009, as ever."""
    world.restart_service(limits=Limits(max_message_size=1000))
    client = connected(world)
    client.core.send("chat.send", "x" * 2000)
    client.write()
    assert client.line is not None
    client.line.carry_up()
    world.turn()
    assert b"\x03\xf1" in closed_with(client)


def test_window_of_resuming_holds(world: World) -> None:
    """And with 0 nobody is kept."""
    world.restart_service(limits=Limits(resume_window_ms=5000))
    client = connected(world)
    client.cut()
    world.pass_(6.0)
    client.connect()
    assert client.core.notices == ["expired"]
    world.restart_service(limits=Limits(resume_window_ms=0))
    other = Client(world, "bob")
    other.dial()
    assert other.line is not None
    other.line.carry_up()
    world.turn()
    assert "resume" not in other.line.carry_down()[0]


def test_rate_holds(world: World) -> None:
    """More messages are answered with 429."""
    world.restart_service(limits=Limits(rate_count=3, rate_period_ms=60_000))
    client = connected(world)
    for number in range(5):
        client.core.send("chat.send", number, id=number)
    client.pump()
    refused = [message["id"] for message in client.core.delivered if message["type"] == "error"]
    assert refused == [3, 4]


def test_heartbeat_and_idleness_hold(world: World) -> None:
    """Each path has its own."""
    world.restart_service(limits=Limits(heartbeat_interval_ms=5000, idle_timeout_ms=60_000))
    client = connected(world)
    clients: Any = world.gateway.parts.clients
    assert client.line is not None
    before = len(client.line.transport.bytes)
    world.pass_(6.0)
    (heartbeat,) = clients._heartbeats.values()
    for connection, verdict in heartbeat.due(clients.now):
        clients._carry_out(connection, verdict)
    assert client.line.transport.bytes[before:] == b"\x89\x00", "a ping"
    world.pass_(60.0)
    for connection, verdict in heartbeat.due(clients.now):
        clients._carry_out(connection, verdict)
    assert b"\x11\x38" in closed_with(client), "4408"


def test_compression_is_not_offered(world: World) -> None:
    """Where the service does not want it."""
    world.restart_service(limits=Limits(no_compression=True))
    assert not world.routing.services.limits("/ws/chat").compression
    assert world.routing.services.limits("/ws").compression


def test_connections_of_a_user_are_bounded_on_the_path(world: World) -> None:
    """Elsewhere they are not counted."""
    world.restart_service(limits=Limits(max_connections_per_user=2))
    for _ in range(2):
        connected(world)
    refused = connected(world)
    assert b"too many connections" in closed_with(refused)
    elsewhere = Client(world, "una")
    elsewhere.connect(path="/ws")
    assert b"too many connections" not in closed_with(elsewhere)
    assert b"too many connections" not in closed_with(connected(world, "bob"))


def test_second_session_replaces_the_first(world: World) -> None:
    """Which is closed with 4409, and cannot be resumed."""
    world.restart_service(limits=Limits(one_session="replace"))
    first = connected(world)
    second = connected(world)
    assert b"\x11\x39replaced" in closed_with(first)
    second.cut()
    third = connected(world)
    world.turn()
    assert len(world.routing.registry) == 1 + 1, "the first one's close frame is not answered yet"
    second.connect()
    assert second.core.notices == ["closed"]
    assert b"\x11\x39replaced" in closed_with(third)


def test_second_session_is_refused(world: World) -> None:
    """With 4429; not by one whose client is away."""
    world.restart_service(limits=Limits(one_session="refuse"))
    first = connected(world)
    second = connected(world)
    assert b"\x11\x4dtoo many connections" in closed_with(second)
    assert b"too many" not in closed_with(first)
    assert b"too many" not in closed_with(connected(world, "bob"))
    first.cut()
    third = connected(world)
    assert b"too many" not in closed_with(third)
    assert b"too many" not in closed_with(connected(world, None))


@pytest.mark.parametrize(
    ("limits", "names"),
    [
        (Limits(max_message_size=65537), "LINKD_MAX_MESSAGE_SIZE"),
        (Limits(heartbeat_interval_ms=30_001), "LINKD_HEARTBEAT_INTERVAL"),
        (Limits(resume_window_ms=60_001), "LINKD_RESUME_WINDOW"),
        (Limits(rate_count=1_000_000_000, rate_period_ms=1000), "LINKD_MESSAGE_RATE"),
        (Limits(one_session="maybe"), "one_session_per_user"),
    ],
)
def test_service_may_not_raise_a_limit(world: World, limits: Limits, names: str) -> None:
    """It is told which, and is not taken."""
    answer = world.service.ask(Frame(register=registration(types=["chat.send"]))).WhichOneof("body")
    assert answer == "registered"
    register = registration(types=["chat.send"])
    register.limits.CopyFrom(limits)
    failure = world.service.ask(Frame(register=register)).failure
    assert names in failure.message
    assert failure.code == 409


@pytest.mark.parametrize(
    "limits", [Limits(max_message_size=0), Limits(heartbeat_interval_ms=0), Limits(idle_timeout_ms=0)]
)
def test_limits_of_nothing_are_refused(world: World, limits: Limits) -> None:
    """They come from a library that does not check them itself."""
    frame = Frame(register=registration("other", types=["other.x"]))
    frame.register.limits.MergeFrom(limits)
    process = Process(SimpleNamespace(commands=world.routing.commands, link_window=8192))  # type: ignore[arg-type]
    assert "at least" in process.ask(frame).failure.message


def test_release_that_is_left_decides(world: World) -> None:
    """Another one came without limits, and crashed."""
    world.restart_service(limits=Limits(max_message_size=4096))
    process = Process(SimpleNamespace(commands=world.routing.commands, link_window=8192))  # type: ignore[arg-type]
    register = registration(types=["chat.send"], release="2")
    assert process.ask(Frame(register=register)).WhichOneof("body") == "registered"
    process.die()
    client = connected(world)
    assert client.core.welcome is not None
    assert client.core.welcome["maxMessageSize"] == 4096
