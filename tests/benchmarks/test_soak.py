"""When memory counts as levelled off."""

from __future__ import annotations

import pytest

from benchmarks.soak import level, slope


def test_slope_is_that_of_a_line() -> None:
    """Two MiB a minute."""
    assert slope([(minute, 10 + 2 * minute) for minute in (0.0, 1.0, 2.0, 5.0)]) == pytest.approx(2)


def test_memory_that_grows_only_at_first_levels_off() -> None:
    """Caches fill, then nothing is added."""
    verdict = level([(float(minute), 60 + 10 * min(minute, 10)) for minute in range(31)])

    assert verdict.passed
    assert verdict.slope == pytest.approx(0)


def test_memory_that_grows_all_the_time_does_not_level_off() -> None:
    """Half a MiB a minute is 30 MiB an hour."""
    verdict = level([(float(minute), 60 + 0.5 * minute) for minute in range(31)])

    assert not verdict.passed
    assert verdict.slope == pytest.approx(0.5)
    assert verdict.growth == pytest.approx(7.5 / 67.5)


def test_memory_that_goes_up_and_down_levels_off() -> None:
    """The collector runs when it likes."""
    assert level([(float(minute), 60 + minute % 3) for minute in range(31)]).passed
