"""Rates and durations: how they are written (``100/s``, ``20/m``, ``300/10s``; ``90s``), and how a rate is kept.

That is the generic cell rate algorithm (ITU-T I.371), which keeps one number a key: when everything that was taken so
far would be paid off at the steady rate. Time is an argument.
"""

from __future__ import annotations

import re

_RATE = re.compile(r"(\d{1,30})/(\d{0,30})(ms|s|m|h)", re.ASCII)
_DURATION = re.compile(r"(\d{1,30})(ms|s|m|h)", re.ASCII)
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_MOST = 4_294_967_295  # what a rate may count to: the link carries it in 32 bits
_LONGEST_PERIOD = 1000 * 3600.0  # seconds; in milliseconds that fits into 32 bits, too
_ROUNDING = 1e-6  # seconds; far more than a sum of clocks and periods is off, and less than anybody can use
_LONGEST_DURATION = 100 * 8760 * 3600.0  # seconds; a hundred years, so that every end is a date


def parse_rate(text: str) -> tuple[int, float]:
    """How many, and in how many seconds.

    Raises:
        ValueError: If it is no rate, or out of range; the text says what is possible.
    """
    match = _RATE.fullmatch(text)
    if match is None:
        raise ValueError(f"a rate is written like 100/s, 20/m or 300/10s, not {text!r}")
    count, period = int(match[1]), int(match[2] or 1) * _SECONDS[match[3]]
    if not 1 <= count <= _MOST:
        raise ValueError(f"a rate such as 100/s counts from 1 to {_MOST}, so {text!r} is none")
    if not 0 < period <= _LONGEST_PERIOD:
        raise ValueError(f"a rate such as 100/s is per 1ms to 1000h, so {text!r} is none")
    return count, period


def parse_duration(text: str) -> float:
    """Seconds.

    Raises:
        ValueError: If it is no duration, or out of range; the text says what is possible.
    """
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError(f"a duration is written like 90s, 10m or 2h, not {text!r}")
    seconds = int(match[1]) * _SECONDS[match[2]]
    if seconds > _LONGEST_DURATION:
        raise ValueError(f"a duration has 876000h (100 years) at most, so {text!r} is none")
    return seconds


class Rate:
    """So many in so much time: as many at once, then one after the other as time passes.

    Attributes:
        text: As it was written, such as ``100/s``, ``20/m``, ``300/10s``.
        count: How many.
        interval: Seconds that one of them costs.
        period: Seconds in which all of them are allowed.
        ceiling: Seconds that may be owed, which is the period and what rounding adds to it.
    """

    __slots__ = ("ceiling", "count", "interval", "period", "text")

    def __init__(self, count: int, period: float) -> None:
        self.text = f"{count}/{period:g}s"
        self.count = count
        self.period = period
        self.interval = period / count
        self.ceiling = period + _ROUNDING

    @classmethod
    def parse(cls, text: str) -> Rate | None:
        """Read ``100/s`` and its like; ``None`` for ``off``.

        Raises:
            ValueError: If it is none.
        """
        if text == "off":
            return None
        try:
            count, period = parse_rate(text)
        except ValueError as cause:
            raise ValueError(f"{cause}; off sets no limit") from cause
        rate = cls(count, period)
        rate.text = text
        return rate

    def take(self, paid: float, now: float, cost: float = 1.0) -> tuple[float, float]:
        """Take ``cost`` of them.

        Args:
            paid: When everything taken so far is paid off; 0: nothing was taken.
            now: The time in seconds.
            cost: How many.

        Returns:
            When everything is paid off now, and 0.0; or ``paid`` as it was, and the seconds after which to try again.
        """
        after = (paid if paid > now else now) + self.interval * cost
        owed = after - now
        return (after, 0.0) if owed <= self.ceiling else (paid, owed - self.period)

    def __repr__(self) -> str:
        return f"<Rate {self.text}>"
