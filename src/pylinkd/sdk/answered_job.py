"""A job that owes the gateway an answer: between what a handler does wrong and what its caller is answered.

The kinds of questions are in jobs.py.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

import structlog

from ..protocol.errors import (
    FAULTS,
    FailureClass,
    HandlerTimeoutError,
    InternalError,
    LinkdError,
    PayloadTooLargeError,
    RateLimitedError,
    ServiceUnavailableError,
    TransientError,
    UnknownActionError,
)
from ..protocol.link import MAX_FRAME_SIZE, LinkProtocolError
from ..protocol.link_pb2 import Frame
from .dispatch import Job, torn_down
from .failures import class_of
from .gateway_questions import is_fault
from .host import Host
from .safe_log import report

log = structlog.get_logger("linkd.service")

_TRANSIENT_DELAY = 1.0  # seconds after which a client may try again what failed for a busy database or the like

_ABOUT_THE_MESSAGE = frozenset({PayloadTooLargeError.default_code, RateLimitedError.default_code})
"""Codes that tell a client of its own message: too large, or too many and therefore not handled. Where ``ctx`` raised
them they are about what the handler asked for, and the handler may have done a part: they are answered with 500, as an
action is that the handler called and that does not exist."""


class Answerable(Protocol):
    """Where a job's answer goes: the link that its question came by."""

    def answer(self, request_id: int, frame: Frame) -> None:
        """Answer the question."""

    def fail(self, request_id: int, error: LinkdError) -> None:
        """Answer the question with an error."""


class AnsweredJob(Job):
    """A job that owes the gateway an answer, whatever happens: exactly one."""

    __slots__ = ("_answered", "_host", "_link", "_request_id")

    def __init__(self, host: Host, link: Answerable, request_id: int) -> None:
        self._host = host
        self._link = link
        self._request_id = request_id
        self._answered = False

    async def run(self) -> None:
        """See Job."""
        try:
            frame = await self._handle()
            if not self._answered:
                self._link.answer(self._request_id, frame)
                self._answered = True
        except LinkdError as error:
            self._fail(self._said(error))
        except LinkProtocolError:
            self._fail(self._too_large())
        except BaseExceptionGroup as group:
            only = _only_error(group)
            self._fail(self._internal(group) if only is None else self._said(only))
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            # The error boundary: a handler's fault is its caller's answer and nobody else's trouble. SystemExit and
            # KeyboardInterrupt are no exception: one message may not end the process for all clients.
            if torn_down(error):
                raise
            is_transient = class_of(error, self._retry_on) is FailureClass.TRANSIENT
            self._fail(self._transient(error) if is_transient else self._internal(error))

    @property
    def _retry_on(self) -> tuple[type[BaseException], ...]:
        """Errors that the handler's author calls transient."""
        return ()

    async def _handle(self) -> Frame:
        """Run the handler and return the answer."""
        raise NotImplementedError

    async def _run_all(self, handlers: Sequence[Callable[[], Awaitable[Any]]]) -> None:
        """Run handlers one after another; the first error is raised when all have had their turn."""
        first: BaseException | None = None
        for handler in handlers:
            try:
                await handler()
            except BaseException as error:
                if torn_down(error) or _is_cancelled(error):
                    raise
                if first is None:
                    first = error
                else:
                    target = error.target if isinstance(error, LinkdError) else None
                    report(log.error, "handler_failed", exc_info=error, target=target, **self._what())
        if first is not None:
            raise first

    def _what(self) -> dict[str, Any]:
        """What the log says of this job."""
        raise NotImplementedError

    def _internal(self, error: BaseException, **fields: Any) -> InternalError:
        error_id = secrets.token_hex(8)
        fields = {**fields, **self._what()}
        report(log.error, "handler_failed", failure="bug", error_id=error_id, exc_info=error, **fields)
        internal = InternalError(details={"errorId": error_id})
        internal.__cause__ = error  # for the tests of a service; it is not sent
        return internal

    def _transient(self, error: BaseException) -> TransientError:
        """The answer to an error of a database or the like that will pass."""
        error_id = secrets.token_hex(8)
        name = f"{type(error).__module__}.{type(error).__qualname__}"
        report(log.warning, "handler_failed", failure="transient", error_id=error_id, error=name, **self._what())
        transient = TransientError(details={"errorId": error_id}, retry_after=_TRANSIENT_DELAY)
        transient.__cause__ = error
        return transient

    def _said(self, error: LinkdError) -> LinkdError:
        """The answer where a handler raised a typed error: its author's own, or what its context raised and it did not
        catch. The log names the latter's target, once.
        """
        target, error.target = error.target, None
        if target is None:
            if error.code >= FAULTS and "errorId" not in (error.details or ()):  # else it is in the log
                self._note(log.warning, error)
            return error
        if error.code in _ABOUT_THE_MESSAGE or isinstance(error, UnknownActionError):
            return self._internal(error, target=target)
        # What a client can bring about as often as it likes is no warning.
        write = log.warning if is_fault(error) else log.info
        self._note(write, error, target=target)
        return error

    def _note(self, write: Callable[..., Any], error: LinkdError, **fields: Any) -> None:
        failure = class_of(error).value
        report(write, "handler_failed", failure=failure, code=error.code, error=error.type, **fields, **self._what())

    def _too_large(self) -> InternalError:
        error_id = secrets.token_hex(8)
        report(log.error, "answer_too_large", error_id=error_id, limit=MAX_FRAME_SIZE, **self._what())
        return InternalError(details={"errorId": error_id})

    def failed(self, error: BaseException) -> None:
        """See Job. Such as an author's error whose attributes cannot be read."""
        self._fail(self._internal(error))

    def expired(self) -> None:
        """See Job."""
        if not self._answered:
            report(log.warning, "handler_timed_out", timeout=self.timeout, **self._what())
            self._fail(HandlerTimeoutError())

    def cancelled(self) -> None:
        """See Job."""
        self._fail(self._internal(asyncio.CancelledError("the handler cancelled itself")))

    def refused(self) -> None:
        """See Job."""
        report(log.warning, "call_refused", **self._what())
        self._fail(ServiceUnavailableError("Too many calls wait for calls.", retry_after=1.0))

    def _fail(self, error: LinkdError) -> LinkdError:
        """Answer with an error, if there was no answer yet; which one it was in the end."""
        if self._answered:
            return error
        self._answered = True
        try:
            self._link.fail(self._request_id, error)
            return error
        except LinkProtocolError:
            instead = self._too_large()
        except BaseException as cause:
            # The error's own text or details cannot be sent; that there was one has to be.
            instead = self._internal(cause)
        self._link.fail(self._request_id, instead)
        return instead


def _is_cancelled(error: BaseException) -> bool:
    """Whether the worker was cancelled, in contrast to a handler that raised CancelledError itself."""
    task = asyncio.current_task()
    return isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling() > 0


def _only_error(group: BaseExceptionGroup[Any]) -> LinkdError | None:
    """The LinkdError that is all that the group holds, however deep. Task groups raise groups of a single error too."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        errors = BaseExceptionGroup.exceptions.__get__(error)  # not what a subclass makes of it
        if len(errors) != 1:
            return None
        error = errors[0]
    return error if isinstance(error, LinkdError) else None
