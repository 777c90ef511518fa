"""Conditional requests (RFC 9110 §13): validators of a response, and whether a client's copy is still current."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime

_OPAQUE = r"[\x21\x23-\x7e\x80-\xff]*"
_OPAQUE_TAG = re.compile(_OPAQUE)
_ENTITY_TAG = re.compile(rf'(?:W/)?"({_OPAQUE})"')


def entity_tag(etag: str) -> str:
    """An ``ETag`` as it is sent (RFC 9110 §8.8.3).

    Args:
        etag: Complete, such as ``"v1"`` or ``W/"v1"`` with its quotes, or without quotes, which are put around it.

    Raises:
        ValueError: If it is no entity tag.
    """
    if _ENTITY_TAG.fullmatch(etag):
        return etag
    if _OPAQUE_TAG.fullmatch(etag):
        return f'"{etag}"'
    raise ValueError(f"{etag!r} is no entity tag: it has no spaces, quotes or control characters, such as 'v1'")


def http_date(moment: datetime) -> str:
    """A date as HTTP writes it (RFC 9110 §5.6.7), in whole seconds.

    Raises:
        ValueError: If the moment has no time zone.
    """
    if moment.tzinfo is None:
        raise ValueError(f"last_modified={moment!r} has no time zone: write datetime(..., tzinfo=UTC)")
    return format_datetime(moment.astimezone(UTC), usegmt=True)


def is_current(request: Mapping[str, str], response: Mapping[str, str]) -> bool:
    """Whether the copy that a client of GET or HEAD has is still current, so that 304 answers it (RFC 9110 §13.2.2).

    Args:
        request: Its headers by lower-case name.
        response: Headers of the response, by lower-case name.
    """
    wanted = request.get("if-none-match")
    if wanted is not None:  # and If-Modified-Since is ignored, RFC 9110 §13.1.3
        if wanted.strip() == "*":
            return True
        found = _ENTITY_TAG.fullmatch(response.get("etag", ""))
        # The weak comparison (§8.8.3.2): only what is between the quotes counts.
        return found is not None and found[1] in _ENTITY_TAG.findall(wanted)
    since, modified = _date(request.get("if-modified-since")), _date(response.get("last-modified"))
    return since is not None and modified is not None and modified <= since


def _date(text: str | None) -> datetime | None:
    """A date in a header; ``None``: there is none, or it is malformed, which counts as absent (RFC 9110 §13.1.3)."""
    try:
        moment = parsedate_to_datetime(text or "")
    except (ValueError, OverflowError):
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
