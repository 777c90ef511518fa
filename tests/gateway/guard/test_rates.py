"""How much in how much time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pylinkd.gateway.guard.rates import Rates
from pylinkd.protocol.rate import Rate


@pytest.mark.parametrize(
    ("text", "count", "period"),
    [("100/s", 100, 1.0), ("20/m", 20, 60.0), ("300/10s", 300, 10.0), ("1/h", 1, 3600.0), ("5/250ms", 5, 0.25)],
)
def test_rate_is_read(text: str, count: int, period: float) -> None:
    """A number, and a time that may have a number of its own."""
    rate = Rate.parse(text)

    assert rate is not None
    assert rate.interval * count == pytest.approx(period)
    assert rate.period == pytest.approx(period)
    assert Rate.parse("off") is None


@pytest.mark.parametrize(
    "text", ["", "100", "/s", "0/s", "-1/s", "1/0s", "1/d", "1.5/s", "1 / s", "١/s", "1/s ", "OFF"]
)
def test_what_is_no_rate_is_refused(text: str) -> None:
    """The text says how one is written."""
    with pytest.raises(ValueError, match="100/s"):
        Rate.parse(text)


def test_all_at_once_then_one_after_the_other() -> None:
    """Ten in ten seconds: ten now, the next in a second."""
    rate, paid = Rate(10, 10.0), 0.0

    for _ in range(10):
        paid, wait = rate.take(paid, now=100.0)
        assert wait == 0.0
    paid, wait = rate.take(paid, now=100.0)
    assert wait == pytest.approx(1.0)
    paid, wait = rate.take(paid, now=101.0)
    assert wait == 0.0
    assert rate.take(paid, now=101.0)[1] > 0


@given(
    count=st.integers(1, 50),
    period=st.floats(0.01, 100),
    steps=st.lists(st.floats(0, 10), min_size=1, max_size=200),
)
def test_never_more_than_twice_the_rate_in_its_period(count: int, period: float, steps: list[float]) -> None:
    """However the attempts fall: what was saved up, and what came due meanwhile."""
    rate, paid, now = Rate(count, period), 0.0, 1000.0
    taken: list[float] = []
    for step in steps:
        now += step
        paid, wait = rate.take(paid, now)
        if not wait:
            taken.append(now)

    for start in taken:
        assert sum(start <= moment <= start + period for moment in taken) <= 2 * count + 1


@given(wait=st.floats(0, 100), attempts=st.integers(1, 30))
def test_who_waits_as_long_as_told_is_taken(wait: float, attempts: int) -> None:
    """The advice is good."""
    rate, paid, now = Rate(3, 7.0), 0.0, wait
    for _ in range(attempts):
        paid, wait = rate.take(paid, now)
        now += wait
        if wait:
            paid, again = rate.take(paid, now)
            assert again == 0.0


@given(now=st.floats(0, 1e6), count=st.integers(1, 1000), period=st.sampled_from([0.001, 1.0, 10.0, 3600.0, 86400.0]))
def test_first_ones_are_taken_whatever_the_clock_says(now: float, count: int, period: float) -> None:
    """Rounding refuses nobody: neither the first nor the last that is allowed."""
    rate, paid = Rate(count, period), 0.0
    for _ in range(count):
        paid, wait = rate.take(paid, now)
        assert wait == 0.0


def test_each_key_has_its_own() -> None:
    """And asking without taking changes nothing."""
    rates = Rates(Rate(1, 10.0))

    assert rates.take("a", 100.0) == 0.0
    assert rates.peek("b", 100.0) == 0.0
    assert rates.take("b", 100.0) == 0.0
    assert rates.take("a", 100.0) == pytest.approx(10.0)
    assert rates.peek("a", 105.0) == pytest.approx(5.0)


def test_keys_are_bounded_whatever_a_peer_makes_up() -> None:
    """A flood of keys is forgotten again; those that owe something stay as long as there is room."""
    rates = Rates(Rate(1, 10.0), most=100)
    for number in range(10_000):
        rates.take(number, 100.0 + number / 1000)
        assert len(rates) <= 100

    assert rates.peek(9_999, 110.0) > 0


def test_no_rate_is_no_limit() -> None:
    """Nothing is kept, either."""
    rates = Rates(None)

    assert [rates.take("a", 1.0) for _ in range(5)] == [0.0] * 5
    assert len(rates) == 0


def test_ever_new_keys_leave_no_more_than_owes_something() -> None:
    """Each takes once, and has paid after a tenth of a second: a table that only grows would be an attacker's."""
    rates = Rates(Rate(10, 1.0))

    for number in range(10_000):
        rates.take(f"u-{number}", number * 0.01)

    assert len(rates) < 50


def test_account_that_somebody_counts_by_stays_the_keys() -> None:
    """A session of a user goes on counting by it; the user's next session shares it, however long nothing was owed."""
    rates = Rates(Rate(10, 1.0))
    kept = rates.account("una", 0.0)

    for number in range(100):
        rates.take(f"u-{number}", number * 1.0)

    assert rates.account("una", 200.0) is kept
