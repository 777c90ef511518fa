"""Calls of other services' actions: their time, their depth, and the circuit breaker of each target."""

from __future__ import annotations

import asyncio
import os
from time import monotonic
from typing import Any

import msgspec

from ..protocol.errors import CallLoopError, HandlerTimeoutError, LinkdError
from ..protocol.identity import Identity
from ..protocol.link_pb2 import Frame
from ..protocol.link_values import fill_identity
from ..protocol.trace import child_of
from .breaker import Breaker, Circuit
from .dispatch import time_left
from .gateway_questions import asked
from .options import is_seconds
from .validation import encode

DEEPEST = 16
"""How deeply services may call each other: an action that was called calls another, and so on."""

DEFAULT_BREAKER = Breaker(failures=20, window=10.0, reset_after=1.0)
"""Of each target of ``ctx.call``. It opens late and shortly: a service that is redeployed is away for some moments."""

_MOST_CIRCUITS = 1000  # targets; the one that was not called for longest is forgotten


class Circuits:
    """The circuits of the targets that a service calls.

    Args:
        breaker: Of each; ``None``: there are none.
    """

    def __init__(self, breaker: Breaker | None) -> None:
        self._breaker = breaker
        self._circuits: dict[str, Circuit] = {}

    def of(self, target: str) -> Circuit | None:
        """The circuit of a target."""
        if self._breaker is None:
            return None
        circuit = self._circuits.pop(target, None)
        if circuit is None:
            circuit = Circuit(self._breaker, f"call {target}")
            if len(self._circuits) >= _MOST_CIRCUITS:
                del self._circuits[next(iter(self._circuits))]
        self._circuits[target] = circuit  # the latest stands last
        return circuit


class Calling(msgspec.Struct, frozen=True, kw_only=True):
    """Who calls.

    Attributes:
        identity: On whose behalf; ``None``: the service's own.
        depth: How many calls led here.
        traceparent: Of what led here; empty: nothing that is known.
    """

    identity: Identity | None = None
    depth: int = 0
    traceparent: str = ""


async def call(host: Any, calling: Calling, service: str, action: str, params: Any, timeout: float | None) -> Any:
    """Have an action answer; see ``Outbound.call``."""
    if timeout is not None and not (is_seconds(timeout) and timeout):
        raise ValueError(f"timeout is a positive number of seconds or None, not {timeout!r}")
    target = f"{service}.{action}"
    if calling.depth >= DEEPEST:
        raise _named(CallLoopError(), target)
    circuit = host.circuits.of(target)
    if circuit is None:
        return await _asked(host, calling, service, action, params, timeout)
    try:
        period = circuit.enter(monotonic())
    except LinkdError as error:
        raise _named(error, target) from None
    try:
        result = await _asked(host, calling, service, action, params, timeout)
    except BaseException as error:
        circuit.ended(period, error, monotonic())
        raise
    circuit.succeeded(period)
    return result


async def _asked(host: Any, calling: Calling, service: str, action: str, params: Any, timeout: float | None) -> Any:
    frame = Frame()
    frame.call.service = service
    frame.call.action = action
    frame.call.params = encode(params)
    frame.call.depth = calling.depth + 1
    frame.call.traceparent = child_of(calling.traceparent, os.urandom(24))
    if calling.identity is not None:
        fill_identity(frame.call.identity, calling.identity)
    limit = min(timeout or float("inf"), time_left())
    if limit != float("inf"):
        frame.call.timeout_ms = max(1, round(limit * 1000))
    host.dispatcher.call_began()
    try:
        answer = await _in_time(asked(host, frame, f"call {service}.{action}"), timeout, f"{service}.{action}")
    finally:
        host.dispatcher.call_ended()
    result = answer.call_result.data
    return msgspec.json.decode(result) if result else None


async def _in_time(question: Any, timeout: float | None, target: str) -> Frame:
    """The answer, within a time of the caller's. The handler's own time is the dispatcher's affair."""
    limit = asyncio.timeout(timeout)
    try:
        async with limit:
            answer: Frame = await question
            return answer
    except TimeoutError:
        if not limit.expired():
            raise
        raise _named(HandlerTimeoutError(), target) from None


def _named(error: LinkdError, target: str) -> LinkdError:
    error.target = f"call {target}"
    return error
