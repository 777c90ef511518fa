"""What HTTP can carry in headers and cookies: a service is held to it early, and the gateway checks again."""

from __future__ import annotations

import re
from collections.abc import Iterable

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\t\x20-\x7e\xa0-\xff]*")


def is_cookie_name(text: str) -> bool:
    """Whether a cookie can be called so (RFC 6265 §4.1.1)."""
    return _NAME.fullmatch(text) is not None


def check_cookie_name(text: str) -> str:
    """The name.

    Raises:
        ValueError: If no cookie can be called so.
    """
    if not is_cookie_name(text):
        raise ValueError(f"{text!r} is no name of a cookie: it is made of letters, digits, - and _")
    return text


def check_header(name: str, value: str) -> None:
    """Check that HTTP can carry a header (RFC 9110 §5).

    Raises:
        ValueError: If it cannot.
    """
    if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
        raise ValueError(f"HTTP cannot carry the header {name!r} with this value")


def join_repeated(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Headers by lower-case name, repeated ones joined (RFC 9110 §5.3)."""
    found: dict[str, str] = {}
    for name, value in headers:
        name = name.lower()
        found[name] = f"{found[name]}, {value}" if name in found else value
    return found
