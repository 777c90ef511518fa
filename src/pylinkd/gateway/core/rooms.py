"""Rooms: named sets of sessions, in the namespace of the service that made them."""

from __future__ import annotations

from collections.abc import Iterator

from ...protocol.errors import ConflictError
from .session import RoomKey, Session


class Room:
    """The sessions that joined one name. It exists while it has a member.

    Attributes:
        members: In the order in which they joined, which is about the order in which they lie in memory, ours and the
            kernel's: an event to 10,000 costs an eighth less than in the order of a set.
    """

    __slots__ = ("_listed", "key", "members")

    def __init__(self, key: RoomKey) -> None:
        self.key = key
        self.members: dict[Session, None] = {}
        self._listed: tuple[Session, ...] | None = None

    def add(self, session: Session) -> None:
        """One joined."""
        self.members[session] = None
        self._listed = None

    def remove(self, session: Session) -> None:
        """One left."""
        self.members.pop(session, None)
        self._listed = None

    @property
    def listed(self) -> tuple[Session, ...]:
        """The members as they are now; the same object until one joins or leaves."""
        if self._listed is None:
            self._listed = tuple(self.members)
        return self._listed

    def __repr__(self) -> str:
        return f"<Room {'/'.join(self.key)}: {len(self.members)}>"


class Rooms:
    """All rooms of this gateway.

    Args:
        max_per_session: Most rooms that one session may be in.
    """

    def __init__(self, max_per_session: int) -> None:
        self._max_per_session = max_per_session
        self._rooms: dict[RoomKey, Room] = {}

    def join(self, session: Session, namespace: str, *names: str) -> None:
        """Make the session a member of these rooms; it may be one already.

        Raises:
            ConflictError: If that would be more rooms than a session may be in. Nothing changed.
        """
        new = {(namespace, name) for name in names} - session.rooms
        if len(session.rooms) + len(new) > self._max_per_session:
            raise ConflictError(f"A session may be in {self._max_per_session} rooms at most.", type="TOO_MANY_ROOMS")
        for key in new:
            self._add(session, key)

    def _add(self, session: Session, key: RoomKey) -> None:
        room = self._rooms.get(key)
        if room is None:
            room = self._rooms[key] = Room(key)
        room.add(session)
        if isinstance(session.rooms, frozenset):
            # The first room of this session: an empty set for each of those that never join would cost 216 bytes.
            session.rooms = {room.key}
        else:
            session.rooms.add(room.key)

    def leave(self, session: Session, namespace: str, *names: str) -> None:
        """End these memberships; there may be none. A room without members vanishes."""
        for name in names:
            room = self._rooms.get((namespace, name))
            if room is not None and session in room.members:
                assert not isinstance(session.rooms, frozenset)
                session.rooms.discard(room.key)
                self._drop(room, session)

    def leave_all(self, session: Session) -> None:
        """End all memberships of a session that ended."""
        for key in session.rooms:
            self._drop(self._rooms[key], session)
        session.rooms = frozenset()

    def _drop(self, room: Room, session: Session) -> None:
        room.remove(session)
        if not room.members:
            del self._rooms[room.key]

    def members(self, namespace: str, name: str) -> tuple[Session, ...]:
        """The room's members as they are now; empty for a room that does not exist.

        The same object for as long as nobody joins or leaves: delivery.py knows by it that two events have the same
        recipients.
        """
        room = self._rooms.get((namespace, name))
        return () if room is None else room.listed

    def names(self, session: Session, namespace: str) -> Iterator[str]:
        """The names of the session's rooms in this namespace."""
        return (name for owner, name in session.rooms if owner == namespace)

    def __len__(self) -> int:
        return len(self._rooms)
