"""Errors that reach a client, and mistakes that stop a start.

    LinkdError                       code  type
    ├── BadRequestError              400   BAD_REQUEST
    │   └── InvalidJsonError         400   INVALID_JSON
    ├── UnauthorizedError            401   UNAUTHORIZED
    ├── ForbiddenError               403   FORBIDDEN
    ├── NotFoundError                404   NOT_FOUND
    │   ├── UnknownMessageTypeError  404   UNKNOWN_MESSAGE_TYPE
    │   └── UnknownActionError       404   UNKNOWN_ACTION
    ├── HandlerTimeoutError          408   TIMEOUT
    ├── ConflictError                409   CONFLICT
    ├── PayloadTooLargeError         413   PAYLOAD_TOO_LARGE
    ├── ValidationError              422   VALIDATION_ERROR
    ├── RateLimitedError             429   RATE_LIMITED
    ├── InternalError                500   INTERNAL_ERROR
    ├── ServiceUnavailableError      503   SERVICE_UNAVAILABLE
    │   └── TransientError           503   TRY_AGAIN
    ├── CallLoopError                508   CALL_LOOP
    └── NotAcknowledgedError         504   NOT_ACKNOWLEDGED

A handler raises one of these to answer with it; anything else that a handler raises becomes an InternalError
whose text says nothing of the cause.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, ClassVar

FAULTS = 500
"""Codes from here on are the fault of whoever was asked."""

_LONGEST_RETRY = 86_400.0

_TYPE = re.compile(r"[A-Z][A-Z0-9_]{0,63}")


class LinkdError(Exception):
    """An error whose code, type, message and details may be shown to the caller.

    Args:
        message: One sentence for the caller; by default a general one.
        code: HTTP-like, 400 to 599; by default the class's.
        type: Upper-case name on the wire, such as ``ROOM_FULL``; by default the class's.
        details: JSON-encodable facts for the caller's program, such as the failing field.
        retry_after: Seconds after which a repetition may succeed. ``None``: not known.

    Attributes:
        target: What a handler asked of its context and got this error for, such as ``call shop.items.price``. ``None``:
            the error was raised by a service's author. For logs; never sent.
    """

    target: str | None = None

    default_code: ClassVar[int] = 500
    default_type: ClassVar[str] = "INTERNAL_ERROR"
    default_message: ClassVar[str] = "Something went wrong."

    def __init__(
        self,
        message: str | None = None,
        *,
        code: int | None = None,
        type: str | None = None,
        details: Mapping[str, Any] | None = None,
        retry_after: float | None = None,
    ) -> None:
        self.message = self.default_message if message is None else message
        self.code = self.default_code if code is None else code
        self.type = self.default_type if type is None else type
        self.details = details
        self.retry_after = retry_after
        if not 400 <= self.code <= 599:
            raise ValueError(f"an error's code lies between 400 and 599, not {self.code}")
        if retry_after is not None and not 0 <= retry_after <= _LONGEST_RETRY:
            raise ValueError(f"retry_after lies between 0 and {_LONGEST_RETRY} seconds, not {retry_after}")
        if not _TYPE.fullmatch(self.type):
            raise ValueError(f"an error's type is upper case, such as ROOM_FULL, not {self.type!r}")
        super().__init__(self.message)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.code} {self.type}: {self.message})"


class BadRequestError(LinkdError):
    """The message breaks the protocol's form."""

    default_code = 400
    default_type = "BAD_REQUEST"
    default_message = "The message is not well formed."


class InvalidJsonError(BadRequestError):
    """The message is not JSON."""

    default_type = "INVALID_JSON"
    default_message = "The message is not valid JSON."


class UnauthorizedError(LinkdError):
    """The caller has to sign in first."""

    default_code = 401
    default_type = "UNAUTHORIZED"
    default_message = "Sign in first."


class ForbiddenError(LinkdError):
    """The caller is known and may not do this."""

    default_code = 403
    default_type = "FORBIDDEN"
    default_message = "You may not do this."


class NotFoundError(LinkdError):
    """The thing asked for does not exist, or not for this caller."""

    default_code = 404
    default_type = "NOT_FOUND"
    default_message = "There is no such thing."


class UnknownMessageTypeError(NotFoundError):
    """No service registered the message's type."""

    default_type = "UNKNOWN_MESSAGE_TYPE"
    default_message = "No service handles messages of this type."


class UnknownActionError(NotFoundError):
    """No service offers the action that a handler called; a mistake of the handler's, not of its caller."""

    default_type = "UNKNOWN_ACTION"
    default_message = "No service offers this action."


class HandlerTimeoutError(LinkdError):
    """The handler did not finish in its time and was cancelled."""

    default_code = 408
    default_type = "TIMEOUT"
    default_message = "The request took too long and was stopped."


class ConflictError(LinkdError):
    """The request contradicts the present state."""

    default_code = 409
    default_type = "CONFLICT"
    default_message = "The request conflicts with the present state."


class PayloadTooLargeError(LinkdError):
    """The message or body exceeds the limit."""

    default_code = 413
    default_type = "PAYLOAD_TOO_LARGE"
    default_message = "The message is too large."


class ValidationError(LinkdError):
    """``data`` does not fit the handler's schema; ``details`` names field and reason."""

    default_code = 422
    default_type = "VALIDATION_ERROR"
    default_message = "The data does not fit what is expected."


class RateLimitedError(LinkdError):
    """The caller does this too often."""

    default_code = 429
    default_type = "RATE_LIMITED"
    default_message = "Too many requests."


class InternalError(LinkdError):
    """Something failed that is not the caller's fault; ``details`` has the ``errorId`` of the log."""


class ServiceUnavailableError(LinkdError):
    """No instance of the service can take this now."""

    default_code = 503
    default_type = "SERVICE_UNAVAILABLE"
    default_message = "The service is not available now."


class TransientError(ServiceUnavailableError):
    """Something that a handler needs does not work now, and trying again may succeed."""

    default_type = "TRY_AGAIN"
    default_message = "This does not work now, try again."


class CallLoopError(LinkdError):
    """Services call each other too deeply, as they do in a circle."""

    default_code = 508
    default_type = "CALL_LOOP"
    default_message = "Services call each other too deeply."


class NotAcknowledgedError(LinkdError):
    """A client has not answered in time what a service sent it."""

    default_code = 504
    default_type = "NOT_ACKNOWLEDGED"
    default_message = "The client has not answered in time."


_CLASSES: tuple[type[LinkdError], ...] = (
    BadRequestError,
    InvalidJsonError,
    UnauthorizedError,
    ForbiddenError,
    NotFoundError,
    UnknownMessageTypeError,
    UnknownActionError,
    HandlerTimeoutError,
    ConflictError,
    PayloadTooLargeError,
    ValidationError,
    RateLimitedError,
    InternalError,
    ServiceUnavailableError,
    TransientError,
    CallLoopError,
    NotAcknowledgedError,
)
_BY_TYPE: dict[tuple[int, str], type[LinkdError]] = {(cls.default_code, cls.default_type): cls for cls in _CLASSES}
_BY_CODE: dict[int, type[LinkdError]] = {
    cls.default_code: cls for cls in reversed(_CLASSES)
}  # of two with one code the more general one


def error_class(code: int, name: str) -> type[LinkdError]:
    """The class of an error that came over a wire: by its type, else by its code, else LinkdError itself."""
    return _BY_TYPE.get((code, name)) or _BY_CODE.get(code, LinkdError)


class FailureClass(StrEnum):
    """What kind of failure an error is."""

    PERMANENT = "permanent"
    """It would fail again: the handler refused, or the data does not fit."""
    TRANSIENT = "transient"
    """Trying again may succeed: a database that is busy, a service that is not there, a time that was up."""
    BUG = "bug"
    """Everything else."""


def failure_class(code: int) -> FailureClass:
    """What kind of failure a code tells."""
    if code in (408, 503, 504):
        return FailureClass.TRANSIENT
    return FailureClass.PERMANENT if code < FAULTS else FailureClass.BUG


class SetupError(Exception):
    """A mistake of whoever configures or writes a service; it stops the start.

    The text is one sentence that says what to change. Never sent to a client.
    """
