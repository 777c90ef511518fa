"""Whether the load generator itself is the bottleneck: what it can do at most, and how busy it was."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Any

PREFIX = "generator_"
"""With which the names of its figures begin."""


def figures(measured: dict[str, Any], bare: dict[str, Any]) -> dict[str, float]:
    """What the generator did, from two reports of ``load requests``.

    Args:
        measured: Against the gateway.
        bare: The same requests against the C echo, where nothing but generator and kernel can be the limit.
    """
    return {
        f"{PREFIX}most": bare["rate"],
        f"{PREFIX}busy": measured["cpu_seconds"] / measured["seconds"],
        f"{PREFIX}busy_most": bare["cpu_seconds"] / bare["seconds"],
    }


def proof(rounds: Sequence[dict[str, Any]]) -> str:
    """The line that says how far the generator was from its limit: medians over the rounds."""
    middle = {
        key.removeprefix(PREFIX): median(one[key] for one in rounds) for key in rounds[0] if key.startswith(PREFIX)
    }
    return (
        f"generator: {middle['most']:,.0f} requests/s at most (with {middle['busy_most']:.0%} of a "
        f"core), {middle['busy']:.0%} of a core busy while measuring ours"
    )
