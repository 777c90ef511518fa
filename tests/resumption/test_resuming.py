"""Clients that come back to their sessions."""

from __future__ import annotations

from .world import Client, World


def test_new_session_says_how_to_come_back(world: World) -> None:
    """With everything that a client needs to know."""
    client = Client(world, "una")

    client.connect()

    welcome = client.core.welcome
    assert welcome is not None
    assert welcome["graceMs"] == 60_000
    assert welcome["ack"] == {"messages": 16, "bytes": 65536, "ms": 5000}
    assert welcome["retry"] == {"baseMs": 500, "capMs": 30_000, "jitter": 0.5, "attempts": 0}
    assert welcome["dropped"] == 0
    assert len(welcome["resume"]) == 44
    assert "resumed" not in welcome


def test_session_goes_on(world: World) -> None:
    """With what was sent meanwhile, and no second on_connect."""
    client = Client(world, "una")
    client.connect()
    assert world.emit(1, client) == (1, 0, 0)
    client.pump()
    client.cut()
    assert world.emit(2, client) == (0, 1, 0)
    client.core.send("chat.send", "while away", id=1)

    client.connect()

    assert client.core.notices == ["resumed"]
    assert client.texts == [1, 2]
    assert client.answers == [1]
    assert world.closed == []
    assert world.noticed == [("session_detached", client.core.session), ("session_resumed", client.core.session)]
