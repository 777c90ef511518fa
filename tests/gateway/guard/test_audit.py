"""The record of decisions."""

from __future__ import annotations

import json
from pathlib import Path

import structlog

from pylinkd.gateway.guard.audit import Audit

from ..doubles import Clock


def test_record_says_what_and_of_whom(tmp_path: Path) -> None:
    """In the log, and as a line of JSON in the file, which is appended to."""
    file = tmp_path / "audit.jsonl"
    with structlog.testing.capture_logs() as logs:
        for _ in range(2):
            audit = Audit(Clock(1_700_000_000.5), file)
            audit.record("token_refused", address="203.0.113.7", reason="exp", user=None)
            audit.close()

    assert [line["event"] for line in logs] == ["token_refused"] * 2
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert lines == 2 * [
        {"at": "2023-11-14T22:13:20.500+00:00", "decision": "token_refused", "address": "203.0.113.7", "reason": "exp"}
    ]


def test_peer_cannot_write_lines_of_its_own(tmp_path: Path) -> None:
    """Whatever stands in what it chose; and not as much as it likes."""
    file = tmp_path / "audit.jsonl"
    audit = Audit(Clock(), file)

    audit.record("origin_refused", origin='x"\n{"decision":"signed_in"}\r\n\x1b[2J' + "y" * 10_000)
    audit.close()

    (line,) = file.read_text().splitlines()
    assert json.loads(line)["decision"] == "origin_refused"
    assert "\x1b" not in line
    assert len(line) < 1000


def test_flood_of_decisions_is_counted_and_not_written(tmp_path: Path) -> None:
    """An attacker must not fill the disk; how many are missing is said with the next."""
    clock = Clock()
    file = tmp_path / "audit.jsonl"
    audit = Audit(clock, file)

    for _ in range(10_000):
        audit.record("rate_limited")
    clock.now += 5
    audit.record("rate_limited")
    audit.close()

    lines = file.read_text().splitlines()
    assert len(lines) < 500
    assert json.loads(lines[-1])["unsaid"] == audit.suppressed == 10_001 - len(lines)
    assert audit.decisions["rate_limited"] == 10_001
