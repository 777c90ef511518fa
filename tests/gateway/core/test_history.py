"""The last events of a room, and whoever comes back to them."""

from __future__ import annotations

import itertools

import pytest

from pylinkd.gateway.core.format import PLAIN
from pylinkd.gateway.core.history import Histories, HistoryRule
from pylinkd.protocol.envelope import JSON, MSGPACK
from pylinkd.protocol.errors import BadRequestError
from pylinkd.protocol.rooms import Position, RoomPattern

from ..wire import hear

ROOM = ("chat", "lobby")


def histories(limit: int = 2**20) -> Histories:
    """Some whose epochs are numbers."""
    numbers = itertools.count(1)
    return Histories(limit, lambda: f"e{next(numbers)}")


def add(kept: Histories, count: int, rule: HistoryRule, now: float = 0.0, data: bytes = b"1") -> None:
    """So many events."""
    for _ in range(count):
        kept.add(ROOM, rule, now, "n", data, [PLAIN[JSON]])


def test_event_carries_its_place() -> None:
    """The same bytes for everybody, in each encoding."""
    kept = histories()
    sent = kept.add(ROOM, HistoryRule(), 0.0, "n", b'{"a":1}', [PLAIN[JSON], PLAIN[MSGPACK]])
    expected = {"type": "n", "data": {"a": 1}, "room": "lobby", "offset": 1}
    for format in (PLAIN[JSON], PLAIN[MSGPACK]):
        (frame,) = hear(sent.frames[format])
        assert frame.data == expected


def test_position_is_behind_the_last_event() -> None:
    """An empty room has one, too."""
    kept, rule = histories(), HistoryRule()
    assert kept.of(ROOM, rule, 0.0).position == Position("e1", 0)
    add(kept, 3, rule)
    assert kept.of(ROOM, rule, 0.0).position == Position("e1", 3)


@pytest.mark.parametrize(
    ("position", "found"),
    [
        (Position("e1", 5), []),
        (Position("e1", 3), [4, 5]),
        (Position("e1", 2), [3, 4, 5]),
        (Position("e1", 1), None),
        (Position("e1", 6), None),
        (Position("e2", 5), None),
        (Position("", 0), None),
    ],
)
def test_missed_events_are_all_there_or_nothing_is(position: Position, found: list[int] | None) -> None:
    """Of the last three of five."""
    kept, rule = histories(), HistoryRule(messages=3)
    add(kept, 5, rule)
    missed = kept.of(ROOM, rule, 0.0).since(position, 300)
    assert (None if missed is None else [event.offset for event in missed]) == found


def test_more_than_a_client_wants_is_nothing() -> None:
    """It had better read the state anew."""
    kept, rule = histories(), HistoryRule()
    add(kept, 5, rule)
    assert kept.of(ROOM, rule, 0.0).since(Position("e1", 0), 4) is None


def test_old_events_go() -> None:
    """And large ones; the history itself stays while somebody is in the room."""
    kept, rule = histories(), HistoryRule(seconds=10.0, bytes=5000)
    add(kept, 2, rule, now=0.0)
    add(kept, 1, rule, now=10.0)
    assert [event.offset for event in kept.of(ROOM, rule, 10.0).page(None, 10)] == [3]
    add(kept, 3, rule, now=10.0, data=b'"' + b"x" * 1000 + b'"')
    assert [event.offset for event in kept.of(ROOM, rule, 10.0).page(None, 10)] == [5, 6]
    kept.sweep(20.0, lambda room: [object()])
    assert ROOM in kept
    assert kept.of(ROOM, rule, 20.0).position == Position("e1", 6)
    kept.sweep(31.0, lambda room: [])
    assert ROOM not in kept
    assert kept.size == 0


def test_another_rule_is_another_history() -> None:
    """Nobody takes an old position for one of it."""
    kept = histories()
    add(kept, 2, HistoryRule())
    assert kept.of(ROOM, HistoryRule(messages=5), 0.0).position == Position("e2", 0)


def test_histories_that_were_not_touched_go_first() -> None:
    """Where all together are too much."""
    kept, rule = histories(20_000), HistoryRule()
    for number in range(30):
        for _ in range(2):
            kept.add(("chat", f"room-{number}"), rule, float(number), "n", b"1", [PLAIN[JSON]])
    assert kept.size <= 20_000
    assert ("chat", "room-0") not in kept
    assert ("chat", "room-29") in kept


def test_event_that_cannot_be_written_is_in_no_history() -> None:
    """It reaches nobody either."""
    kept, rule = histories(), HistoryRule()
    with pytest.raises(BadRequestError):
        kept.add(ROOM, rule, 0.0, "n", b"{", [PLAIN[JSON]])
    assert kept.of(ROOM, rule, 0.0).position == Position("e1", 0)


def test_event_is_written_later_in_an_encoding_that_nobody_spoke() -> None:
    """For whoever comes with it."""
    kept, rule = histories(), HistoryRule()
    add(kept, 1, rule)
    (event,) = kept.of(ROOM, rule, 0.0).page(None, 1)
    (frame,) = hear(event.frame(PLAIN[MSGPACK]))
    assert frame.data == {"type": "n", "data": 1, "room": "lobby", "offset": 1}


@pytest.mark.parametrize(
    ("pattern", "name", "matches"),
    [
        ("board:*", "board:1", True),
        ("board:*", "board:", True),
        ("board:*", "xboard:1", False),
        ("*", "anything\nat all", True),
        ("a*c", "abc", True),
        ("a*c", "abcd", False),
        ("a.c", "abc", False),
        ("**********************a", "b" * 200, False),
    ],
)
def test_patterns_of_rooms(pattern: str, name: str, matches: bool) -> None:
    """A star is any text; everything else is itself."""
    assert RoomPattern(pattern).matches(name) is matches
