"""How rates and durations are written: ``100/s``, ``20/m``, ``300/10s``; ``90s``, ``10m``."""

from __future__ import annotations

import re

_RATE = re.compile(r"(\d{1,9})/(\d{0,6})(ms|s|m|h)", re.ASCII)
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def parse_rate(text: str) -> tuple[int, float]:
    """How many, and in how many seconds.

    Raises:
        ValueError: If it is no rate; the text says how one is written.
    """
    match = _RATE.fullmatch(text)
    if match is None or not int(match[1]) or (match[2] and not int(match[2])):
        raise ValueError(f"a rate is written like 100/s, 20/m or 300/10s, not {text!r}")
    return int(match[1]), int(match[2] or 1) * _SECONDS[match[3]]


def parse_duration(text: str) -> float:
    """Seconds.

    Raises:
        ValueError: If it is no duration; the text says how one is written.
    """
    match = re.fullmatch(r"(\d{1,9})(ms|s|m|h)", text, re.ASCII)
    if match is None:
        raise ValueError(f"a duration is written like 90s, 10m or 2h, not {text!r}")
    return int(match[1]) * _SECONDS[match[2]]
