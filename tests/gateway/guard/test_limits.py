"""How much a session may do; what needs a socket is in integration/test_limits.py."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pylinkd.gateway.core.session import Session
from pylinkd.gateway.guard.addresses import Addresses
from pylinkd.gateway.guard.audit import Audit
from pylinkd.gateway.guard.limits import Limits, LimitSettings
from pylinkd.protocol.identity import Identity
from pylinkd.protocol.rate import Rate

from ..doubles import Clock, Turns, make_session


def limits(clock: Clock, **rates: Any) -> Limits:
    """With these rates and no others."""
    return Limits(LimitSettings(**rates), Addresses(clock=clock, monotonic=clock), Audit(clock, clock), clock)


def session(user: str | None = None) -> Session:
    """A client."""
    return make_session(Turns().delivery, identity=None if user is None else Identity(user=user, name=user))


@given(now=st.floats(0, 1e6), count=st.integers(1, 50), period=st.sampled_from([0.001, 1.0, 10.0, 3600.0]))
def test_first_messages_are_taken_whatever_the_clock_says(now: float, count: int, period: float) -> None:
    """Rounding refuses nobody, by any of the three rates; the next one is refused, with the time to wait."""
    for name, user in (("messages", None), ("bytes", None), ("user_messages", "una")):
        guard, one = limits(Clock(now), **{name: Rate(count, period)}), session(user)

        assert [guard.message(one, 1) for _ in range(count)] == [0.0] * count
        assert 0 < guard.message(one, 1) <= max(period / count * 1.001, 0.001)


def test_message_larger_than_the_rate_is_taken_of_who_has_used_nothing() -> None:
    """It could never be sent; what it used up has to be paid off before the next."""
    clock = Clock()
    guard, one = limits(clock, bytes=Rate(100, 1.0)), session()

    assert guard.message(one, 1000) == 0.0
    assert guard.message(one, 1) == pytest.approx(9.01)
    clock.now += 9.1
    assert guard.message(one, 1) == 0.0


def test_signing_in_later_counts_as_the_user_and_forgets_nothing() -> None:
    """Who signs in again and again gets no fresh allowance."""
    clock = Clock(time.monotonic())
    guard, one = limits(clock, messages=Rate(3, 60.0), user_messages=Rate(2, 60.0)), session()
    assert guard.message(one, 1) == 0.0
    one.identity = Identity(user="una", name="una")

    assert guard.message(one, 1) == 0.0
    one.identity = Identity(user="una", name="una", expires_at=1.0)
    assert guard.message(one, 1) == 0.0
    assert guard.message(one, 1) > 0
    assert guard.message(session("una"), 1) > 0, "another connection of the same user"
