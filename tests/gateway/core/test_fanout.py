"""One event to many sessions."""

from __future__ import annotations

import pytest

from pylinkd.gateway.core.fanout import Broadcast
from pylinkd.gateway.core.format import PLAIN
from pylinkd.protocol.envelope import JSON, MSGPACK
from pylinkd.protocol.errors import BadRequestError

from ..doubles import Turns, connection_of, make_session

EVENT = {"type": "chat.message", "data": {"text": "hé"}}
DATA = '{"text":"hé"}'.encode()


def test_recipients_of_one_codec_share_one_frame() -> None:
    """Encoded and framed once: every outbox holds the same object."""
    turns = Turns()
    sessions = [make_session(turns.turn, f"s-{number}") for number in range(3)]

    assert Broadcast("chat.message", DATA).deliver(sessions) == 3
    turns.end()

    frames = [connection_of(session).frames[0] for session in sessions]
    assert all(frame is frames[0] for frame in frames)
    assert connection_of(sessions[0]).data() == [EVENT]


def test_each_codec_gets_the_event_its_way() -> None:
    """MessagePack clients get binary frames with the same data."""
    turns = Turns()
    text = make_session(turns.turn, "text", codec=JSON)
    packed = [make_session(turns.turn, f"packed-{number}", codec=MSGPACK) for number in range(2)]

    assert Broadcast("chat.message", DATA).deliver([packed[0], text, packed[1]]) == 3
    turns.end()

    assert [connection_of(session).data() for session in (text, *packed)] == [[EVENT]] * 3
    assert connection_of(packed[0]).frames[0] is connection_of(packed[1]).frames[0]


def test_excepted_sessions_get_nothing() -> None:
    """Nor are they counted."""
    turns = Turns()
    sessions = [make_session(turns.turn, f"s-{number}") for number in range(3)]

    assert Broadcast("chat.message", DATA).deliver(sessions, {sessions[1]}) == 2
    turns.end()

    assert [len(connection_of(session).frames) for session in sessions] == [1, 0, 1]


def test_only_those_who_took_it_are_counted() -> None:
    """Neither the gone nor the slow are reached."""
    turns = Turns()
    gone = make_session(turns.turn, "gone", connected=False)
    slow = make_session(turns.turn, "slow", outbox_limit=4)
    slow_connection = connection_of(slow)
    slow_connection.writable = False
    slow.send(b"12345")
    there = make_session(turns.turn, "there")

    assert Broadcast("chat.message", DATA).deliver([gone, slow, there]) == 1


def test_codecs_that_nobody_speaks_are_not_asked() -> None:
    """What MessagePack cannot tell is no trouble while nobody speaks it."""
    turns = Turns()
    session = make_session(turns.turn)

    assert Broadcast("chat.message", b"%d" % 2**70, [PLAIN[JSON]]).deliver([session]) == 1


def test_event_that_a_codec_cannot_tell_reaches_all_or_nobody() -> None:
    """It is refused before it is half delivered: an emit that raises has sent nothing."""
    turns = Turns()
    text, packed = make_session(turns.turn, "text"), make_session(turns.turn, "packed", codec=MSGPACK)

    with pytest.raises(BadRequestError):
        Broadcast("chat.message", b"%d" % 2**70).deliver([text, packed])
    turns.end()

    assert connection_of(text).frames == []
