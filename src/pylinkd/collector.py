"""The garbage collector of a long-lived process, gateway or service."""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping
from time import perf_counter

# Rare: messages make few cycles, and a walk over everything that is alive is a pause for all clients.
_THRESHOLDS = (50_000, 50, 100)


def freeze_collector() -> None:
    """Collect once, then leave alone what is alive now, and collect seldom. Called when a process has started."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)


class PauseWatch:
    """Tells how long each collection took: while it goes on, everything else stands still.

    Args:
        observe: Given the seconds of each.
    """

    def __init__(self, observe: Callable[[float], None]) -> None:
        self._observe = observe
        self._began = 0.0

    def start(self) -> None:
        """Watch from now on."""
        gc.callbacks.append(self._noticed)

    def stop(self) -> None:
        """Watch no more."""
        if self._noticed in gc.callbacks:
            gc.callbacks.remove(self._noticed)

    def _noticed(self, phase: str, details: Mapping[str, int]) -> None:
        if phase == "start":
            self._began = perf_counter()
        else:
            self._observe(perf_counter() - self._began)
