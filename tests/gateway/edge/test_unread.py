"""How many bytes of HTTP answers are kept for clients that do not read them."""

from __future__ import annotations

from pylinkd.gateway.core.traffic import Traffic
from pylinkd.gateway.edge.unread import Unread

from ..doubles import Clock, RecordingTransport


def transports(count: int) -> list[RecordingTransport]:
    """Connections."""
    return [RecordingTransport(None) for _ in range(count)]


def test_one_that_has_not_read_for_longest_is_cut() -> None:
    """When all together hold more than the limit."""
    traffic, clock = Traffic(), Clock()
    unread = Unread(100, traffic, clock)
    first, second, third = transports(3)
    unread.hold(first, 40)
    unread.hold(second, 40)

    clock.now += 1.0
    unread.hold(third, 40)

    assert [one.aborted for one in (first, second, third)] == [True, False, False]
    assert (unread.total, traffic.answers_cut) == (80, 1)


def test_one_that_reads_is_spared() -> None:
    """However early it came, and how much is left."""
    clock = Clock()
    unread = Unread(100, Traffic(), clock)
    reader, silent, later = transports(3)
    unread.hold(reader, 60)
    unread.hold(silent, 30)

    clock.now += 1.0
    unread.hold(reader, 50)
    unread.hold(later, 40)

    assert [one.aborted for one in (reader, silent, later)] == [False, True, False]


def test_one_that_came_last_is_cut_where_all_read() -> None:
    """Those before it keep what they have."""
    unread = Unread(100, Traffic(), Clock())
    first, second, third = transports(3)
    for one in (first, second, third):
        unread.hold(one, 40)

    assert [one.aborted for one in (first, second, third)] == [False, False, True]
    assert unread.total == 80


def test_whoever_reads_counts_no_more() -> None:
    """Its answer is with the kernel."""
    unread = Unread(100, Traffic(), Clock())
    first, second = transports(2)
    unread.hold(first, 80)
    unread.release(first)
    unread.release(first)

    unread.hold(second, 80)

    assert not first.aborted
    assert unread.total == 80


def test_single_answer_is_kept_whatever_its_size() -> None:
    """Nobody else waits, so that nothing is gained by cutting it."""
    unread = Unread(100, Traffic(), Clock())
    (only,) = transports(1)

    unread.hold(only, 1000)

    assert not only.aborted
