"""When tokens end."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pylinkd.gateway.core.expiry import Expiry, Stage
from pylinkd.gateway.core.session import Session
from pylinkd.protocol.identity import Identity

from ..doubles import Turns, make_session

TURNS = Turns()


def session(expires_at: float | None) -> Session:
    """A session whose token ends then."""
    return make_session(TURNS.delivery, identity=Identity(user="una", name="una", expires_at=expires_at))


def test_client_is_told_and_then_it_is_over() -> None:
    """Ahead of the end, and some seconds after it; each once."""
    expiry, one = Expiry(lead=60, leeway=5), session(1000.0)
    expiry.watch(one)

    assert list(expiry.due(939.0)) == []
    assert list(expiry.due(940.0)) == [(one, Stage.EXPIRING)]
    assert list(expiry.due(1004.9)) == []
    assert list(expiry.due(1005.0)) == [(one, Stage.EXPIRED)]
    assert list(expiry.due(5000.0)) == []
    assert len(expiry) == 0


def test_token_that_is_renewed_counts_from_then_on() -> None:
    """However often, a session is watched once."""
    expiry, one = Expiry(lead=60, leeway=5), session(1000.0)
    for end in range(1000, 2000):
        one.identity = Identity(user="una", name="una", expires_at=float(end))
        expiry.watch(one)

    assert len(expiry) == 1
    assert list(expiry.due(1500.0)) == []
    assert list(expiry.due(1939.0)) == [(one, Stage.EXPIRING)]


def test_session_that_ended_is_let_go() -> None:
    """At once, and not with its token."""
    expiry, one = Expiry(lead=60, leeway=5), session(1000.0)
    expiry.watch(one)
    expiry.forget(one)
    expiry.forget(one)

    assert len(expiry) == 0
    assert expiry._buckets == {}
    assert list(expiry.due(5000.0)) == []


def test_token_without_an_end_is_not_watched() -> None:
    """Nor one whose end no clock reaches."""
    expiry = Expiry(lead=60, leeway=5)
    expiry.watch(session(None))
    expiry.watch(session(1e300))

    assert len(expiry) == 0


@given(st.lists(st.floats(0, 500), max_size=30), st.lists(st.floats(0.1, 60), max_size=60))
def test_everybody_is_told_once_and_ended_once(ends: list[float], steps: list[float]) -> None:
    """Neither early nor late, whatever the moments of the sweep."""
    expiry = Expiry(lead=30, leeway=5)
    sessions = {session(end): end for end in ends}
    for one in sessions:
        expiry.watch(one)
    seen: list[tuple[Session, Stage]] = []
    now = 0.0
    for step in [*steps, 1000.0, 1000.0]:
        now += step
        for one, stage in expiry.due(now):
            assert now >= sessions[one] + (-30 if stage is Stage.EXPIRING else 5)
            seen.append((one, stage))

    assert sorted(map(str, (stage for _, stage in seen))) == sorted(
        map(str, [Stage.EXPIRED] * len(ends) + [Stage.EXPIRING] * len(ends))
    )
    assert len(set(seen)) == len(seen)
