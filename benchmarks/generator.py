"""Whether the load generator itself is the bottleneck: what it can do at most, and how busy it was."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Any


def figures(measured: dict[str, Any], bare: dict[str, Any]) -> dict[str, float]:
    """What the generator did, from two reports of ``load requests``.

    Args:
        measured: Against the gateway.
        bare: The same requests against the C echo, where nothing but generator and kernel can be the limit.
    """
    return {
        "generator_most": bare["rate"],
        "generator_busy": measured["cpu_seconds"] / measured["seconds"],
        "generator_busy_most": bare["cpu_seconds"] / bare["seconds"],
    }


def proof(rounds: Sequence[dict[str, Any]]) -> str:
    """The line that says how far the generator was from its limit: medians over the rounds."""
    middle = {key: median(one[key] for one in rounds) for key in rounds[0] if key.startswith("generator_")}
    return (
        f"generator: {middle['generator_most']:,.0f} requests/s at most (with {middle['generator_busy_most']:.0%} of a "
        f"core), {middle['generator_busy']:.0%} of a core busy while measuring ours"
    )
