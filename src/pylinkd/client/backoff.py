"""How long to wait before the next attempt."""

from __future__ import annotations

from collections.abc import Callable

from ..protocol.control import Retry


def backoff(retry: Retry, failures: int, random: Callable[[], float]) -> float:
    """Seconds before the next attempt, after so many failures in a row: within the server's policy, a part random."""
    delay = min(retry.cap_ms, retry.base_ms * 2.0 ** min(failures - 1, 30))
    return delay / 1000 * (1 - retry.jitter * random())
