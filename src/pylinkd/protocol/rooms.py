"""Names of rooms."""

from __future__ import annotations

from .errors import BadRequestError

_MAX_LENGTH = 256


def check_room(name: str) -> str:
    """Return ``name`` if a room may be called so.

    Raises:
        BadRequestError: If it is empty or too long.
    """
    if not 1 <= len(name) <= _MAX_LENGTH:
        raise BadRequestError(f"A room's name has 1 to {_MAX_LENGTH} characters.")
    return name
