"""Looking into the database again and again, and at once where this process knows of something."""

from __future__ import annotations

import asyncio
import contextlib

import structlog

from .safe_log import report

log = structlog.get_logger("linkd.service")

POLL = 1.0
"""Seconds between two looks; how late an instance notices what another has added or given up."""


class Poller:
    """Does a step, waits, and does the next.

    Args:
        failed: What the log calls a step that fails; it is done again.
    """

    def __init__(self, failed: str) -> None:
        self._failed = failed
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """There may be something to do."""
        self._wake.set()

    async def run(self) -> None:
        """Run until it is cancelled."""
        while True:
            self._wake.clear()
            try:
                delay = await self._step()
            except Exception as error:
                report(log.error, self._failed, exc_info=error)
                delay = POLL
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(delay):
                    await self._wake.wait()

    async def _step(self) -> float:
        """Do what is to be done; how many seconds to wait then, unless it is woken."""
        raise NotImplementedError
