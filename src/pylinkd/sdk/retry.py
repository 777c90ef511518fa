"""Trying a handler again after a transient failure, where its author asked for that."""

from __future__ import annotations

from functools import partial, wraps
from typing import TYPE_CHECKING, Any

import msgspec
import structlog

from ..protocol.errors import FailureClass
from .failures import class_of
from .options import check_count, check_options
from .safe_log import report
from .validation import Function, where

if TYPE_CHECKING:
    import tenacity

log = structlog.get_logger("linkd.service")

_MOST_ATTEMPTS = 1000


class Retry(msgspec.Struct, frozen=True, kw_only=True):
    """How often a handler is tried, and how long is waited between.

    The wait before attempt n + 1 is ``delay * 2 ** (n - 1)``, ``max_delay`` at most, and up to ``jitter`` more. All
    attempts together have the handler's ``timeout``.

    Attributes:
        attempts: The first one included.
        delay: Seconds before the second attempt.
        max_delay: Most seconds between two attempts.
        jitter: Most seconds that chance adds, so that those who failed together do not come back together.
    """

    attempts: int = 3
    delay: float = 0.1
    max_delay: float = 5.0
    jitter: float = 0.1

    def check(self, place: str) -> None:
        """Look at the values.

        Raises:
            RegistrationError: If one makes no sense.
        """
        check_count(place, "Retry.attempts", self.attempts, _MOST_ATTEMPTS)
        check_options(f"{place}: Retry", delay=self.delay, max_delay=self.max_delay, jitter=self.jitter)

    def wait(self, attempt: int, chance: float) -> float:
        """Seconds between an attempt, the first of which is 1, and the next.

        Args:
            attempt: Which.
            chance: A random number in [0, 1).
        """
        return min(self.delay * 2.0 ** min(attempt - 1, 60), self.max_delay) + self.jitter * chance


def retried(function: Function, retry: Retry, retry_on: tuple[type[BaseException], ...]) -> Function:
    """The function, tried again after a transient failure. Its arguments are the same each time."""
    import tenacity  # 60 ms that only a service pays that retries

    def is_worth_it(error: BaseException) -> bool:
        return isinstance(error, Exception) and class_of(error, retry_on) is FailureClass.TRANSIENT

    attempts = tenacity.AsyncRetrying(
        stop=tenacity.stop_after_attempt(retry.attempts),
        wait=tenacity.wait_exponential(multiplier=retry.delay, max=retry.max_delay)
        + tenacity.wait_random(0, retry.jitter),
        retry=tenacity.retry_if_exception(is_worth_it),
        before_sleep=partial(_note, where(function)),
        reraise=True,
    )

    @wraps(function)
    async def call(*arguments: Any) -> Any:
        # A copy for each call: the object keeps what it counts.
        return await attempts.copy()(function, *arguments)

    return call


def _note(place: str, state: tenacity.RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome is not None else None
    wait = 0.0 if state.next_action is None else state.next_action.sleep
    attempt, name = state.attempt_number, type(error).__name__
    report(log.info, "handler_retried", handler=place, attempt=attempt, error=name, wait=round(wait, 3))
