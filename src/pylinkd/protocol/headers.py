"""What an HTTP header may be (RFC 9110 §5): a service is held to it early, and the gateway checks again."""

from __future__ import annotations

import re

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\t\x20-\x7e\xa0-\xff]*")


def check_header(name: str, value: str) -> None:
    """Check that HTTP can carry a header.

    Raises:
        ValueError: If it cannot.
    """
    if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
        raise ValueError(f"HTTP cannot carry the header {name!r} with this value")
