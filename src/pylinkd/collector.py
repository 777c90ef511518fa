"""The garbage collector of a long-lived process, gateway or service."""

from __future__ import annotations

import gc

# Rare: messages make few cycles, and a walk over everything that is alive is a pause for all clients.
_THRESHOLDS = (50_000, 50, 100)


def settle_collector() -> None:
    """Collect once, then leave alone what is alive now, and collect seldom. Called when a process has started."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)
