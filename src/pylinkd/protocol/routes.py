"""Routes of actions: paths with variables in braces, ``/chat/rooms/{id}``."""

from __future__ import annotations

import re
from collections.abc import Sequence

_SEGMENT = re.compile(r"[A-Za-z0-9._~-]+|\{[A-Za-z_][A-Za-z0-9_]*\}")
_VARIABLE = re.compile(r"\{[^}]*\}")


def check_route(route: str) -> str:
    """The route.

    Raises:
        ValueError: If it is none.
    """
    if route != "/":
        first, *segments = route.split("/")
        if first or not segments or not all(_SEGMENT.fullmatch(segment) for segment in segments):
            raise ValueError(
                f"{route!r} is no route; segments follow slashes, variables stand in braces, such as "
                "'/chat/rooms/{id}'"
            )
        variables = [segment for segment in segments if segment.startswith("{")]
        if len(set(variables)) != len(variables):
            raise ValueError(f"{route!r} names a variable twice")
    return route


def shape(route: str) -> str:
    """The route with its variables' names left out: two routes of one shape match the same paths."""
    return _VARIABLE.sub("{}", route)


def match(route: str, segments: Sequence[str]) -> dict[str, str] | None:
    """What the route's variables are in a path; ``None``: the path is not the route's.

    Args:
        route: With variables in braces.
        segments: Of the path, each decoded by itself.
    """
    parts = route.split("/")
    if len(parts) != len(segments):
        return None
    variables: dict[str, str] = {}
    for part, segment in zip(parts, segments, strict=True):
        if part.startswith("{") and segment:
            variables[part[1:-1]] = segment
        elif part != segment:
            return None
    return variables
