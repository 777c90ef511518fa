"""Messages and actions that have failed, kept as dead letters where their handlers ask for it."""

from __future__ import annotations

import asyncio
from typing import Any

import structlog

from ..protocol.errors import FailureClass, HandlerTimeoutError, ServiceUnavailableError
from .breaker import CircuitOpenError
from .failures import class_of
from .host import persistence_of
from .middleware import Next
from .safe_log import report

log = structlog.get_logger("linkd.service")


def buried(call_next: Next, kind: str, name: str, retry_on: tuple[type[BaseException], ...]) -> Next:
    """The call of a handler, whose failures for good are kept; not what its caller has to change, and learns.

    Args:
        call_next: Calls the handler.
        kind: ``message`` or ``action``.
        name: The handler's.
        retry_on: What is transient beside what is known to be.
    """

    async def call(ctx: Any) -> Any:
        try:
            return await call_next(ctx)
        except asyncio.CancelledError:
            # Its time is up: this task may not wait any more.
            late = persistence_of(ctx._host).bury_call(kind, name, ctx, HandlerTimeoutError(), FailureClass.TRANSIENT)
            try:
                _ = ctx._host.background.start(late, "linkd-dead-letter")
            except ServiceUnavailableError as error:
                report(log.error, "dead_letter_lost", kind=kind, name=name, reason=error.message)
            raise
        except CircuitOpenError:
            raise  # it was not tried
        except Exception as error:
            failure = class_of(error, retry_on)
            if failure is not FailureClass.PERMANENT:
                await persistence_of(ctx._host).bury_call(kind, name, ctx, error, failure)
            raise

    return call
