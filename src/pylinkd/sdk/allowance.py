"""How many messages a session may send to a handler, as the gateway counts them: for the gateway in memory.

The gateway has its own, over all of its limits; neither side imports the other.
"""

from __future__ import annotations

_ROUNDING = 1e-6  # seconds; far more than a sum of clocks and periods is off


class Allowance:
    """So many at once, then one after the other as time passes (the generic cell rate algorithm, ITU-T I.371).

    Args:
        count: How many.
        period: In how many seconds.
    """

    __slots__ = ("_interval", "_paid", "_period")

    def __init__(self, count: int, period: float) -> None:
        self._interval = period / count
        self._period = period
        self._paid = 0.0

    def take(self, now: float) -> float:
        """Take one at this time, in seconds; the seconds after which one may be taken, 0.0: it was."""
        after = max(self._paid, now) + self._interval
        if after - now > self._period + _ROUNDING:
            return after - now - self._period
        self._paid = after
        return 0.0
