"""Health checks: whether a service can do its work, asked of the author's functions again and again.

Lives here: when they run, and what counts as failing. Elsewhere: telling the gateway (serving.py, connector.py).
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import structlog

from ..protocol.patterns import check_name
from .options import check_options
from .signatures import is_async, positional_of
from .validation import RegistrationError, where

log = structlog.get_logger("linkd.service")

MOST_CHECKS = 32
_START_INTERVAL = 1.0  # seconds between two rounds while a service waits to start, at most
_JITTER = 0.1  # part of an interval by which it is shorter or longer: instances shall not all ask at once

Check = Callable[..., Awaitable[None]]


class HealthCheck:
    """One check, and what came of it last.

    Attributes:
        name: For logs and operators.
        interval: Seconds from its end to its next run.
        error: Class of the exception by which it fails; empty: it passes.
    """

    def __init__(self, name: str, function: Check, timeout: float, interval: float) -> None:
        self.name = name
        self.interval = interval
        self.error = ""
        self.function = function
        self._timeout = timeout
        self._running: asyncio.Task[None] | None = None

    async def run(self, service: Any) -> None:
        """Run it once. One that ignores its cancellation fails for as long as it does, and is not begun again."""
        if self._running is None:
            self._running = asyncio.ensure_future(self._call(service))
        running = self._running
        try:
            await asyncio.wait({running}, timeout=self._timeout)
        finally:
            running.cancel()  # too late, or the service stops
        if not running.done():
            self.error = TimeoutError.__name__
            await asyncio.sleep(0)  # one that does not ignore it ends here
        else:
            self.error = _error_of(running)
        if running.done():
            self._running = None

    async def _call(self, service: Any) -> None:
        await self.function(service)


class HealthChecks:
    """The checks of one service.

    Args:
        place: Whose they are, for messages.
    """

    def __init__(self, place: str) -> None:
        self._place = place
        self._checks: dict[str, HealthCheck] = {}

    def check_new(self, name: Any, timeout: float | None, interval: float) -> None:
        """Look at what a check is to be.

        Raises:
            RegistrationError: If its name or a time is not what it has to be.
        """
        place = f"{self._place}.health_check({name!r})"
        if not isinstance(name, str):
            raise RegistrationError(f"{place}: write health_check('database'), with a name for the check")
        try:
            check_name(name)
        except ValueError as cause:
            raise RegistrationError(f"{place}: {cause}") from cause
        if timeout is None:
            raise RegistrationError(f"{place}: a check needs a timeout: write timeout=5.0 for five seconds")
        check_options(place, timeout=timeout, interval=interval)
        if name in self._checks:
            raise RegistrationError(f"{place}: there is a check of this name already: give this one another")
        if len(self._checks) >= MOST_CHECKS:
            raise RegistrationError(f"{place}: a service has {MOST_CHECKS} checks at most: put several into one")

    def add(self, name: str, function: Check, timeout: float, interval: float) -> None:
        """Take in a check.

        Raises:
            RegistrationError: If it is not what it has to be.
        """
        self.check_new(name, timeout, interval)
        if not is_async(function) or len(positional_of(function)) != 1:
            raise RegistrationError(f"{where(function)}: a health check is 'async def name(service)'")
        self._checks[name] = HealthCheck(name, function, timeout, interval)

    @property
    def failing(self) -> list[str]:
        """The names of those that fail."""
        return [check.name for check in self._checks.values() if check.error]

    def handler_names(self) -> Iterator[tuple[Any, str]]:
        """Each function, and what to call it in logs."""
        yield from ((check.function, f"health check {check.name}") for check in self._checks.values())

    async def until_passing(self, service: Any) -> None:
        """Run all until none fails; that it is waited for is said once."""
        told = False
        while True:
            await asyncio.gather(*(check.run(service) for check in self._checks.values()))
            failing = {check.name: check.error for check in self._checks.values() if check.error}
            if not failing:
                break
            if not told:
                told = True
                log.warning("service_waits_for_health", service=service.name, failing=failing)
            await asyncio.sleep(min(_START_INTERVAL, *(check.interval for check in self._checks.values())))
        if told:
            log.info("service_healthy", service=service.name)

    async def watch(self, service: Any, changed: Callable[[], None]) -> None:
        """Run each at its interval, for ever.

        Args:
            service: What the checks are given.
            changed: Called when one fails that passed, or passes that failed.
        """
        await asyncio.gather(*(self._watch(check, service, changed) for check in self._checks.values()))

    async def _watch(self, check: HealthCheck, service: Any, changed: Callable[[], None]) -> None:
        while True:
            await asyncio.sleep(check.interval * random.uniform(1 - _JITTER, 1 + _JITTER))  # noqa: S311  no secret
            before = check.error
            await check.run(service)
            if bool(before) == bool(check.error):
                continue
            if check.error:
                log.warning("health_check_fails", service=service.name, check=check.name, error=check.error)
            else:
                log.info("health_check_passes", service=service.name, check=check.name)
            changed()


def _error_of(task: asyncio.Task[None]) -> str:
    if task.cancelled():
        return asyncio.CancelledError.__name__
    error = task.exception()
    return "" if error is None else type(error).__name__
