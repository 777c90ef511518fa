"""Questions of a handler to the gateway. An error that one ends with says which it was; answered_job.py logs it."""

from __future__ import annotations

from typing import Any

from ..protocol.errors import FAULTS, LinkdError
from ..protocol.link_pb2 import Frame

_TIMED_OUT = 408


async def asked(host: Any, frame: Frame, what: str) -> Frame:
    """Ask, and wait for the answer.

    Args:
        host: Whose link is used (host.Host).
        frame: The question.
        what: What is asked for, for the log. Clients do not learn how services are put together.

    Raises:
        LinkdError: If there is no answer, or this one.
    """
    try:
        answer: Frame = await host.link.ask(frame)
    except LinkdError as error:
        error.target = what
        raise
    return answer


def is_fault(error: LinkdError) -> bool:
    """Whether it is the fault of whoever was asked, and not of whoever asks."""
    return error.code >= FAULTS or error.code == _TIMED_OUT
