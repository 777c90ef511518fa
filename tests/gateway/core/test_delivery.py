"""What leaves for clients: when, in which order, and in how many writes."""

from __future__ import annotations

import pytest

from pylinkd.gateway.core.broadcast import Broadcast
from pylinkd.gateway.core.format import PLAIN
from pylinkd.gateway.core.session import Session
from pylinkd.protocol.end import EndReason
from pylinkd.protocol.envelope import JSON, MSGPACK
from pylinkd.protocol.errors import BadRequestError

from ..doubles import RecordingConnection, Turns, connection_of, make_session

MANY = 40
"""More than get an event through their outboxes alone."""

EVENT = {"type": "chat.message", "data": {"text": "hé"}}
DATA = '{"text":"hé"}'.encode()


class Hall:
    """Some sessions, and the door to them.

    Attributes:
        audience: All of them.
    """

    def __init__(self, count: int) -> None:
        self.turns = Turns()
        self.traffic = self.turns.traffic
        self.delivery = self.turns.delivery
        self.audience = tuple(make_session(self.turns.delivery, f"s-{number}") for number in range(count))

    def send(self, number: int, *without: Session) -> int:
        """An event with this number in it, to all of them."""
        return self.delivery.publish(Broadcast("n", b"%d" % number), self.audience, frozenset(without)).reached


@pytest.fixture(params=[3, MANY], ids=["few", "many"])
def hall(request: pytest.FixtureRequest) -> Hall:
    """Few go through their outboxes, many past them."""
    return Hall(request.param)


def numbers(session: Session) -> list[object]:
    """What the client has heard, in order."""
    return [message["data"] for message in connection_of(session).data()]


def test_turn_has_one_end(hall: Hall) -> None:
    """For all that is sent in it."""
    for number in range(3):
        hall.send(number)
        hall.audience[number].answer(number, b"")

    assert hall.turns.scheduled == 1


def test_what_is_sent_while_a_turn_ends_leaves_at_the_end_of_the_next(hall: Hall) -> None:
    """Such as what a close sets off."""
    first, second = hall.audience[:2]

    class Talkative(RecordingConnection):
        def write(self, frames: list[bytes]) -> None:
            super().write(frames)
            second.answer("then", b"")

    first.connection = Talkative(first)
    first.answer("first", b"")
    hall.turns.end()

    assert [message["id"] for message in connection_of(second).data()] == ["then"]


def test_recipients_of_one_codec_share_one_frame(hall: Hall) -> None:
    """Encoded and framed once: all are written the same object."""
    assert hall.delivery.publish(Broadcast("chat.message", DATA), hall.audience).reached == len(hall.audience)
    hall.turns.end()

    frames = [connection_of(session).frames[0] for session in hall.audience]
    assert all(frame is frames[0] for frame in frames)
    assert connection_of(hall.audience[0]).data() == [EVENT]


def test_each_codec_gets_the_event_its_way(hall: Hall) -> None:
    """MessagePack clients get binary frames with the same data."""
    packed = [make_session(hall.turns.delivery, f"packed-{number}", codec=MSGPACK) for number in range(2)]

    hall.delivery.publish(Broadcast("chat.message", DATA), (packed[0], *hall.audience, packed[1]))
    hall.turns.end()

    assert all(connection_of(session).data() == [EVENT] for session in (*packed, *hall.audience))
    assert connection_of(packed[0]).frames[0] is connection_of(packed[1]).frames[0]


def test_excepted_sessions_get_nothing(hall: Hall) -> None:
    """Nor are they counted."""
    assert hall.send(1, hall.audience[1]) == len(hall.audience) - 1
    hall.turns.end()

    assert [numbers(session) for session in hall.audience] == [[1], [], *[[1]] * (len(hall.audience) - 2)]


def test_events_of_a_turn_to_the_same_sessions_leave_in_one_write(hall: Hall) -> None:
    """A burst costs each client one system call, and is counted message by message."""
    for number in range(20):
        hall.send(number)
    hall.turns.end()

    for session in hall.audience:
        assert len(connection_of(session).writes) == 1
        assert numbers(session) == list(range(20))


@pytest.mark.parametrize("excepted", [False, True], ids=["answer", "answer to one that some events leave out"])
def test_answers_and_events_keep_their_order(hall: Hall, excepted: bool) -> None:
    """What is sent to one session between two events arrives between them."""
    session = hall.audience[0]

    hall.send(1)
    session.answer("a", b'"between"')
    hall.send(2, *([hall.audience[1]] if excepted else []))
    hall.send(3)
    hall.turns.end()

    assert numbers(session) == [1, "between", 2, 3]
    assert numbers(hall.audience[1]) == ([1, 3] if excepted else [1, 2, 3])
    assert numbers(hall.audience[2]) == [1, 2, 3]


def test_what_a_busy_turn_has_for_a_client_leaves_in_one_write(hall: Hall) -> None:
    """Events that answers come between wait in the outbox with them."""
    hall.send(1)
    for session in hall.audience:
        session.answer("a", b"2")
    hall.send(3)
    hall.turns.end()

    assert all(numbers(session) == [1, 2, 3] for session in hall.audience)


def test_client_that_does_not_read_gets_the_events_later_and_in_order(hall: Hall) -> None:
    """They wait in its outbox, with its limit."""
    slow = hall.audience[1]
    connection_of(slow).writable = False

    hall.send(1)
    hall.turns.end()
    hall.send(2)
    hall.turns.end()
    assert numbers(slow) == []
    assert slow.outbox.size > 0

    connection_of(slow).writable = True
    slow.delivery.flush(slow)
    assert numbers(slow) == [1, 2]
    assert numbers(hall.audience[2]) == [1, 2]


def test_client_that_never_reads_is_closed(hall: Hall) -> None:
    """An event does not pass its outbox's limit by waiting somewhere else."""
    slow = make_session(hall.turns.delivery, "slow", outbox_limit=4)
    connection_of(slow).writable = False
    slow.delivery.send(slow, b"12345")

    hall.delivery.publish(Broadcast("chat.message", DATA), (slow, *hall.audience))
    hall.turns.end()

    closed = connection_of(slow).closed
    assert closed is not None
    assert closed[0] == 1013


def test_who_is_closed_in_the_turn_has_the_event_before(hall: Hall) -> None:
    """A service that says why and then disconnects is heard."""
    session = hall.audience[0]

    hall.send(1)
    session.close(4000, "out", EndReason.DISCONNECTED)
    hall.turns.end()

    assert numbers(session) == [1]


def test_who_is_gone_at_the_end_of_the_turn_holds_nobody_up(hall: Hall) -> None:
    """The others get the event."""
    hall.send(1)
    hall.audience[0].connection = None
    hall.turns.end()

    assert all(numbers(session) == [1] for session in hall.audience[1:])


def test_one_broken_connection_holds_nobody_up(hall: Hall) -> None:
    """The error is not hidden, and everybody else has the events in the next turn."""
    connection_of(hall.audience[1]).broken = True

    hall.send(1)
    hall.send(2)
    with pytest.raises(RuntimeError):
        hall.turns.end()
    hall.turns.end()

    assert all(numbers(session) == [1, 2] for session in (hall.audience[0], *hall.audience[2:]))


def test_busy_room_costs_a_member_one_write_a_turn(hall: Hall) -> None:
    """Though each event leaves somebody else out: who sent it."""
    for number, sender in enumerate(hall.audience):
        hall.send(number, sender)
    hall.turns.end()

    for number, session in enumerate(hall.audience):
        assert len(connection_of(session).writes) == 1
        assert numbers(session) == [other for other in range(len(hall.audience)) if other != number]


def test_large_events_do_not_pass_outboxes_all_at_once() -> None:
    """A client gets no more in one piece than its transport holds anyway."""
    hall = Hall(MANY)
    large = Broadcast("n", b'"%s"' % (b"x" * 40_000))

    for _ in range(3):
        hall.delivery.publish(large, hall.audience)
    hall.turns.end()

    assert [len(piece) < 64 * 1024 for writes in connection_of(hall.audience[0]).writes for piece in writes] == [
        True
    ] * 3


def test_codecs_that_nobody_speaks_are_not_asked() -> None:
    """What MessagePack cannot tell is no trouble while nobody speaks it."""
    hall = Hall(1)

    assert hall.delivery.publish(Broadcast("chat.message", b"%d" % 2**70, [PLAIN[JSON]]), hall.audience) == (1, 0, 0)


def test_client_that_speaks_another_codec_may_come_between_two_events() -> None:
    """It gets the second only, its way."""
    hall = Hall(MANY)
    hall.delivery.publish(Broadcast("n", b"1", [PLAIN[JSON]]), hall.audience)
    packed = make_session(hall.turns.delivery, "packed", codec=MSGPACK)
    hall.delivery.publish(Broadcast("n", b"2"), (*hall.audience, packed))
    hall.delivery.publish(Broadcast("n", b"3"), hall.audience)
    hall.turns.end()

    assert numbers(hall.audience[0]) == [1, 2, 3]
    assert numbers(packed) == [2]


def test_event_that_a_codec_cannot_tell_reaches_all_or_nobody() -> None:
    """It is refused before it is half delivered: an emit that raises has sent nothing."""
    with pytest.raises(BadRequestError):
        Broadcast("chat.message", b"%d" % 2**70)


def test_what_passes_outboxes_is_counted_message_by_message() -> None:
    """As what goes through them is, by the connection."""
    hall = Hall(MANY)

    for number in range(20):
        hall.send(number)
    hall.turns.end()

    assert hall.traffic.messages_out == 20 * MANY
    assert hall.traffic.bytes_out == sum(len(piece) for one in hall.audience for piece in connection_of(one).frames)


def test_few_get_the_events_of_different_rooms_in_one_write() -> None:
    """A turn costs a client one system call, whoever else hears the same."""
    hall = Hall(3)

    for number in range(3):
        hall.delivery.publish(Broadcast("n", b"%d" % number), hall.audience[: number + 1])
    hall.turns.end()

    assert [len(connection_of(session).writes) for session in hall.audience] == [1, 1, 1]
    assert [numbers(session) for session in hall.audience] == [[0, 1, 2], [1, 2], [2]]
