"""Log lines that cannot fail: a log that cannot be written must not cost anybody an answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def report(write: Callable[..., Any], event: str, *, exc_info: BaseException | None = None, **fields: Any) -> None:
    """Write a log line, and raise nothing.

    An exception may have no text (its ``__str__`` raises) or no traceback: then its class is logged instead. Where
    even that cannot be written, since the disk is full or the reader of a pipe has gone, the line is lost.

    Args:
        write: Of a structlog logger, such as ``log.error``.
        event: The line's name.
        exc_info: The exception that is the reason.
        fields: What else the line says.
    """
    try:
        if exc_info is None:
            write(event, **fields)
        else:
            write(event, exc_info=exc_info, **fields)
    except BaseException:  # an author's __str__ may raise anything, SystemExit included
        _without_text(write, event, exc_info, fields)


def _without_text(
    write: Callable[..., Any], event: str, exc_info: BaseException | None, fields: dict[str, Any]
) -> None:
    try:
        write(event, exception_class=type(exc_info).__qualname__, **fields)
    except BaseException:
        return  # there is no other place where this could be said
