"""Plain numbers."""

from __future__ import annotations

from pylinkd.gateway.core.traffic import Histogram


def test_value_is_counted_between_its_bounds() -> None:
    """The upper bound belongs to it; what is larger than all has a place of its own."""
    histogram = Histogram((1, 10))

    for value in (0, 1, 2, 10, 11):
        histogram.observe(value)

    assert histogram.counts == [2, 2, 1]
    assert histogram.total == 24
