"""Classes of failures: what the caller has to change, what passes when it is tried again, and bugs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..protocol.errors import FailureClass, LinkdError, failure_class
from .validation import RegistrationError

ErrorClasses = type[BaseException] | Sequence[type[BaseException]]


def error_classes(place: str, given: Any) -> tuple[type[BaseException], ...]:
    """Classes of errors as they are given as an option: one, or several.

    Raises:
        RegistrationError: If they are something else.
    """
    classes = given if isinstance(given, tuple | list) else (given,)
    for known in classes:
        if not (isinstance(known, type) and issubclass(known, Exception)):
            raise RegistrationError(f"{place}: retry_on is a class of errors or several of them, not {known!r}")
    return tuple(classes)


def class_of(error: BaseException, retry_on: tuple[type[BaseException], ...] = ()) -> FailureClass:
    """What kind of failure an error is.

    Args:
        error: What left the handler.
        retry_on: What is transient beside what is known to be.
    """
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    if isinstance(error, retry_on):
        return FailureClass.TRANSIENT
    if isinstance(error, LinkdError):
        return failure_class(error.code)
    # Errors of ``pylinkd.db`` say it themselves, so that a service without a database does not import it.
    return FailureClass.TRANSIENT if getattr(error, "is_transient", False) is True else FailureClass.BUG
