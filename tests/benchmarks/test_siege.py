"""What a siege finds wrong."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.siege import faults_of
from benchmarks.siege_ways import WAYS


def figures(**changed: Any) -> dict[str, Any]:
    """Those of a gateway that held."""
    neighbour = {"p99_ms": 3.0, "lost": False, "refused": 0, "unanswered": 0}
    return {
        "neighbour": {"during": neighbour | changed.pop("neighbour", {})},
        "gateway_mib": {"before": 70.0, "most": 100.0},
        "kept_out": 0,
        "fate": {"ends": {"4429": 3, "open": 1}, "longest_s": 5.0},
    } | changed


@pytest.mark.parametrize("websocket", [True, False])
def test_gateway_that_held_has_no_fault(websocket: bool) -> None:
    """Memory, waits and the attackers' ends are as they should be."""
    assert faults_of(figures(), websocket) == []


@pytest.mark.parametrize(
    ("changed", "websocket", "fault"),
    [
        ({"gateway_mib": {"before": 70.0, "most": 135.0}}, False, "memory"),
        ({"neighbour": {"p99_ms": 21.0}}, False, "p99"),
        ({"neighbour": {"lost": True}}, False, "neighbour cut"),
        ({"neighbour": {"refused": 1}}, False, "neighbour refused"),
        ({"neighbour": {"unanswered": 1}}, False, "neighbour unanswered"),
        ({"kept_out": 1}, False, "others kept out"),
        ({"fate": {"ends": {"open": 4}, "longest_s": 60.0}}, True, "never closed"),
        ({"fate": {"ends": {"open": 4}, "longest_s": 46.0}}, False, "connections without end"),
    ],
)
def test_fault_is_found(changed: dict[str, Any], websocket: bool, fault: str) -> None:
    """Each by itself."""
    assert faults_of(figures(**changed), websocket) == [fault]


def test_banned_attackers_were_closed() -> None:
    """Who is let in no more has lost its connections before."""
    fate = {"ends": {"open": 1}, "refused": 5, "longest_s": 60.0}

    assert faults_of(figures(fate=fate), websocket=True) == []


@pytest.mark.parametrize("name", WAYS)
def test_way_is_bounded_in_a_block(name: str) -> None:
    """What is sent together fits into what a kernel takes at once, and a rate needs something to send."""
    way = WAYS[name]

    assert len(way.block) <= 2**16 + 16
    assert way.block or (way.rate is None and way.most is None)
