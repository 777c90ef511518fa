"""How many large messages are received at once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pylinkd.gateway.edge.receptions import Receptions

MOST = 2


class Peer:
    """A connection that keeps whether it is read from."""

    def __init__(self) -> None:
        self.reading = True
        self.held = False

    def wait(self) -> None:
        """Stop."""
        self.reading = False

    def go_on(self) -> None:
        """Read."""
        self.reading = True


def receptions() -> tuple[Receptions[Peer], list[Peer]]:
    """Two at once, and those whose buffer was made small."""
    shrunk: list[Peer] = []
    return Receptions(MOST, shrunk.append, patience=5.0), shrunk


def test_one_too_many_waits_for_the_first_that_is_done() -> None:
    """Whose buffer is made small then."""
    large, shrunk = receptions()
    first, second, third = Peer(), Peer(), Peer()

    for peer in (first, second, third):
        large.begin(peer, 1, 0.0)
    waited = not third.reading
    large.rest(second, 0.0)

    assert waited
    assert (third.reading, shrunk) == (True, [second])
    assert len(large) == MOST


def test_buffer_is_kept_as_long_as_nobody_needs_it() -> None:
    """The next large message of the same client costs nothing."""
    large, shrunk = receptions()
    peer = Peer()
    for _ in range(3):
        large.begin(peer, 1, 0.0)
        large.rest(peer, 0.0)

    assert shrunk == []


def test_who_rests_longest_gives_its_buffer_up() -> None:
    """Nobody has to wait for those that are done already."""
    large, shrunk = receptions()
    first, second, third = Peer(), Peer(), Peer()
    for peer in (first, second):
        large.begin(peer, 1, 0.0)
    large.rest(second, 0.0)
    large.rest(first, 0.0)

    large.begin(third, 1, 0.0)

    assert third.reading
    assert shrunk == [second]


def test_message_that_ends_while_its_client_waits_frees_it() -> None:
    """What was under way when it had to wait was the end."""
    large, shrunk = receptions()
    peers = [Peer() for _ in range(3)]
    for peer in peers:
        large.begin(peer, 1, 0.0)

    large.rest(peers[2], 0.0)

    assert peers[2].reading
    assert shrunk == [peers[2]]


def test_place_of_a_connection_that_is_gone_is_free() -> None:
    """Whether it was busy or waited."""
    large, _ = receptions()
    peers = [Peer() for _ in range(4)]
    for peer in peers:
        large.begin(peer, 1, 0.0)

    large.forget(peers[2], 0.0)
    large.forget(peers[0], 0.0)

    assert peers[3].reading
    assert len(large) == MOST


def test_who_keeps_others_waiting_has_to_go_on() -> None:
    """Unless it is held by us; with nobody waiting it may take its time."""
    large = Receptions[Peer](3, lambda peer: None, patience=5.0)
    slow, stuck, busy, fourth = Peer(), Peer(), Peer(), Peer()
    for peer in (slow, stuck, busy):
        large.begin(peer, 1, 0.0)
    stuck.held = True
    alone = large.overdue(100.0)
    large.begin(fourth, 1, 100.0)
    large.begin(busy, 10_000, 100.0)

    assert alone == []
    assert large.overdue(100.0) == [slow]
    assert large.overdue(104.0) == []
    stuck.held = False
    assert large.overdue(105.0) == [slow, stuck, busy]


@given(steps=st.lists(st.tuples(st.sampled_from(["begin", "rest", "forget"]), st.integers(0, 5)), max_size=60))
def test_nobody_waits_while_there_is_room(steps: list[tuple[str, int]]) -> None:
    """Never more than there may be, and whoever waits does so for somebody who is busy."""
    large, _ = receptions()
    peers = [Peer() for _ in range(6)]
    for what, number in steps:
        peer = peers[number]
        if what == "forget":
            large.forget(peer, 0.0)
            peer.reading = True
        elif what == "begin" and peer.reading:
            large.begin(peer, 1, 0.0)
        elif what == "rest":
            large.rest(peer, 0.0)
        assert len(large) <= MOST
        assert all(large.waits(one) != one.reading for one in peers)
        if any(large.waits(one) for one in peers):
            assert len(large) == MOST
