"""The sweep over silent connections: pinged, dead, idle."""

from __future__ import annotations

from pylinkd.gateway.core.heartbeat import Heartbeat, Verdict


class Peer:
    """A connection as the sweep sees it."""

    def __init__(self, now: float = 0.0) -> None:
        self.heard_at = self.messaged_at = now
        self.pinged_at = self.unfinished_since = 0.0
        self.held = False
        self.reachable = True


def heartbeat(*, interval: float = 30.0, idle_timeout: float | None = None, step: float = 1.0) -> Heartbeat[Peer]:
    """A sweep with a step of one second."""
    return Heartbeat(interval=interval, idle_timeout=idle_timeout, message_timeout=20.0, step=step)


def run(sweep: Heartbeat[Peer], start: float, end: float, answers: bool) -> list[tuple[float, Verdict]]:
    """What the sweep finds in each second; peers are pinged when it says so, and answer or not."""
    found = []
    now = start
    while now < end:
        now += 1.0
        for peer, verdict in sweep.due(now):
            found.append((now, verdict))
            if verdict is Verdict.PING:
                peer.pinged_at = now
                if answers:
                    peer.heard_at = now
            else:
                sweep.discard(peer)
    return found


def test_silent_peer_is_pinged_and_stays_if_it_answers() -> None:
    """Once for each interval, not before the first has passed."""
    sweep = heartbeat()
    sweep.add(Peer())

    found = run(sweep, 0, 300, answers=True)

    assert {verdict for _, verdict in found} == {Verdict.PING}
    assert found[0][0] >= 30
    assert 7 <= len(found) <= 10


def test_peer_that_answers_no_ping_is_dead_after_two_intervals() -> None:
    """A quarter of an interval late at most, and pinged before."""
    sweep = heartbeat()
    sweep.add(Peer())

    found = run(sweep, 0, 100, answers=False)

    assert [verdict for _, verdict in found] == [Verdict.PING, Verdict.DEAD]
    assert 60 <= found[1][0] <= 60 + 2 * 7.5


def test_peer_is_not_dead_before_it_was_asked() -> None:
    """However long the sweep itself was held up."""
    sweep = heartbeat()
    sweep.add(Peer())

    assert [verdict for _, verdict in run(sweep, 500, 508, answers=False)] == [Verdict.PING]


def test_talking_peer_is_left_alone() -> None:
    """Whatever comes counts as a sign of life."""
    sweep, peer = heartbeat(), Peer()
    sweep.add(peer)

    for now in range(1, 200):
        peer.heard_at = float(now)
        assert sweep.due(float(now)) == []


def test_peer_without_messages_is_idle_though_it_answers_pings() -> None:
    """Only messages count for that."""
    sweep = heartbeat(idle_timeout=100.0)
    sweep.add(Peer())

    found = run(sweep, 0, 200, answers=True)

    assert found[-1][1] is Verdict.IDLE
    assert 100 <= found[-1][0] <= 108


def test_every_peer_is_visited_in_each_quarter_of_an_interval() -> None:
    """And no step visits more than its share."""
    sweep = heartbeat()
    peers = [Peer() for _ in range(100)]
    for peer in peers:
        sweep.add(peer)

    steps = [sweep.due(1000.0 + step) for step in range(8)]

    assert {peer for step in steps for peer, _ in step} == set(peers)
    assert max(len(step) for step in steps) <= 13


def test_peer_that_left_is_not_visited() -> None:
    """It is let go at once."""
    sweep, peer = heartbeat(), Peer()
    sweep.add(peer)

    sweep.discard(peer)

    assert len(sweep) == 0
    assert sweep.due(1000.0) == []


def test_peer_that_is_not_read_from_is_not_judged_by_its_silence() -> None:
    """It is our doing: back pressure may hold it for longer than any interval."""
    sweep, peer = heartbeat(idle_timeout=10.0), Peer()
    peer.held = True
    sweep.add(peer)

    assert {verdict for _, verdict in run(sweep, 0, 500, answers=False)} == {Verdict.PING}


def test_message_that_is_never_finished_is_stalled() -> None:
    """However many fragments come: each is a sign of life, and none the end of the message."""
    sweep = heartbeat()
    peer = Peer()
    sweep.add(peer)
    found = []
    for second in range(1, 60):
        peer.heard_at = float(second)
        peer.unfinished_since = peer.unfinished_since or 5.0
        found += [(second, verdict) for _, verdict in sweep.due(float(second))]
        if found:
            break

    assert [verdict for _, verdict in found] == [Verdict.STALLED]
    assert 25 <= found[0][0] <= 25 + 30 / 4 + 1


def test_held_peer_that_vanished_is_dead() -> None:
    """Where what is sent to it does not arrive, nobody waits for its handlers."""
    sweep = heartbeat()
    peer = Peer()
    peer.held = True
    sweep.add(peer)
    run(sweep, 0, 50, answers=False)

    peer.reachable = False
    found = run(sweep, 50, 120, answers=False)

    assert [verdict for _, verdict in found] == [Verdict.DEAD]


def test_own_pause_is_nobodys_silence() -> None:
    """A gateway that was stopped for minutes wakes up to peers that have answered and were not read."""
    sweep = heartbeat()
    sweep.add(Peer())
    run(sweep, 0, 40, answers=False)

    sweep.paused(300.0)

    assert run(sweep, 340, 350, answers=False) == []
