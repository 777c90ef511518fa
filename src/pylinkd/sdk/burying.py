"""Messages and actions that have failed, kept as dead letters where their handlers ask for it."""

from __future__ import annotations

import asyncio
import traceback
from functools import wraps
from typing import Any

import structlog

from ..protocol.errors import HandlerTimeoutError, ServiceUnavailableError
from .failures import FailureClass, class_of
from .host import persistence_of
from .safe_log import report
from .validation import Function

log = structlog.get_logger("linkd.service")


def buried(function: Function, kind: str, name: str, retry_on: tuple[type[BaseException], ...]) -> Function:
    """The function, whose failures for good are kept. What the caller has to change is not: the caller is answered.

    Args:
        function: A handler's.
        kind: ``message`` or ``action``.
        name: The handler's.
        retry_on: What is transient beside what is known to be.
    """

    @wraps(function)
    async def call(ctx: Any, *data: Any) -> Any:
        try:
            return await function(ctx, *data)
        except asyncio.CancelledError:
            # Its time is up: this task may not wait any more.
            late = persistence_of(ctx._host).bury_call(kind, name, ctx, HandlerTimeoutError(), "")
            try:
                _ = ctx._host.background.start(late, "linkd-dead-letter")
            except ServiceUnavailableError as error:
                report(log.error, "dead_letter_lost", kind=kind, name=name, reason=error.message)
            raise
        except Exception as error:
            if class_of(error, retry_on) is not FailureClass.PERMANENT:
                trace = "".join(traceback.format_exception(error))
                await persistence_of(ctx._host).bury_call(kind, name, ctx, error, trace)
            raise

    return call
