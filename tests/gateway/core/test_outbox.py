"""The outbox, and the end of the turn at which it is emptied."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pylinkd.gateway.core.outbox import Kind, Outbox, Policy, Squeezed


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


ANSWER, EVENT, VOLATILE = Kind.ANSWER, Kind.EVENT, Kind.VOLATILE


def full(policy: Policy, *frames: tuple[bytes, Kind]) -> Outbox:
    """An outbox of ten bytes with these frames in it."""
    outbox = Outbox(10, policy)
    for frame, kind in frames:
        assert outbox.push(frame, kind)
    return outbox


@pytest.mark.parametrize("policy", list(Policy))
def test_volatile_event_that_does_not_fit_is_dropped(policy: Policy) -> None:
    """Whatever the policy, and nothing else is."""
    outbox = full(policy, (b"12345678", EVENT))

    assert outbox.squeeze(b"typing", VOLATILE) is Squeezed.DROPPED

    assert (outbox.take(), outbox.dropped) == ([b"12345678"], 1)


@pytest.mark.parametrize("policy", [Policy.DISCONNECT, Policy.DROP_OLDEST])
@pytest.mark.parametrize("kind", [ANSWER, EVENT])
def test_volatile_events_make_room_first(policy: Policy, kind: Kind) -> None:
    """The oldest of them, and no more than it takes."""
    outbox = full(policy, (b"v1v", VOLATILE), (b"e", EVENT), (b"v2v", VOLATILE), (b"v3v", VOLATILE))

    assert outbox.squeeze(b"abc", kind) is Squeezed.QUEUED

    assert (outbox.take(), outbox.dropped) == ([b"e", b"v2v", b"v3v", b"abc"], 1)


def test_newest_events_leave_room_for_answers() -> None:
    """With ``drop_newest`` a quarter is theirs: a client that reads slowly loses events, and not its connection."""
    outbox = Outbox(16, Policy.DROP_NEWEST)

    taken = [outbox.push(b"e%d" % number, EVENT) for number in range(8)]
    outcomes = [outbox.squeeze(b"e%d" % number, EVENT) for number in (6, 7)]

    assert taken == [True] * 6 + [False] * 2
    assert outcomes == [Squeezed.DROPPED] * 2
    assert outbox.push(b"an", ANSWER)
    assert outbox.push(b"an", ANSWER)


def test_event_that_does_not_fit_overflows() -> None:
    """By default: nothing but volatile events is ever dropped."""
    outbox = full(Policy.DISCONNECT, (b"12345678", EVENT))

    assert outbox.squeeze(b"abc", EVENT) is Squeezed.OVERFLOWED

    assert (outbox.take(), outbox.dropped) == ([b"12345678"], 0)


def test_oldest_events_make_room() -> None:
    """With ``drop_oldest``; answers among them stay, in order."""
    outbox = full(Policy.DROP_OLDEST, (b"e1e", EVENT), (b"an", ANSWER), (b"e2e", EVENT), (b"e3", EVENT))

    assert outbox.squeeze(b"abcd", EVENT) is Squeezed.QUEUED

    assert (outbox.take(), outbox.dropped) == ([b"an", b"e3", b"abcd"], 2)


def test_newest_event_is_dropped() -> None:
    """With ``drop_newest``: what waits stays."""
    outbox = full(Policy.DROP_NEWEST, (b"e1e", EVENT), (b"an", ANSWER), (b"e2e", EVENT))

    assert outbox.squeeze(b"abc", EVENT) is Squeezed.DROPPED

    assert (outbox.take(), outbox.dropped) == ([b"e1e", b"an", b"e2e"], 1)


@pytest.mark.parametrize("policy", list(Policy))
def test_answers_alone_overflow(policy: Policy) -> None:
    """They are never dropped: a client with so many of them is not to be helped."""
    outbox = full(policy, (b"12345678", ANSWER))

    assert outbox.squeeze(b"abc", ANSWER) is Squeezed.OVERFLOWED

    assert outbox.take() == [b"12345678"]


def test_what_the_transport_holds_counts() -> None:
    """The limit is on all that waits, wherever it waits."""
    outbox = Outbox(10)
    outbox.held = 7

    assert outbox.push(b"ab")
    assert not outbox.push(b"cd")


KINDS = st.sampled_from([ANSWER, EVENT, VOLATILE])


@given(policy=st.sampled_from(list(Policy)), steps=st.lists(st.tuples(st.integers(0, 12), KINDS), max_size=30))
def test_dropping_keeps_answers_order_and_count(policy: Policy, steps: list[tuple[int, Kind]]) -> None:
    """Whatever comes: answers stay, the rest keeps its order, and each event that is missing was counted."""
    outbox = Outbox(40, policy)
    accepted: list[bytes] = []
    offered = 0
    for number, (size, kind) in enumerate(steps):
        frame = bytes([number, kind]) + b"x" * size
        if not outbox.push(frame, kind):
            outcome = outbox.squeeze(frame, kind)
            if outcome is Squeezed.OVERFLOWED:
                break
            offered += outcome is Squeezed.DROPPED
            if outcome is Squeezed.DROPPED:
                continue
        accepted.append(frame)
    left = outbox.take()

    assert left == [frame for frame in accepted if frame in left]
    assert [frame for frame in accepted if frame[1] == ANSWER] == [frame for frame in left if frame[1] == ANSWER]
    assert outbox.dropped == len(accepted) - len(left) + offered
