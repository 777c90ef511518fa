"""How much of the suite a run covered, in the summary that pytest prints."""

from __future__ import annotations

import re

import pytest

_RUN = re.compile(r"tests/conformance/.*::test_case\[(?P<number>[0-9.]+)-")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """See pytest. Under xdist this process hears of every run, too."""
    by_outcome = {
        outcome: [
            found["number"]
            for report in terminalreporter.stats.get(outcome, [])
            if (found := _RUN.search(report.nodeid)) is not None
        ]
        for outcome in ("passed", "failed", "xfailed")
    }
    runs = [number for numbers in by_outcome.values() for number in numbers]
    if runs:
        passed = set(by_outcome["passed"]) - set(by_outcome["failed"]) - set(by_outcome["xfailed"])
        terminalreporter.write_line(
            f"conformance: {len(set(runs))} cases of the Autobahn suite, {len(runs)} runs; {len(passed)} cases passed"
        )
