"""A session's outbox: order, back pressure, and the policy for a client that does not read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pylinkd.gateway.core.frames import text_frame
from pylinkd.gateway.core.outbox import Kind, Policy
from pylinkd.protocol.end import EndReason
from pylinkd.protocol.envelope import JSON, MSGPACK, Codec
from pylinkd.protocol.errors import ForbiddenError

from ..doubles import Turns, connection_of, make_session


def test_frames_of_one_turn_leave_in_one_write() -> None:
    """One system call for a burst, in order."""
    turns = Turns()
    session = make_session(turns.delivery)

    assert all([session.delivery.send(session, frame) for frame in (b"a", b"b", b"c")])
    assert connection_of(session).writes == []
    turns.end()

    assert connection_of(session).writes == [[b"a", b"b", b"c"]]


def test_next_turn_is_another_write() -> None:
    """Nothing is sent twice."""
    turns = Turns()
    session = make_session(turns.delivery)
    for frame in (b"a", b"b"):
        session.delivery.send(session, frame)
        turns.end()

    assert connection_of(session).writes == [[b"a"], [b"b"]]


def test_frames_wait_for_a_slow_client() -> None:
    """While the socket takes no more they stay in the outbox; they leave together when it does."""
    turns = Turns()
    session = make_session(turns.delivery)
    connection = connection_of(session)
    connection.writable = False

    for frame in (b"a", b"b"):
        assert session.delivery.send(session, frame)
        turns.end()
    assert connection.writes == []
    connection.writable = True
    session.delivery.flush(session)

    assert connection.writes == [[b"a", b"b"]]


def test_session_without_connection_takes_nothing() -> None:
    """Who is gone is not reached, and nothing waits for them."""
    turns = Turns()
    session = make_session(turns.delivery, connected=False)

    assert not session.delivery.send(session, b"a")
    session.delivery.flush(session)
    assert session.outbox.take() == []


def test_client_that_does_not_read_is_closed() -> None:
    """Beyond the limit: 1013, once, at the end of the turn; what waited is dropped and nothing more is taken."""
    turns = Turns()
    session = make_session(turns.delivery, outbox_limit=10)
    connection = connection_of(session)
    connection.writable = False

    assert session.delivery.send(session, b"12345678")
    assert not session.delivery.send(session, b"9012")
    assert connection.closed is None  # whoever is iterating over a room is not disturbed
    turns.end()

    assert connection.closed == (1013, "reading too slowly", EndReason.SLOW_CONSUMER)
    assert connection.writes == []
    assert not session.delivery.send(session, b"x")


def test_client_that_reads_is_never_too_slow() -> None:
    """Two answers in one turn, together above the limit, reach a client whose socket takes them."""
    turns = Turns()
    session = make_session(turns.delivery, outbox_limit=10)
    connection = connection_of(session)

    taken = [session.delivery.send(session, b"12345678"), session.delivery.send(session, b"90123456")]
    turns.end()

    assert connection.closed is None
    assert taken == [True, True]
    assert connection.frames == [b"12345678", b"90123456"]


def test_dropped_events_are_told() -> None:
    """To the connection at once, and to a client that speaks a subprotocol of ours ahead of what is left."""
    turns = Turns()
    session = make_session(turns.delivery, outbox_limit=40, outbox_policy=Policy.DROP_OLDEST, controls=True)
    connection = connection_of(session)
    connection.writable = False
    events = [text_frame(b'{"type":"a","data":%d}' % number) for number in range(3)]

    assert [session.delivery.send(session, event, Kind.EVENT) for event in events] == [True] * 3
    connection.writable = True
    session.delivery.flush(session)
    session.answer(1, b"")
    turns.end()

    assert connection.drops == [1, 1]
    assert connection.closed is None
    assert connection.data() == [
        {"type": "linkd.dropped", "data": {"events": 2, "total": 2}},
        {"type": "a", "data": 2},
        {"type": "response", "id": 1, "data": None},
    ]


@pytest.mark.parametrize("codec", [JSON, MSGPACK], ids=["json", "msgpack"])
def test_answers_are_in_the_sessions_codec(codec: Codec) -> None:
    """Text frames for JSON, binary ones for MessagePack."""
    turns = Turns()
    session = make_session(turns.delivery, codec=codec)

    session.answer(7, b"")
    session.fail("c-1", ForbiddenError("No."))
    session.fail(None, ForbiddenError("No."))
    turns.end()

    body = {"code": 403, "type": "FORBIDDEN", "message": "No."}
    assert connection_of(session).data() == [
        {"type": "response", "id": 7, "data": None},
        {"type": "error", "id": "c-1", "error": body},
        {"type": "error", "error": body},
    ]


@given(
    limit=st.integers(1, 60),
    steps=st.lists(st.sampled_from(["turn", "full", "free"]) | st.integers(0, 40), max_size=40),
)
def test_nothing_is_lost_unless_the_client_is_closed(limit: int, steps: list[str | int]) -> None:
    """Whatever the client's pace: what ``send`` took arrives in order and once, or the client is closed as too slow."""
    turns = Turns()
    session = make_session(turns.delivery, outbox_limit=limit)
    connection = connection_of(session)
    took: list[bytes] = []
    for number, step in enumerate(steps):
        if step == "turn":
            turns.end()
        elif step == "full":
            connection.writable = False
        elif step == "free":
            connection.writable = True
            session.delivery.flush(session)
        else:
            assert isinstance(step, int)
            frame = text_frame(f"{number}".encode() + b"x" * step)
            if session.delivery.send(session, frame):
                took.append(frame)
    connection.writable = True
    session.delivery.flush(session)
    turns.end()

    if connection.closed is None:
        assert connection.frames == took
    else:
        assert connection.closed[2] is EndReason.SLOW_CONSUMER
        assert connection.frames == took[: len(connection.frames)]
