"""The outbox, and the end of the turn at which it is emptied."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pylinkd.gateway.core.outbox import Outbox

from ..doubles import Turns


def test_outbox_keeps_the_order() -> None:
    """Oldest first, and everything once."""
    outbox = Outbox(100)
    for frame in (b"a", b"b", b"c"):
        assert outbox.push(frame)

    assert outbox.take() == [b"a", b"b", b"c"]
    assert outbox.take() == []


def test_frame_that_does_not_fit_leaves_it_as_it_was() -> None:
    """Refused, and nothing queued."""
    outbox = Outbox(4)
    assert outbox.push(b"abc")

    assert not outbox.push(b"de")

    assert (outbox.size, outbox.frames) == (3, [b"abc"])
    assert outbox.push(b"f")


def test_single_frame_is_taken_whatever_its_size() -> None:
    """A large answer does not pass for a slow client; the next one waits for its departure."""
    outbox = Outbox(4)

    assert outbox.push(b"x" * 1000)
    assert not outbox.push(b"")


def test_taking_makes_room() -> None:
    """The limit counts what waits, not what was ever sent."""
    outbox = Outbox(4)
    for _ in range(10):
        assert outbox.push(b"abcd")
        assert outbox.take() == [b"abcd"]


@given(limit=st.integers(1, 50), steps=st.lists(st.none() | st.binary(max_size=30), max_size=40))
def test_outbox_never_holds_more_than_its_limit(limit: int, steps: list[bytes | None]) -> None:
    """Nor loses, repeats or reorders anything that it took. A single frame may be larger."""
    outbox = Outbox(limit)
    took: list[bytes] = []
    gave: list[bytes] = []
    for frame in steps:
        if frame is None:
            gave += outbox.take()
        elif outbox.push(frame):
            took.append(frame)
        assert outbox.size == sum(map(len, outbox.frames))
        assert outbox.size <= limit or len(outbox.frames) == 1

    assert gave + outbox.take() == took


class Sender:
    """Keeps the order in which senders are flushed; may fail, or add another."""

    def __init__(
        self, name: str, log: list[str], turns: Turns, *, fails: bool = False, then: Sender | None = None
    ) -> None:
        self._name, self._log, self._turns, self._fails, self._then = name, log, turns, fails, then

    def flush(self) -> None:
        """Send what waits."""
        self._log.append(self._name)
        if self._then is not None:
            self._turns.turn.add(self._then)
            self._then = None
        if self._fails:
            raise RuntimeError(self._name)


def test_turn_flushes_all_at_its_end() -> None:
    """One end of turn for all senders, in the order in which they came."""
    turns, log = Turns(), list[str]()
    for name in "abc":
        turns.turn.add(Sender(name, log, turns))

    assert (turns.scheduled, log) == (1, [])
    turns.end()
    assert log == ["a", "b", "c"]


def test_turn_begins_anew() -> None:
    """What is added while a turn ends is flushed at the end of the next."""
    turns, log = Turns(), list[str]()
    turns.turn.add(Sender("a", log, turns, then=Sender("b", log, turns)))

    turns.end()

    assert log == ["a", "b"]


def test_sender_that_fails_costs_the_others_nothing() -> None:
    """One client's trouble is no other's: everybody after it is flushed too."""
    turns, log = Turns(), list[str]()
    turns.turn.add(Sender("a", log, turns))
    turns.turn.add(Sender("b", log, turns, fails=True))
    turns.turn.add(Sender("c", log, turns))

    with pytest.raises(RuntimeError, match="b"):
        turns.end()
    turns.end()

    assert log == ["a", "b", "c"]
