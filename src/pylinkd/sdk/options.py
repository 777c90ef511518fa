"""What the options of handlers, groups and services may be. Anything else is refused where it is written.

A value of the wrong kind would show late and strangely: ``auth="no"`` is true to Python, and a timeout that is text
fails with the first message.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from ..protocol.rate import parse_rate
from .text import TextPolicy
from .validation import RegistrationError

LONGEST = 1e9
"""Seconds; event loops refuse timers of much more."""


def check_options(place: str, /, **options: Any) -> None:
    """Look at each option by its name; those that are not known here are left to whoever takes them.

    Args:
        place: Whose options they are, for the message.
        options: What was given.

    Raises:
        RegistrationError: If a value is of the wrong kind; the text names the option and says what it may be.
    """
    for name, value in options.items():
        check = _CHECKS.get(name)
        if check is None:
            continue
        try:
            check(name, value)
        except ValueError as cause:
            raise RegistrationError(f"{place}: {cause}") from None


def check_known(options: Mapping[str, Any], allowed: type, others: Collection[str] = ()) -> None:
    """Look for options that nobody knows.

    Args:
        options: What was given.
        allowed: The TypedDict of those that there are.
        others: Further names that are right.

    Raises:
        TypeError: If there is one.
    """
    unknown = options.keys() - allowed.__annotations__.keys() - set(others)
    if unknown:
        raise TypeError(f"a handler of streams has no option {', '.join(sorted(unknown))}")


def _flag(name: str, value: Any) -> None:
    if not isinstance(value, bool):
        raise ValueError(f"{name} is True or False, not {value!r}")


def _text(name: str, value: Any) -> None:
    if not isinstance(value, str):
        raise ValueError(f"{name} is a text, not {value!r}")


def _text_or_none(name: str, value: Any) -> None:
    if value is not None:
        _text(name, value)


def _policy(name: str, value: Any) -> None:
    if not isinstance(value, TextPolicy):
        raise ValueError(f"{name} is a TextPolicy(), not {value!r}")


def is_seconds(value: Any) -> bool:
    """Whether it is a number of seconds that a timer takes: 0 or more, finite, and no bool."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    # Compared before it is converted: an integer may be too large for a float. NaN is in no order.
    return is_number and 0 <= value <= LONGEST and math.isfinite(value)


def _seconds(name: str, value: Any) -> None:
    if not is_seconds(value) or value == 0:
        raise ValueError(f"{name} is a positive number of seconds, not {value!r}; write 5.0 for five seconds")


def _seconds_or_never(name: str, value: Any) -> None:
    if value is not None and (not is_seconds(value) or value == 0):
        raise ValueError(
            f"{name} is a positive number of seconds, not {value!r}; write 5.0 for five seconds, None for no limit"
        )


def _grace(name: str, value: Any) -> None:
    if not is_seconds(value):
        raise ValueError(f"{name} is a number of seconds, 0 or more, not {value!r}")


def _count(name: str, value: Any) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError(f"{name} is a positive whole number, 1 or more, not {value!r}")


def check_count(place: str, name: str, value: Any, most: int) -> None:
    """Look at a whole number from 1 to ``most``.

    Raises:
        RegistrationError: If it is something else.
    """
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
        raise RegistrationError(f"{place}: {name} is a whole number from 1 to {most}, not {value!r}")


def _order(name: str, value: Any) -> None:
    if not isinstance(value, int | float) or isinstance(value, bool) or value != value:  # NaN is in no order
        raise ValueError(f"{name} is a number, not {value!r}")


def _roles(name: str, value: Any) -> None:
    if isinstance(value, str):
        raise ValueError(f"{name} is a list of names, such as ['{value}']")
    # Not an iterator: it would be empty once it has been looked at.
    if not isinstance(value, list | tuple | set | frozenset) or not all(
        isinstance(role, str) and role for role in value
    ):
        raise ValueError(f"{name} is a list of names, such as ['admin'], not {value!r}")


def _rate(name: str, value: Any) -> None:
    if value is None:
        return
    if not isinstance(value, str):
        raise ValueError(f"{name} is a text such as '10/s', '20/m' or '300/10s', not {value!r}")
    parse_rate(value)


_CHECKS: dict[str, Callable[[str, Any], None]] = {
    "auth": _flag,
    "delay": _grace,
    "jitter": _grace,
    "max_delay": _grace,
    "reset_after": _seconds,
    "window": _seconds,
    "dead_letters": _flag,
    "durable": _flag,
    "once": _flag,
    "ordered": _flag,
    "roles": _roles,
    "timeout": _seconds_or_never,
    "idle_timeout": _seconds,
    "interval": _seconds,
    "stop_timeout": _grace,
    "max_size": _count,
    "order": _order,
    "max_concurrent": _count,
    "rate": _rate,
    "description": _text,
    "version": _text,
    "path": _text_or_none,
    "namespace": _text_or_none,
    "text": _policy,
}


def listed_roles(roles: Any) -> Any:
    """Roles as a tuple where they are an iterable that can be read once only, else as they are."""
    is_plain = isinstance(roles, str | list | tuple | set | frozenset) or not isinstance(roles, Iterable)
    return roles if is_plain else tuple(roles)


def role_names(roles: Iterable[str]) -> list[str]:
    """The roles as plain text: the hash of an enum's member is not that of its text."""
    return [str.__str__(role) for role in roles]
