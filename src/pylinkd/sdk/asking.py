"""Questions of a handler to the gateway, and what is kept of those that failed.

Such an error answers the client as if the handler had raised it. Nobody but the log could say which question it was.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import structlog

from ..protocol.errors import LinkdError
from ..protocol.link_pb2 import Frame

log = structlog.get_logger("linkd.service")

_TIMED_OUT = 408
_TOO_OFTEN = 429
_FAULTS = 500  # and above


async def asked(host: Any, frame: Frame, what: str, target: str = "") -> Frame:
    """Ask, and wait for the answer.

    Args:
        host: Whose link is used (context.Host).
        frame: The question.
        what: What is asked for, for the log.
        target: The action that is called, if one is: part of the error where it did not answer as it should.

    Raises:
        LinkdError: If there is no answer, or this one.
    """
    try:
        answer: Frame = await host.link.ask(frame)
    except LinkdError as error:
        error.asked = what
        if target and _is_fault(error):
            error.details = {"target": target, **(error.details or {})}
        raise
    return answer


def note_failed_question(error: LinkdError, facts: Mapping[str, Any]) -> None:
    """Log, once, that a handler ended with an error of its context's; one of its own is its answer and no news.

    Args:
        error: What the handler ended with.
        facts: What was handled, and for whom.
    """
    if not error.asked:
        return
    what, error.asked = error.asked, ""
    # What a client can bring about as often as it likes is no warning.
    level = "warning" if _is_fault(error) or error.code == _TOO_OFTEN else "info"
    getattr(log, level)(
        "handler_request_failed", target=what, code=error.code, error_type=error.type, error=error.message, **facts
    )


def _is_fault(error: LinkdError) -> bool:
    return error.code >= _FAULTS or error.code == _TIMED_OUT
