"""A short ledger run: what is asked is executed and answered once, in order, whatever is done to the processes.

``scripts/bench ledger`` does it for two minutes, and lets gateway and service sleep for longer than they wait for each
other.
"""

from __future__ import annotations

import pytest

from benchmarks.ledger import Plan, keep_ledger

pytestmark = pytest.mark.plain("the same code over TLS; what is in it is not about the transport")


@pytest.mark.plain  # the clients speak no TLS, and the faults are behind the gateway
@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    "faults",
    [
        ("kill", "redeploy", "slow"),
        ("pause", "freeze"),
        ("stop",),
        ("slow", "stop"),
    ],
)
async def test_short_ledger_shows_no_violation(faults: tuple[str, ...]) -> None:
    """Under 30 clients that ask all the time, and ten that come and go, nothing is lost, doubled or out of order."""
    plan = Plan(seconds=5, faults=faults, clients=30, pause=1.5, freeze=1.5, rest=0.6)

    verdict = await keep_ledger(plan)

    assert verdict.violations == {}
    assert verdict.totals["executions"] > 500
    assert len(verdict.answers) > 1  # the faults were caused under requests
