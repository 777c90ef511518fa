"""Who is in a room, told as net differences: whoever comes and goes between two ticks was never gone.

Members are users, each with any number of sessions; a session without a user is a member of its own. A member is
online, or away while all its sessions are detached or say so, and leaves some time after its last session did: a page
that is loaded anew, or a train in a tunnel, is no leaving. Time is an argument.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from enum import StrEnum
from typing import NamedTuple

import msgspec

from ...protocol.end import EndReason
from .session import Session

MAX_DATA = 1024
"""Bytes of what a member says of itself."""

_LOGGED = 100  # ticks whose changes are remembered, for those who missed some
_TICKS = ((100, 0.1), (1000, 0.5))  # members up to which a room ticks so often, in seconds
_SLOWEST_TICK = 2.0
_RELOAD = 2.0  # seconds that a page may take to be loaded anew
_LEFT = frozenset({EndReason.CLIENT_CLOSED, EndReason.CLIENT_LEFT})
_LOST = frozenset({EndReason.CONNECTION_LOST, EndReason.TIMEOUT})
_SHRUNK = 0.9  # of the limit below which members are listed again


class PresenceRule(msgspec.Struct, frozen=True):
    """How presence is kept in a room.

    Attributes:
        grace: Seconds after which a member leaves whose sessions are all detached.
        max_members: Above so many members only their number is told.
        client_data: Whether clients may set the data of their members.
    """

    grace: float = 15.0
    max_members: int = 1000
    client_data: bool = False


class State(StrEnum):
    """How present a member is."""

    ONLINE = "online"
    AWAY = "away"


class View(msgspec.Struct, frozen=True, omit_defaults=True):
    """A member, as others see it.

    Attributes:
        state: How present it is.
        sessions: How many it has.
        user: Its user; ``None``: nobody signed in.
        name: The user's name.
        data: What it says of itself, as JSON.
    """

    state: State
    sessions: int
    user: str | None = None
    name: str | None = None
    data: msgspec.Raw | None = None


class _Stay:
    """One session of a member.

    Attributes:
        attached: Its client is there, or was when it ended.
        ended: It has ended, and may be a page that is loaded anew.
        away: Its client says that nobody is.
        data: What it says of its member, as JSON; ``None``: nothing.
        changed: The larger, the later was that said.
    """

    __slots__ = ("attached", "away", "changed", "data", "ended")

    def __init__(self) -> None:
        self.attached = True
        self.away = False
        self.ended = False
        self.data: bytes | None = None
        self.changed = 0


class Changes(NamedTuple):
    """What is different since the last tick.

    Attributes:
        joined: Members that are new, by key.
        updated: Members that look otherwise.
        left: Members that are gone, as they were.
    """

    joined: dict[str, View]
    updated: dict[str, View]
    left: dict[str, View]


class RoomPresence:
    """Who is in one room.

    Attributes:
        rule: How presence is kept.
        seq: Number of the last tick that changed something.
        counting: Only the number of members is told.
        unwatching: Sessions that are not told.
    """

    def __init__(self, rule: PresenceRule) -> None:
        self.rule = rule
        self.seq = 0
        self.counting = rule.max_members == 0
        self.unwatching: set[Session] = set()
        self._members: dict[str, dict[Session, _Stay]] = {}
        self._before: dict[str, View | None] = {}  # of those that changed since the last tick
        self._log: deque[tuple[int, frozenset[str]]] = deque(maxlen=_LOGGED)
        self._order = 0
        self._leaving: dict[Session, float] = {}  # when they do, unless they come back
        self._left: dict[Session, _Stay] = {}  # was away for too long, and may come back all the same

    def __len__(self) -> int:
        return len(self._members)

    @property
    def leaving(self) -> bool:
        """Whether somebody will leave, unless they come back."""
        return bool(self._leaving)

    @property
    def tick(self) -> float:
        """Seconds between two ticks."""
        return next((seconds for members, seconds in _TICKS if len(self) <= members), _SLOWEST_TICK)

    @property
    def over(self) -> bool:
        """Nobody is in it, and everybody was told."""
        return not self._members and not self._before

    # what happens

    def enter(self, session: Session, now: float) -> None:
        """A session is present; it may have been before."""
        key = self._key(session) or key_of(session)
        self._touch(key)
        stays = self._members.setdefault(key, {})
        stay = stays.get(session)
        if stay is None:
            stay = stays[session] = _Stay()
        stay.attached = session.connection is not None
        if stay.attached:
            self._leaving.pop(session, None)
        else:
            self._leaving[session] = now + self.rule.grace

    def leave(self, session: Session) -> None:
        """A session is present no more."""
        self._left.pop(session, None)
        key = self._key(session)
        if key is not None:
            self._touch(key)
            stays = self._members[key]
            del stays[session]
            self._leaving.pop(session, None)
            if not stays:
                del self._members[key]

    def ended(self, session: Session, now: float, reason: EndReason) -> None:
        """A session has ended. Where its client left, it may be a page that is loaded anew; where it was lost, its user
        may come back with another.
        """
        key = self._key(session)
        if key is None:
            self._left.pop(session, None)
            return
        if reason in _LEFT:
            self._touch(key)
            self._members[key][session].ended = True
            self._leaving[session] = now + _RELOAD
        elif reason not in _LOST:
            self.leave(session)
        elif session not in self._leaving:  # else it was away already
            self.detached(session, now)

    def detached(self, session: Session, now: float) -> None:
        """A session's client is away."""
        key = self._key(session)
        if key is not None:
            self._touch(key)
            self._members[key][session].attached = False
            self._leaving[session] = now + self.rule.grace

    def resumed(self, session: Session, now: float) -> None:
        """A session's client is back, in time or not; one that was not present is not now either."""
        stay = self._left.pop(session, None)
        if stay is not None:
            key = key_of(session)
            self._touch(key)
            self._members.setdefault(key, {})[session] = stay
        if self._key(session) is not None:
            self.enter(session, now)

    def identified(self, session: Session) -> None:
        """It is known whose a session is: it is that user's from now on, and no member of its own."""
        key, own = self._key(session), key_of(session)
        if key is None or key == own:
            return
        self._touch(key)
        self._touch(own)
        stay = self._members.pop(key)[session]
        self._members.setdefault(own, {})[session] = stay

    def set(self, session: Session, data: bytes | None, away: bool | None) -> bool:
        """A session says something of its member; ``None``: as before. Whether it is present."""
        key = self._key(session)
        if key is None:
            return False
        self._touch(key)
        stay = self._members[key][session]
        if data is not None:
            self._order += 1
            stay.data, stay.changed = data, self._order
        if away is not None:
            stay.away = away
        return True

    def due(self, now: float) -> list[Session]:
        """Sessions whose time to come back is over; they have left."""
        found = [session for session, until in self._leaving.items() if until <= now]
        for session in found:
            key = self._key(session)
            stay = None if key is None else self._members[key][session]
            self.leave(session)
            if stay is not None and not stay.ended and session.connection is None:
                self._left[session] = stay
        return found

    def paused(self, seconds: float) -> None:
        """The gateway itself did nothing for so long: nobody could come back."""
        for session in self._leaving:
            self._leaving[session] += seconds

    # what is told

    def take(self) -> Changes | None:
        """The net changes since the last call; ``None``: there are none."""
        before, self._before = self._before, {}
        changes = Changes({}, {}, {})
        for key, old in before.items():
            new = self.view(key)
            if new == old:
                continue
            if new is None:
                assert old is not None
                changes.left[key] = old
            elif old is None:
                changes.joined[key] = new
            else:
                changes.updated[key] = new
        keys = frozenset().union(*changes)
        if not keys:
            return None
        self.seq += 1
        self._log.append((self.seq, keys))
        return changes

    def count_only(self) -> bool:
        """Decide whether only the number is told from now on; whether that has changed."""
        limit = self.rule.max_members
        counting = len(self) > (limit * _SHRUNK if self.counting else limit) or limit == 0
        changed = counting is not self.counting
        self.counting = counting
        return changed

    def since(self, seq: int) -> Changes | None:
        """What is different since a tick, without whether it is new; ``None``: that is not known any more."""
        if not 0 <= seq <= self.seq or (seq < self.seq and (not self._log or self._log[0][0] > seq + 1)):
            return None
        changes = Changes({}, {}, {})
        for key in frozenset().union(*(keys for tick, keys in self._log if tick > seq)):
            view = self.view(key)
            if view is None:
                changes.left[key] = View(State.AWAY, 0)
            else:
                changes.updated[key] = view
        return changes

    def view(self, key: str) -> View | None:
        """A member; ``None``: it is not there."""
        stays = self._members.get(key)
        if not stays:
            return None
        # A session that has ended counts while there is no other.
        staying = [stay for stay in stays.values() if not stay.ended] or list(stays.values())
        online = any(stay.attached and not stay.away for stay in staying)
        said = max((stay for stay in stays.values() if stay.data is not None), key=_changed, default=None)
        identity = next(iter(stays)).identity
        return View(
            state=State.ONLINE if online else State.AWAY,
            sessions=len(staying),
            user=None if identity is None else identity.user,
            name=None if identity is None else identity.name,
            data=None if said is None or said.data is None else msgspec.Raw(said.data),
        )

    def views(self, after: str | None = None) -> Iterator[tuple[str, View]]:
        """All members, or those behind one, in the order in which they came."""
        keys = iter(self._members)
        if after is not None:
            for key in keys:
                if key == after:
                    break
        for key in keys:
            view = self.view(key)
            if view is not None:
                yield key, view

    def _key(self, session: Session) -> str | None:
        key = key_of(session)
        if session in self._members.get(key, ()):
            return key
        # It may have signed in since it entered.
        return session.id if session in self._members.get(session.id, ()) else None

    def _touch(self, key: str) -> None:
        if key not in self._before:
            self._before[key] = self.view(key)


def key_of(session: Session) -> str:
    """What a session's member is called: its user, or the session itself where nobody signed in."""
    return session.id if session.identity is None else session.identity.user


def _changed(stay: _Stay) -> int:
    return stay.changed
