"""Circuit breakers: what fails again and again is left alone for a while.

A circuit is *closed* while calls go through, *open* while they are refused, and *half-open* while single calls try
whether it works again.
"""

from __future__ import annotations

import asyncio
from collections import deque
from enum import StrEnum
from functools import wraps
from time import monotonic
from typing import Any

import msgspec
import structlog

from ..protocol.errors import FailureClass, ServiceUnavailableError
from .failures import class_of
from .options import check_count, check_options
from .safe_log import report
from .validation import Function

log = structlog.get_logger("linkd.service")

_MOST_FAILURES = 10_000


class Breaker(msgspec.Struct, frozen=True, kw_only=True):
    """When calls of something that fails are refused, and when they are tried again.

    Attributes:
        failures: So many within ``window`` open the circuit. Failures are transient ones, bugs and timeouts, not what
            is the caller's fault.
        window: Seconds.
        reset_after: Seconds after which an open circuit lets a single call try. If that fails, it stays open for as
            long again.
    """

    failures: int = 5
    window: float = 30.0
    reset_after: float = 10.0

    def check(self, place: str) -> None:
        """Look at the values.

        Raises:
            RegistrationError: If one makes no sense.
        """
        check_count(place, "Breaker.failures", self.failures, _MOST_FAILURES)
        check_options(f"{place}: Breaker", window=self.window, reset_after=self.reset_after)


class State(StrEnum):
    """Whether calls go through."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class CircuitOpenError(ServiceUnavailableError):
    """A circuit is open: nothing was tried."""


class Circuit:
    """The state of one breaker. The time is an argument: seconds of any clock that only goes forward.

    A call that began before the state changed says nothing about what came after: ``enter`` returns a number that its
    outcome is told with.

    Args:
        breaker: Its limits.
        name: What it protects, for logs.
    """

    __slots__ = ("_breaker", "_failures", "_name", "_opened_at", "_period", "state")

    def __init__(self, breaker: Breaker, name: str) -> None:
        self._breaker = breaker
        self._name = name
        self._failures: deque[float] = deque(maxlen=breaker.failures)
        self._opened_at = 0.0
        self._period = 0  # counts changes of the state
        self.state = State.CLOSED

    def enter(self, now: float) -> int:
        """A call begins; what comes of it is told with the number that this returns.

        Raises:
            CircuitOpenError: If it may not; ``retry_after`` says when one may.
        """
        if self.state is State.CLOSED:
            return self._period
        left = self._opened_at + self._breaker.reset_after - now
        if left > 0 or self.state is State.HALF_OPEN:
            raise CircuitOpenError("This has failed too often and is tried again later.", retry_after=max(left, 0.1))
        self._change(State.HALF_OPEN)
        return self._period

    def succeeded(self, period: int) -> None:
        """A call went well."""
        if self.state is State.HALF_OPEN and period == self._period:
            self._change(State.CLOSED)
            self._failures.clear()
            report(log.info, "circuit_closed", target=self._name)

    def failed(self, period: int, now: float) -> None:
        """A call failed."""
        if period != self._period:
            return
        if self.state is State.CLOSED:
            self._failures.append(now)
            if len(self._failures) < self._breaker.failures or now - self._failures[0] > self._breaker.window:
                return
        self._change(State.OPEN)
        self._opened_at = now
        report(log.warning, "circuit_opened", target=self._name, seconds=self._breaker.reset_after)

    def ended(
        self, period: int, error: BaseException, now: float, retry_on: tuple[type[BaseException], ...] = ()
    ) -> None:
        """A call ended with an error. A cancellation means that it took too long; one that is the caller's fault shows
        that it works.
        """
        if isinstance(error, asyncio.CancelledError) or class_of(error, retry_on) is not FailureClass.PERMANENT:
            self.failed(period, now)
        else:
            self.succeeded(period)

    def _change(self, state: State) -> None:
        self.state = state
        self._period += 1


def guarded(function: Function, circuit: Circuit, retry_on: tuple[type[BaseException], ...]) -> Function:
    """The function behind a circuit."""

    @wraps(function)
    async def call(*arguments: Any) -> Any:
        period = circuit.enter(monotonic())
        try:
            result = await function(*arguments)
        except BaseException as error:
            circuit.ended(period, error, monotonic(), retry_on)
            raise
        circuit.succeeded(period)
        return result

    return call
