"""Names of messages and events, and patterns over them.

A name is one or more segments parted by dots: ``chat.send``. In a pattern ``*`` stands for exactly one
segment and ``**``, at the end only, for one or more.
"""

from __future__ import annotations

import re

_SEGMENT = re.compile(r"[A-Za-z0-9_:-]+")
_MAX_LENGTH = 128

RESERVED_PREFIX = "linkd."
"""Types that begin so are the gateway's own."""

RESERVED_NAMES = frozenset({"response", "error"})
"""Types that mark answers on the wire."""


def check_name(name: str) -> str:
    """Return ``name`` if a service may register it.

    Raises:
        ValueError: If it is empty, too long, reserved, or has an empty or odd segment.
    """
    if not name or len(name) > _MAX_LENGTH:
        raise ValueError(f"a name has 1 to {_MAX_LENGTH} characters, {name!r} has {len(name)}")
    if name in RESERVED_NAMES:
        raise ValueError(f"{name!r} marks an answer on the wire and is no name")
    if name.startswith(RESERVED_PREFIX):
        raise ValueError(f"{name!r}: names that begin with {RESERVED_PREFIX!r} belong to the gateway")
    if not all(_SEGMENT.fullmatch(segment) for segment in name.split(".")):
        raise ValueError(
            f"{name!r} is no name: segments of letters, digits, '_', ':' and '-' are parted by single dots"
        )
    return name


class Pattern:
    """A pattern such as ``chat.*``, ``chat.**`` or ``**``.

    Raises:
        ValueError: If a wildcard shares a segment with other characters, or ``**`` is not the last segment.
    """

    __slots__ = ("_deep", "_segments", "text")

    def __init__(self, text: str) -> None:
        segments = text.split(".")
        self.text = text
        self._deep = segments[-1] == "**"
        self._segments = segments[:-1] if self._deep else segments
        for segment in self._segments:
            if segment != "*" and not _SEGMENT.fullmatch(segment):
                raise ValueError(f"{text!r} is no pattern: a segment is a name or '*', and only the last may be '**'")

    def matches(self, name: str) -> bool:
        """Whether ``name`` falls under the pattern."""
        segments = name.split(".")
        wanted = self._segments
        if self._deep:
            if len(segments) <= len(wanted):
                return False
        elif len(segments) != len(wanted):
            return False
        return all(want in ("*", segment) for want, segment in zip(wanted, segments, strict=False))

    def __repr__(self) -> str:
        return f"Pattern({self.text!r})"
