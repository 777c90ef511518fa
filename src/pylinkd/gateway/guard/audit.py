"""The record of security decisions: who, from where, what, why. Never a token, never a payload."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import structlog

from ...line_writer import LineWriter
from ...protocol.rate import Rate

log = structlog.get_logger("linkd.audit")

_RATE = Rate(200, 1.0)  # records; an attacker must not fill a disk by being refused
_MAX_TEXT = 256  # characters of what a peer chose itself


class Audit:
    """Writes records, and counts decisions whether they are written or not. What decided never waits for the file, nor
    fails because of it.

    Args:
        clock: Unix time in seconds.
        monotonic: Seconds that never go back.
        file: Where records go beside the log, a line of JSON each; ``None``: nowhere.

    Attributes:
        decisions: How many there were of each.
        suppressed: Records that were too many to be written.
        unlogged: Records that the log refused.

    Raises:
        OSError: If the file cannot be written.
    """

    def __init__(self, clock: Callable[[], float], monotonic: Callable[[], float], file: Path | None = None) -> None:
        self._clock = clock
        self._monotonic = monotonic
        self._file = file
        self._lines = None if file is None else LineWriter(_open(file), self._describe_loss)
        self._paid = 0.0
        self._unsaid = 0
        self.decisions: Counter[str] = Counter()
        self.suppressed = 0
        self.unlogged = 0

    def record(self, decision: str, **facts: str | float | int | None) -> None:
        """Record a decision.

        Args:
            decision: What was decided, such as ``token_refused``.
            facts: What of: ``address``, ``user``, ``session``, ``reason``, ``path``.
        """
        self.decisions[decision] += 1
        self._paid, wait = _RATE.take(self._paid, self._monotonic())
        if wait:
            self._unsaid += 1
            self.suppressed += 1
            return
        known: dict[str, Any] = {name: _bounded(value) for name, value in facts.items() if value is not None}
        if self._unsaid:
            known["unsaid"], self._unsaid = self._unsaid, 0
        try:
            log.info(decision, **known)
        except Exception:
            # Where a program configured logging by itself, it may raise: the decision holds all the same.
            self.unlogged += 1
        if self._lines is not None:
            self._lines.write(self._line(decision, known))

    def _line(self, decision: str, facts: dict[str, Any]) -> str:
        at = datetime.fromtimestamp(self._clock(), UTC).isoformat(timespec="milliseconds")
        return json.dumps({"at": at, "decision": decision, **facts})

    def _describe_loss(self, count: int) -> str:
        return self._line("records_lost", {"count": count})

    @property
    def lost(self) -> int:
        """Records that could not be written to the file."""
        return 0 if self._lines is None else self._lines.lost

    def reopen(self) -> None:
        """Open the file anew, after a rotation moved it away; where that fails, the old one is written on."""
        if self._file is None or self._lines is None:
            return
        try:
            self._lines.replace(_open(self._file))
        except OSError as error:
            log.error("audit_file_not_reopened", file=str(self._file), reason=error.strerror)

    def close(self) -> None:
        """Write what waits, and let go of the file."""
        if self._lines is not None:
            self._lines.close()


def _open(file: Path) -> int:
    return os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)


def _bounded(value: object) -> object:
    return value[:_MAX_TEXT] if isinstance(value, str) else value
