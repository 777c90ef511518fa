"""Names of rooms, patterns over them, and positions in a room's history."""

from __future__ import annotations

import re
from typing import Annotated

import msgspec

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


class RoomPattern:
    """A pattern such as ``board:*``, where ``*`` stands for any characters, or none.

    Raises:
        ValueError: If it is empty or longer than a room's name.
    """

    __slots__ = ("_regex", "text")

    def __init__(self, text: str) -> None:
        if not 1 <= len(text) <= _MAX_LENGTH:
            raise ValueError(f"a pattern of rooms has 1 to {_MAX_LENGTH} characters, {text!r} has {len(text)}")
        self.text = text
        # Runs of stars are one: each costs a search through the name.
        self._regex = re.compile(".*".join(map(re.escape, re.split(r"\*+", text))), re.DOTALL)

    def matches(self, name: str) -> bool:
        """Whether a room of this name falls under the pattern."""
        return self._regex.fullmatch(name) is not None

    def __repr__(self) -> str:
        return f"RoomPattern({self.text!r})"


class Position(msgspec.Struct, frozen=True, gc=False):
    """How far somebody is in a room's history.

    Attributes:
        epoch: Of the history: another one, whatever the offset, is another history.
        offset: Of the last event that is known; 0: none is.
    """

    epoch: str
    offset: Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)]
