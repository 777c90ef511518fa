"""What a service wants of its rooms, by patterns over their names; and what is in a room's history."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from ..protocol import link_pb2
from ..protocol.rooms import Position, RoomPattern
from .options import is_seconds
from .presence import Presence
from .validation import RegistrationError


class History(msgspec.Struct, frozen=True):
    """The gateway keeps the last events of a room, for members who come back too late to resume their session.

    Events of such a room carry ``room`` and ``offset``, and are for that room alone. Volatile ones are not kept.

    Attributes:
        messages: So many of the last.
        seconds: None that is older.
        bytes: Of all together.
        readable: Whether members may read it page by page, with ``linkd.history``.
    """

    messages: int = 100
    seconds: float = 300.0
    bytes: int = 2**20
    readable: bool = False

    def check(self, place: str) -> None:
        """Refuse what makes no sense.

        Raises:
            RegistrationError: If a number is not one, or not above 0.
        """
        for name, most in (("messages", 100_000), ("bytes", 2**28)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
                raise RegistrationError(f"{place}: {name} is a whole number from 1 to {most}, not {value!r}")
        if not is_seconds(self.seconds) or not 0 < self.seconds <= 86_400:
            raise RegistrationError(f"{place}: seconds lie above 0 and up to 86400, {self.seconds!r} does not")
        if self.readable not in (True, False):
            raise RegistrationError(f"{place}: readable is True or False, not {self.readable!r}")


class Joined(msgspec.Struct, frozen=True):
    """Where a session is in the history of a room that it has joined.

    Attributes:
        position: Behind the last event.
        recovered: Everything since the position that was asked for has been sent to it; else nothing was.
        replayed: Events that were sent for it.
    """

    position: Position
    recovered: bool
    replayed: int


class PastEvent(msgspec.Struct, frozen=True):
    """An event in a room's history.

    Attributes:
        offset: Its place.
        type: Its type.
        data: Its data, decoded.
        at: When it was sent, Unix time in seconds.
    """

    offset: int
    type: str
    data: Any
    at: float


class HistoryPage(msgspec.Struct, frozen=True):
    """A part of a room's history.

    Attributes:
        position: Behind the last event of the room.
        events: In order.
        more: There are earlier ones.
    """

    position: Position
    events: list[PastEvent]
    more: bool

    def __iter__(self) -> Iterator[PastEvent]:
        return iter(self.events)


class Rooms:
    """What a service wants of its rooms."""

    def __init__(self) -> None:
        self._rules: dict[str, tuple[RoomPattern, History | None, Presence | None]] = {}

    def add(self, pattern: str, history: History | None, presence: Presence | None) -> None:
        """Rooms whose name matches.

        Raises:
            RegistrationError: If the pattern is malformed, or stands there already.
        """
        place = f"service.rooms({pattern!r})"
        if not isinstance(pattern, str):
            raise RegistrationError(f"{place}: the pattern is a text such as 'board:*'")
        try:
            compiled = RoomPattern(pattern)
        except ValueError as cause:
            raise RegistrationError(f"{place}: {cause}") from cause
        if pattern in self._rules:
            raise RegistrationError(f"{place}: this pattern stands there already")
        if history is not None:
            if not isinstance(history, History):
                raise RegistrationError(f"{place}: history is History(…), not {history!r}")
            history.check(place)
        if presence is not None:
            if not isinstance(presence, Presence):
                raise RegistrationError(f"{place}: presence is Presence(…), not {presence!r}")
            presence.check(place)
        self._rules[pattern] = (compiled, history, presence)

    def fill(self, register: link_pb2.Register) -> None:
        """Write them into a registration."""
        for pattern, (_, history, presence) in self._rules.items():
            rule = register.rooms.add(pattern=pattern)
            if history is not None:
                rule.history.messages = history.messages
                rule.history.period_ms = max(1, round(history.seconds * 1000))
                rule.history.bytes = history.bytes
                rule.history.readable = history.readable
            if presence is not None:
                rule.presence.grace_ms = round(presence.grace * 1000)
                rule.presence.max_members = presence.max_members
                rule.presence.client_data = presence.client_data

    def history(self, room: str) -> History | None:
        """What is kept of a room; ``None``: nothing."""
        return next((history for pattern, history, _ in self._rules.values() if pattern.matches(room)), None)

    def presence(self, room: str) -> Presence | None:
        """How it is told who is in a room; ``None``: it is not."""
        return next((presence for pattern, _, presence in self._rules.values() if pattern.matches(room)), None)


def read_joined(wire: link_pb2.RoomJoined) -> Joined:
    """Out of a frame."""
    return Joined(Position(wire.position.epoch, wire.position.offset), wire.recovered, wire.replayed)


def read_page(wire: link_pb2.HistoryPage) -> HistoryPage:
    """Out of a frame."""
    events = [
        PastEvent(event.offset, event.type, msgspec.json.decode(event.data or b"null"), event.at_ms / 1000)
        for event in wire.events
    ]
    return HistoryPage(Position(wire.position.epoch, wire.position.offset), events, wire.more)
