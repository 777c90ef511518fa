"""Names of rooms, patterns over them, and positions in a room's history."""

from __future__ import annotations

from typing import Annotated

import msgspec

from .errors import BadRequestError
from .resume import MAX_COUNT

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

    __slots__ = ("_parts", "text")

    def __init__(self, text: str) -> None:
        if not 1 <= len(text) <= _MAX_LENGTH:
            raise ValueError(f"a pattern of rooms has 1 to {_MAX_LENGTH} characters, {text!r} has {len(text)}")
        self.text = text
        self._parts = text.split("*")

    def matches(self, name: str) -> bool:
        """Whether a room of this name falls under the pattern."""
        # Not by a regular expression, which takes a second for a few stars and a name that is made for it. The first
        # place at which a part is found is the best: what follows has the most left.
        first, *others = self._parts
        if not others:
            return name == first
        *middle, last = others
        if not name.startswith(first):
            return False
        place = len(first)
        for part in middle:
            found = name.find(part, place)
            if found < 0:
                return False
            place = found + len(part)
        return len(name) - place >= len(last) and name.endswith(last)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RoomPattern) and other.text == self.text

    def __hash__(self) -> int:
        return hash(self.text)

    def __repr__(self) -> str:
        return f"RoomPattern({self.text!r})"


class Position(msgspec.Struct, frozen=True, gc=False):
    """How far somebody is in a room's history.

    Attributes:
        epoch: Of the history: another one, whatever the offset, is another history.
        offset: Of the last event that is known; 0: none is.
    """

    epoch: str
    offset: Annotated[int, msgspec.Meta(ge=0, le=MAX_COUNT)]
