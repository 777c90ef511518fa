"""Range requests (RFC 9110 §14): a part of a file for who asks for one, such as a video that is looked into."""

from __future__ import annotations

import re
from collections.abc import Mapping

_ONE_RANGE = re.compile(r"bytes\s*=\s*(\d*)\s*-\s*(\d*)\s*", re.ASCII | re.IGNORECASE)
_LONGEST = 20  # digits; no file has more bytes


class RangeNotSatisfiableError(Exception):
    """The range begins behind the end: 416 answers it (RFC 9110 §15.5.17)."""


def requested_range(method: str, request: Mapping[str, str], response: Mapping[str, str], size: int) -> range | None:
    """The bytes that are asked for; ``None``: all of them.

    What asks for several ranges, or for something malformed, gets all, as a server may answer (RFC 9110 §14.2).

    Args:
        method: Of the request; only GET has ranges.
        request: Its headers by lower-case name.
        response: Headers of the whole response.
        size: Of the whole, in bytes.

    Raises:
        RangeNotSatisfiableError: If none of the bytes exists.
    """
    found = _ONE_RANGE.fullmatch(request.get("range", "").strip())
    if method != "GET" or found is None or not _same(request.get("if-range"), response):
        return None
    first, last = found[1], found[2]
    if max(len(first), len(last)) > _LONGEST or not (first or last):
        return None
    if not first:  # the last so many bytes
        start, stop = max(0, size - int(last)), size
    else:
        start, stop = int(first), min(size, int(last) + 1) if last else size
        if last and int(last) < start:
            return None  # malformed
    if start >= stop:
        raise RangeNotSatisfiableError
    return range(start, stop)


def _same(condition: str | None, response: Mapping[str, str]) -> bool:
    """Whether ``If-Range`` allows a part (RFC 9110 §13.1.5), by the strong comparison."""
    if condition is None:
        return True
    condition = condition.strip()
    if condition.startswith('"'):
        return condition == response.get("ETag")
    return condition == response.get("Last-Modified")
