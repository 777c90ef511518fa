"""The record of security decisions: who, from where, what, why. Never a token, never a payload."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import structlog

from .rates import Rate

log = structlog.get_logger("linkd.audit")

_RATE = Rate(200, 1.0)  # records; an attacker must not fill a disk by being refused
_MAX_TEXT = 256  # characters of what a peer chose itself


class Audit:
    """Writes records, and counts decisions whether they are written or not.

    Args:
        clock: Unix time in seconds.
        file: Where records go beside the log, a line of JSON each; ``None``: nowhere.

    Attributes:
        decisions: How many there were of each.
        suppressed: Records that were too many to be written.

    Raises:
        OSError: If the file cannot be written.
    """

    def __init__(self, clock: Callable[[], float], file: Path | None = None) -> None:
        self._clock = clock
        self._file = None if file is None else file.open("a", encoding="utf-8", buffering=1)
        self._paid = 0.0
        self._unsaid = 0
        self.decisions: Counter[str] = Counter()
        self.suppressed = 0

    def record(self, decision: str, **facts: str | float | int | None) -> None:
        """Record a decision.

        Args:
            decision: What was decided, such as ``token_refused``.
            facts: What of: ``address``, ``user``, ``session``, ``reason``, ``path``.
        """
        self.decisions[decision] += 1
        now = self._clock()
        self._paid, wait = _RATE.take(self._paid, now)
        if wait:
            self._unsaid += 1
            self.suppressed += 1
            return
        known: dict[str, Any] = {name: _bounded(value) for name, value in facts.items() if value is not None}
        if self._unsaid:
            known["unsaid"], self._unsaid = self._unsaid, 0
        log.info(decision, **known)
        if self._file is not None:
            at = datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds")
            self._file.write(json.dumps({"at": at, "decision": decision, **known}) + "\n")

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            self._file.close()


def _bounded(value: object) -> object:
    return value[:_MAX_TEXT] if isinstance(value, str) else value
