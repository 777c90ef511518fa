"""``linkd.ack``, both ways: what it frees, when it is due, and what it may not say."""

from __future__ import annotations

import json
from typing import Any

import pytest
from websockets.frames import Opcode

from pylinkd.protocol.end import EndReason

from ..gateway.wire import say
from .client_core import ClientCore
from .world import Client, World


def quiet_client(world: World) -> Client:
    """One that acknowledges when a test says so."""
    client = Client(world, "una", ClientCore(acks=False))
    client.connect()
    return client


def say_ack(client: Client, data: Any, **more: Any) -> None:
    """The client says this, whatever it knows."""
    assert client.line is not None
    client.line.up += say(Opcode.TEXT, json.dumps({"type": "linkd.ack", "data": data, **more}).encode())
    client.line.carry_up()


def test_acknowledging_frees_what_is_kept(world: World) -> None:
    """Of the session and of the gateway."""
    client = quiet_client(world)
    retention = world.routing.lifecycle.retention
    for number in range(10):
        world.emit(number, client)
    client.pump()
    (session,) = world.routing.registry
    assert session.resumption is not None
    assert len(session.resumption.frames) == 10
    assert retention.held > 0

    client.core.acknowledge()
    client.pump()

    assert session.resumption.frames == []
    assert retention.held == 0
    assert session.resumption.acknowledged == 10


def test_client_is_told_after_16_messages(world: World) -> None:
    """So that it need not keep them."""
    client = quiet_client(world)
    for number in range(15):
        client.core.send("chat.send", number)
    client.pump()
    assert client.core.confirmed == 0
    client.core.send("chat.send", 15)
    client.pump()
    assert client.core.confirmed == 16


def test_client_is_told_of_fewer_after_a_while(world: World) -> None:
    """Five seconds."""
    client = quiet_client(world)
    client.core.send("chat.send", 1, id=1)
    client.pump()
    world.pass_(4.0)
    client.pump()
    assert client.core.confirmed == 0
    world.pass_(2.0)
    client.pump()
    assert client.core.confirmed == 1
    before = len(client.line.transport.bytes) if client.line else 0
    world.pass_(60.0)
    assert client.line is not None
    assert len(client.line.transport.bytes) == before, "nobody acknowledges an acknowledgement"


def test_echo_is_a_sign_of_life(world: World) -> None:
    """At once, with both counts."""
    client = quiet_client(world)
    world.emit(1, client)
    client.pump()
    client.core.acknowledge(echo=True)
    assert client.line is not None
    client.write()
    client.line.carry_up()
    world.turn()
    (text,) = client.line.carry_down()
    assert text == '{"type":"linkd.ack","data":{"received":0,"sent":1}}'


def test_acknowledgement_stands_behind_what_it_counts(world: World) -> None:
    """Where the transport takes nothing, it waits with the rest."""
    client = quiet_client(world)
    assert client.line is not None
    protocol = client.line.transport.get_protocol()
    protocol.pause_writing()
    for number in range(16):
        client.core.send("chat.send", number, id=number)
    client.write()
    client.line.carry_up()
    world.turn()
    world.emit("late", client)
    protocol.resume_writing()
    client.pump()
    assert client.core.confirmed == 16
    assert client.texts == ["late"]


@pytest.mark.parametrize(
    "data",
    [
        {"received": 3, "sent": 0},
        {"received": 0, "sent": 1},
        {"received": -1, "sent": 0},
        {"received": 2**53, "sent": 0},
        {"received": 1.5, "sent": 0},
        {"received": "1", "sent": 0},
        {"received": True, "sent": 0},
        {"received": None, "sent": 0},
        {"received": 1},
        {},
        None,
        [1, 2],
        "2/0",
    ],
)
def test_acknowledgement_that_cannot_be_ends_the_session(world: World, data: Any) -> None:
    """With 1002: one of the two sides is at fault, and nothing after it could be believed."""
    client = quiet_client(world)
    session = client.core.session
    world.emit(1, client)
    world.emit(2, client)
    client.pump()

    say_ack(client, data)
    world.turn()

    assert client.line is not None
    assert b"\x03\xea" in client.line.transport.bytes, "1002"
    client.cut()
    world.turn()
    assert world.closed == [(session, EndReason.PROTOCOL_ERROR)]


def test_acknowledgement_may_not_go_back(world: World) -> None:
    """Nor is it taken for the highest that can be."""
    client = quiet_client(world)
    world.emit(1, client)
    world.emit(2, client)
    client.pump()
    say_ack(client, {"received": 2, "sent": 0})
    say_ack(client, {"received": 2, "sent": 0})
    assert client.line is not None
    assert b"\x03\xea" not in client.line.transport.bytes
    say_ack(client, {"received": 1, "sent": 0})
    assert b"\x03\xea" in client.line.transport.bytes


def test_drift_is_counted(world: World) -> None:
    """And the client that counts otherwise is closed."""
    client = quiet_client(world)
    say_ack(client, {"received": 0, "sent": 5})
    assert world.traffic.drift == 1


def test_acknowledgement_with_an_id_is_answered(world: World) -> None:
    """As every message with one."""
    client = quiet_client(world)
    say_ack(client, {"received": 0, "sent": 0}, id="a-1")
    world.turn()
    client.hear()
    assert client.answers == ["a-1"]


def test_client_that_cannot_resume_has_nothing_to_acknowledge(world: World) -> None:
    """It is told so, and goes on."""
    client = Client(world, "una")
    client.dial(offers=["linkd.v1+json"])
    assert client.line is not None
    client.line.carry_up()
    world.turn()
    client.line.carry_down()
    say_ack(client, {"received": 0, "sent": 0}, id=1)
    world.turn()
    (text,) = client.line.carry_down()
    assert "linkd.resume" in text
    assert '"code":400' in text
