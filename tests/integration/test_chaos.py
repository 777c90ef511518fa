"""A short run of ``scripts/bench chaos``: clients resume through a network that does its worst, and nothing is lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.chaos import Plan, cause_chaos


@pytest.mark.timeout(120)
@pytest.mark.parametrize("kind", ["own", "python", "typescript"])
async def test_nothing_is_lost_while_network_and_service_fail(tmp_path: Path, kind: str) -> None:
    """Messages of both directions come once and in order, or the client is told, over some dozens of connections."""
    plan = Plan(clients=8, seconds=8, seed=7, step=2.0, client=kind, after=(200, 5_000))

    outcome = await cause_chaos(plan, tmp_path)

    assert not outcome.ledger.violations, outcome.ledger.examples
    assert not outcome.drift
    assert not outcome.errors
    assert outcome.steps["redeploy"]
    assert outcome.ledger.sessions["resumed"] > 2
    assert outcome.ledger.requests["answered"] > 40
