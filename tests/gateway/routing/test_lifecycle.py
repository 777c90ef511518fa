"""The beginning and the end of a session."""

from __future__ import annotations

import pytest

from pylinkd.protocol.end import EndReason
from pylinkd.protocol.link_pb2 import Frame, RoomCommand

from ..doubles import user
from .rig import Rig


@pytest.fixture
async def rig() -> Rig:
    """Without services."""
    return Rig()


async def test_session_is_known_everywhere_at_once(rig: Rig) -> None:
    """To the registry, and to its services."""
    process = rig.start()
    session = rig.open("s-1", identity=user("una"))

    assert rig.registry.get("s-1") is session
    assert list(rig.registry.of_user("una")) == [session]
    assert process.kinds() == ["session_opened"]


async def test_nothing_is_left_of_a_session_that_ended(rig: Rig) -> None:
    """No connection, no room, no entry; each service hears of its own rooms."""
    chat, game = rig.start("chat"), rig.start("game", types=["game.move"])
    session = rig.open("s-1", path="/ws", identity=user("una"))
    for process, room in ((chat, "lobby"), (game, "table")):
        process.open_all()
        command = RoomCommand(verb=RoomCommand.JOIN, session="s-1", rooms=[room])
        process.ask(Frame(room_command=command))

    rig.end(session, EndReason.CONNECTION_LOST)

    assert session.connection is None
    assert (len(rig.registry), rig.registry.users, len(rig.rooms)) == (0, 0, 0)
    assert all(not service.attachments for service in rig.services)
    ends = [process.take("session_closed").session_closed for process in (chat, game)]
    assert [(end.reason, list(end.rooms)) for end in ends] == [
        ("connection_lost", ["lobby"]), ("connection_lost", ["table"]),
    ]  # fmt: skip


async def test_service_that_comes_later_does_not_hear_of_those_that_ended(rig: Rig) -> None:
    """On the shared path too."""
    rig.start("chat")
    rig.end(rig.open("s-1", path="/ws"))

    assert rig.start("game", types=["game.move"]).kinds() == []
