"""Routes of actions: paths with variables in braces, ``/chat/rooms/{id}``; ``{path*}`` at the end takes the rest."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TypeVar

from .errors import LinkdError

T = TypeVar("T")

_SEGMENT = re.compile(r"[A-Za-z0-9._~-]+|\{[A-Za-z_][A-Za-z0-9_]*\}")
_TAIL = re.compile(r"\{[A-Za-z_][A-Za-z0-9_]*\*\}")
_VARIABLE = re.compile(r"\{[^}*]*(\*?)\}")


class MethodNotAllowedError(LinkdError):
    """The route exists, with other methods."""

    default_code = 405
    default_type = "METHOD_NOT_ALLOWED"
    default_message = "This route does not take this method."

    def __init__(self, allowed: set[str]) -> None:
        self.allowed = sorted(allowed)
        super().__init__(details={"allowed": self.allowed})


def check_route(route: str) -> str:
    """The route.

    Raises:
        ValueError: If it is none.
    """
    if route != "/":
        first, *segments = route.split("/")
        if segments and _TAIL.fullmatch(segments[-1]):
            segments[-1] = segments[-1].replace("*", "")
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
    return _VARIABLE.sub(r"{\1}", route)


def match(route: str, segments: Sequence[str]) -> dict[str, str] | None:
    """What the route's variables are in a path; ``None``: the path is not the route's.

    Args:
        route: With variables in braces.
        segments: Of the path, each decoded by itself.
    """
    parts = route.split("/")
    variables: dict[str, str] = {}
    if parts[-1].endswith("*}") and len(segments) >= len(parts):
        last = len(parts) - 1
        variables[parts.pop()[1:-2]] = "/".join(segments[last:])
        segments = segments[:last]
    if len(parts) != len(segments):
        return None
    for part, segment in zip(parts, segments, strict=True):
        if part.startswith("{") and segment:
            variables[part[1:-1]] = segment
        elif part != segment:
            return None
    return variables


def choose(
    routes: Iterable[tuple[str, str, T]], method: str, segments: Sequence[str]
) -> tuple[T, dict[str, str]] | None:
    """What answers a request, with the variables of its route; ``None``: no route is the path's.

    Args:
        routes: Method, route, and what answers there.
        method: Of the request; HEAD is answered where GET is (RFC 9110 §9.3.2).
        segments: Of the path, each decoded by itself.

    Raises:
        MethodNotAllowedError: If the path takes other methods only.
    """
    wanted = "GET" if method == "HEAD" else method
    best: tuple[T, dict[str, str]] | None = None
    best_rank = (False, 0)
    others: set[str] = set()
    for taken, route, answerer in routes:
        variables = match(route, segments)
        if variables is None:
            continue
        if taken != wanted:
            others.add(taken)
            continue
        # The route with the fewest variables is the most specific one, and one for all that follows the least.
        rank = (route.endswith("*}"), len(variables))
        if best is None or rank < best_rank:
            best, best_rank = (answerer, variables), rank
    if best is None and others:
        raise MethodNotAllowedError(others)
    return best
