"""Whom an event is for, as a value, and which sessions these are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Protocol

import msgspec

from .delivery import NOBODY, Sessions
from .registry import Registry
from .rooms import Rooms
from .session import Session


class Audience(msgspec.Struct, frozen=True, gc=False):
    """Whom an event is for: everyone, or the members of rooms, the sessions of users, and single sessions, together.

    Attributes:
        namespace: Of the rooms.
        rooms: Their names.
        users: Users.
        sessions: Ids of sessions.
        everyone: All sessions that the service knows, whatever else is said.
        except_sessions: Ids of sessions that are left out.
        except_users: Users whose sessions are left out.
    """

    namespace: str
    rooms: Sequence[str] = ()
    users: Sequence[str] = ()
    sessions: Sequence[str] = ()
    everyone: bool = False
    except_sessions: Sequence[str] = ()
    except_users: Sequence[str] = ()


class Circle(Protocol):
    """The sessions that a service may reach (routing/service.py)."""

    @property
    def admitted(self) -> tuple[Session, ...]:
        """Those that it has let in."""

    def admits(self, session: Session) -> bool:
        """Whether the session is one of them."""

    def knows(self, session: Session) -> bool:
        """Whether the session was announced to it, let in or not."""


class Audiences:
    """Finds the sessions of an audience.

    Args:
        registry: All sessions.
        rooms: Their rooms.
    """

    def __init__(self, registry: Registry, rooms: Rooms) -> None:
        self._registry = registry
        self._rooms = rooms

    def recipients(self, audience: Audience, circle: Circle) -> tuple[Session, ...]:
        """The sessions that a service means by this audience, those that are left out among them.

        The same object for as long as a single room, or everyone, is the same: delivery.py knows by it that two events
        have the same recipients.
        """
        rooms = audience.rooms
        if audience.everyone:
            return circle.admitted
        if len(rooms) == 1 and not audience.users and not audience.sessions:
            return self._rooms.members(audience.namespace, rooms[0])
        # A service may greet a session that its on_connect has not let in yet; others do not know of that one.
        known = (self._registry.get(id) for id in audience.sessions)
        sessions = {session for session in known if session is not None and circle.knows(session)}
        sessions.update(session for session in self._of_users(audience.users) if circle.admits(session))
        for room in rooms:
            sessions.update(self._rooms.members(audience.namespace, room))
        return tuple(sessions)

    def left_out(self, audience: Audience) -> Sessions:
        """The sessions that are not to get the event."""
        if not audience.except_sessions and not audience.except_users:
            return NOBODY
        known = (self._registry.get(id) for id in audience.except_sessions)
        sessions = {session for session in known if session is not None}
        sessions.update(self._of_users(audience.except_users))
        return sessions

    def _of_users(self, users: Iterable[str]) -> Iterable[Session]:
        return chain.from_iterable(self._registry.of_user(user) for user in users)
