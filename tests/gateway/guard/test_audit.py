"""The record of decisions."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

import pytest
import structlog

from pylinkd.gateway.guard.audit import Audit

from ..doubles import Clock


def test_record_says_what_and_of_whom(tmp_path: Path) -> None:
    """In the log, and as a line of JSON in the file, which is appended to."""
    file = tmp_path / "audit.jsonl"
    with structlog.testing.capture_logs() as logs:
        for _ in range(2):
            audit = Audit(Clock(1_700_000_000.5), Clock(), file)
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
    audit = Audit(Clock(), Clock(), file)

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
    audit = Audit(clock, clock, file)

    for _ in range(10_000):
        audit.record("rate_limited")
    clock.now += 5
    audit.record("rate_limited")
    audit.close()

    lines = file.read_text().splitlines()
    assert len(lines) < 500
    assert json.loads(lines[-1])["unsaid"] == audit.suppressed == 10_001 - len(lines)
    assert audit.decisions["rate_limited"] == 10_001


@pytest.mark.parametrize("jump", [-3600.0, 3600.0])
def test_clock_that_jumps_silences_nobody(tmp_path: Path, jump: float) -> None:
    """How many records there may be does not depend on what time it is."""
    clock, monotonic = Clock(1_700_000_000.0), Clock()
    file = tmp_path / "audit.jsonl"
    audit = Audit(clock, monotonic, file)
    for _ in range(1_000):
        audit.record("rate_limited")
    clock.now += jump
    monotonic.now += 1

    audit.record("signed_in")
    audit.close()

    last = json.loads(file.read_text().splitlines()[-1])
    assert last["decision"] == "signed_in"
    assert last["at"][:13] == datetime.fromtimestamp(clock.now, UTC).isoformat()[:13]


def test_log_and_file_that_fail_are_no_failure_of_the_decision() -> None:
    """What cannot be written is counted."""

    def refuse(*_: object) -> NoReturn:
        raise OSError("disk full")

    audit = Audit(Clock(), Clock(), Path("/dev/full"))
    with structlog.testing.capture_logs(processors=[refuse]):
        audit.record("signed_in")
    audit.close()

    assert (audit.decisions["signed_in"], audit.unlogged, audit.lost) == (1, 1, 1)
    audit.record("signed_in")
    assert audit.lost == 2


def until_written(file: Path) -> None:
    """Wait until something stands in the file."""
    deadline = time.monotonic() + 10
    while not file.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_rotated_file_is_opened_anew(tmp_path: Path) -> None:
    """Where that fails the old one is written on; without a file there is nothing to do."""
    file, old = tmp_path / "audit.jsonl", tmp_path / "old"
    audit = Audit(Clock(), Clock(), file)
    audit.record("signed_in")
    until_written(file)
    audit.reopen()
    file.rename(old)
    audit.reopen()
    audit.record("banned")
    until_written(file)
    file.rename(tmp_path / "newer")
    file.mkdir()
    with structlog.testing.capture_logs() as logs:
        audit.reopen()
    audit.record("revoked")
    audit.close()
    Audit(Clock(), Clock()).reopen()

    def decisions(name: str) -> list[str]:
        return [json.loads(line)["decision"] for line in (tmp_path / name).read_text().splitlines()]

    assert (decisions("old"), decisions("newer")) == (["signed_in"], ["banned", "revoked"])
    assert [line["event"] for line in logs] == ["audit_file_not_reopened"]
