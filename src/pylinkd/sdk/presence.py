"""Who is in a room, as handlers see it."""

from __future__ import annotations

from typing import Any

import msgspec

from ..protocol import link_pb2
from .options import is_seconds
from .validation import RegistrationError


class Presence(msgspec.Struct, frozen=True):
    """The members of a room are told who is there: who comes, goes, and is away.

    A member is a user, with any number of sessions, or a session of which nobody signed in. Differences are told
    together, some times a second in small rooms and less often in large ones.

    Attributes:
        grace: Seconds after which a member leaves whose clients are all away; until then it is ``away``.
        max_members: With more, only their number is told; 0: always.
        client_data: Whether clients may set the data of their members themselves.
    """

    grace: float = 15.0
    max_members: int = 1000
    client_data: bool = False

    def check(self, place: str) -> None:
        """Refuse what makes no sense.

        Raises:
            RegistrationError: If an option is out of range.
        """
        if not is_seconds(self.grace) or self.grace > 600:
            raise RegistrationError(f"{place}: grace lies between 0 and 600 seconds, {self.grace!r} does not")
        most: object = self.max_members
        if not isinstance(most, int) or isinstance(most, bool) or not 0 <= most <= 10_000:
            raise RegistrationError(f"{place}: max_members is a whole number from 0 to 10000, not {most!r}")
        if self.client_data not in (True, False):
            raise RegistrationError(f"{place}: client_data is True or False, not {self.client_data!r}")


class Present(msgspec.Struct, frozen=True):
    """A member of a room with presence.

    Attributes:
        key: What it is called on the wire: the user, or the session where nobody signed in.
        user: Its user; ``None``: nobody signed in.
        name: The user's name.
        sessions: How many it has in the room.
        away: Its clients are all away, or say that nobody is there.
        data: What was said of it; ``None``: nothing.
    """

    key: str
    user: str | None
    name: str | None
    sessions: int
    away: bool
    data: Any = None


class PresenceChange(msgspec.Struct, frozen=True):
    """Who came to a room and left it for good, since the last time.

    Attributes:
        room: The room.
        joined: Who is new.
        left: Who is gone, as it was.
    """

    room: str
    joined: list[Present]
    left: list[Present]


def read_present(wire: link_pb2.Present) -> Present:
    """Out of a frame."""
    return Present(
        key=wire.key,
        user=wire.user or None,
        name=wire.name or None,
        sessions=wire.sessions,
        away=wire.away,
        data=msgspec.json.decode(wire.data) if wire.data else None,
    )


def read_change(wire: link_pb2.PresenceChanged) -> PresenceChange:
    """Out of a frame."""
    return PresenceChange(
        wire.room, [read_present(one) for one in wire.joined], [read_present(one) for one in wire.left]
    )
