"""Sending clients away: the rate, the moments to come back, and who still waits for an answer."""

from __future__ import annotations

import json

import pytest

from pylinkd.gateway.core.drain import Drain, DrainSettings
from pylinkd.gateway.core.session import Session

from ..doubles import Turns, connection_of, make_session


def sessions(turns: Turns, count: int) -> list[Session]:
    """Clients that are told what the gateway says."""
    return [make_session(turns.delivery, f"s-{number}", controls=True) for number in range(count)]


def told(session: Session) -> list[float]:
    """In how many seconds the client was told to come back."""
    return [
        message["data"]["retryAfterMs"] / 1000
        for message in map(json.loads, (heard.payload for heard in connection_of(session).heard))
        if message["type"] == "linkd.closing"
    ]


def test_clients_are_released_at_the_rate() -> None:
    """A few in each step, all of them in the end, each once."""
    turns = Turns()
    everybody = sessions(turns, 100)
    drain = Drain(everybody, 50.0, 60.0, DrainSettings(rate=10.0, spread=5.0))

    gone = [len(drain.step(50.0 + second)) for second in range(11)]
    turns.end()

    assert gone == [1, 10, 10, 10, 10, 10, 10, 10, 10, 10, 9]
    assert drain.done
    assert [len(told(session)) for session in everybody] == [1] * 100


def test_release_is_faster_where_time_is_short() -> None:
    """However many there are, all are released in three quarters of the time."""
    drain = Drain(sessions(Turns(), 1000), 0.0, 4.0, DrainSettings(rate=10.0, spread=5.0))

    assert len(drain.step(3.0)) == 1000


def test_no_time_at_all_releases_everybody_at_once() -> None:
    """With a time limit of zero."""
    drain = Drain(sessions(Turns(), 10), 0.0, 0.0, DrainSettings(rate=1.0, spread=5.0))

    assert len(drain.step(0.0)) == 10


@pytest.mark.parametrize("count", [10, 1000])
def test_moments_to_come_back_are_spread_evenly(count: int) -> None:
    """In each tenth of the time about a tenth of the clients, whatever their number."""
    turns = Turns()
    everybody = sessions(turns, count)
    Drain(everybody, 0.0, 0.0, DrainSettings(rate=1e9, spread=5.0)).step(0.0)
    turns.end()

    tenths = [int((told(session)[0] - 0.1) / 0.5) for session in everybody]

    assert min(tenths) >= 0
    assert max(tenths) <= 9
    assert all(abs(tenths.count(tenth) - count / 10) <= 2 for tenth in range(10))


def test_client_that_waits_for_an_answer_goes_after_it() -> None:
    """It is told at once, and closed when nothing of it is under way."""
    turns = Turns()
    (busy,) = sessions(turns, 1)
    busy.in_flight = 1
    drain = Drain([busy], 0.0, 10.0, DrainSettings(rate=100.0, spread=1.0))

    before = drain.step(0.0)
    turns.end()

    assert before == []
    assert not drain.done
    assert busy.leaving == pytest.approx(told(busy)[0], abs=0.001)
    busy.in_flight = 0
    assert drain.step(0.1) == [busy]
    assert drain.done


def test_client_that_is_gone_already_is_passed_over() -> None:
    """Nobody has to be told."""
    session = make_session(Turns().delivery, connected=False)
    drain = Drain([session], 0.0, 10.0, DrainSettings(rate=1.0, spread=1.0))

    assert drain.step(0.0) == []
    assert drain.done


def test_client_that_reads_slowly_gets_what_is_finished() -> None:
    """It is closed when its outbox and its transport are empty, not when the last answer is there."""
    turns = Turns()
    (session,) = sessions(turns, 1)
    drain = Drain([session], 0.0, 20.0, DrainSettings(rate=10.0, spread=1.0))
    connection_of(session).unsent = 1000

    before = drain.step(1.0)
    turns.end()
    connection_of(session).unsent = 0

    assert before == []
    assert drain.step(2.0) == [session]


def test_nobody_is_waited_for_beyond_the_time() -> None:
    """Neither a client that does not read nor one whose turn has not come."""
    turns = Turns()
    everybody = sessions(turns, 3)
    drain = Drain(everybody, 0.0, 1000.0, DrainSettings(rate=1.0, spread=1.0))
    connection_of(everybody[0]).unsent = 1000
    drain.step(0.0)

    left = drain.give_up()
    turns.end()

    assert set(left) == set(everybody)
    assert drain.done
    assert [len(told(session)) for session in everybody] == [1, 1, 1]
