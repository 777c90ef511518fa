"""Who is in a room, from ``linkd.presence``: all members in pages, then differences, each with a number.

See docs/protocol.md.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Any

import msgspec

from ..protocol.control import PresenceSet, PresenceSync
from ..protocol.errors import LinkdError, NotFoundError
from .errors import ConnectionLost
from .events import Handlers, Report

Request = Callable[[str, Any], Awaitable[Any]]


class Member(msgspec.Struct, frozen=True):
    """Somebody in a room.

    Attributes:
        state: ``online``, or ``away``.
        sessions: How many they have.
        user: Their id; ``None``: nobody signed in.
        name: How they are called.
        data: What was said of them.
    """

    state: str
    sessions: int
    user: str | None = None
    name: str | None = None
    data: Any = None


class PresenceChange(msgspec.Struct, frozen=True):
    """Keys of members that are new, that look otherwise, and that are gone."""

    joined: list[str]
    updated: list[str]
    left: list[str]


class _State(msgspec.Struct):
    seq: int
    count: int
    mode: str | None = None
    members: dict[str, Member] | None = None
    more: bool = False
    join: dict[str, Member] = {}
    update: dict[str, Member] = {}
    leave: list[str] = []
    since: int | None = None


class Presence:
    """Who is in a room.

    Args:
        room: The room's name.
        request: Sends a control message and waits for its answer.
        start: Runs something in the background.
        report: Hears what fails there.

    Attributes:
        stale: The members are those of before the connection broke, or none have come yet.
    """

    def __init__(self, room: str, request: Request, start: Callable[..., object], report: Report) -> None:
        self.stale = True
        self._room = room
        self._request = request
        self._start = start
        self._report = report
        self._handlers: Handlers[PresenceChange] = Handlers(report)
        self._members: Mapping[str, Member] = MappingProxyType({})
        self._count = 0
        self._seq: int | None = None  # of the state that is known
        self._asked = False
        self._pages: tuple[int, dict[str, Member]] | None = None  # of a list that is coming
        self._said: dict[str, Any] = {}
        self._repeated = True  # in this session

    @property
    def members(self) -> Mapping[str, Member]:
        """Members by key, which is the user's id. The same mapping until something changes, then another."""
        if self._seq is None:
            self._sync()
        return self._members

    @property
    def count(self) -> int:
        """How many members there are, also where these are too many to be listed."""
        if self._seq is None:
            self._sync()
        return self._count

    def on_change(self, handler: Callable[[PresenceChange], object]) -> Callable[[], None]:
        """Have a function called with each change; with an empty one where the list has become stale, or has not
        changed since. Returns what ends that.
        """
        return self._handlers.add("change", handler)

    async def set(self, *, data: Any = msgspec.UNSET, away: bool | None = None) -> None:
        """Say something of oneself to the others, where the service allows that; again in the next session.

        Raises:
            LinkdError: If the server does not take it.
        """
        what: dict[str, Any] = {} if data is msgspec.UNSET else {"data": data}
        if away is not None:
            what["away"] = away
        self._said |= what
        self._repeated = True
        await self._request(PresenceSet.type, {"room": self._room, **what})

    # what comes from the server

    def welcome(self, resumed: bool, current: int | None) -> None:
        """A connection is there; ``current`` is the number of the present state, where the session goes on."""
        self._pages = None
        self._asked = False
        if not resumed:
            self._seq = None  # everybody is shown when the room is joined
            self._repeated = not self._said
        elif current is not None and current == self._seq:
            self._mark(False)
        elif current is not None:
            self._sync()

    def lost(self) -> None:
        """The connection is lost."""
        self._mark(True)

    def _mark(self, stale: bool) -> None:
        if self.stale is not stale:
            self.stale = stale
            self._handlers.call("change", PresenceChange([], [], []))

    def receive(self, data: Any) -> None:
        """A ``linkd.presence`` of this room came."""
        try:
            state = msgspec.convert(data, _State)
        except msgspec.ValidationError:
            return
        if state.mode == "count":
            self._apply(state, {})
        elif state.members is not None:
            self._page(state, state.members)
        else:
            self._difference(state)

    def _difference(self, state: _State) -> None:
        if state.since is not None:
            self._asked = False
        follows = state.seq - 1 if state.since is None else state.since
        if self._pages is not None or self._seq != follows:
            if self._pages is None and self._seq is not None and state.seq <= self._seq:
                return  # it is known
            # Pages come in one piece: a difference before the last of them means that some were dropped on the way.
            self._pages = None
            self._sync()
            return
        members = {**self._members, **state.join, **state.update}
        for key in state.leave:
            members.pop(key, None)
        self._apply(state, members)

    def _page(self, state: _State, some: dict[str, Member]) -> None:
        if self._pages is None or self._pages[0] != state.seq:
            self._pages = (state.seq, {})
        self._pages[1].update(some)
        if not state.more:
            self._apply(state, self._pages[1])
            self._pages = None

    def _apply(self, state: _State, members: dict[str, Member]) -> None:
        before = self._members
        change = PresenceChange(
            joined=[key for key in members if key not in before],
            updated=[key for key, member in members.items() if key in before and before[key] != member],
            left=[key for key in before if key not in members],
        )
        changed = self.stale or self._count != state.count or change.joined or change.updated or change.left
        self._seq, self._count = state.seq, state.count
        self._asked = self.stale = False
        if not self._repeated:
            self._repeated = True
            self._start(self._ask, PresenceSet.type, {"room": self._room, **self._said})
        if changed:
            self._members = MappingProxyType(members)
            self._handlers.call("change", change)

    def _sync(self) -> None:
        if not self._asked:
            self._asked = True
            since = {} if self._seq is None else {"since": self._seq}
            self._start(self._ask, PresenceSync.type, {"room": self._room, **since})

    async def _ask(self, type: str, data: dict[str, Any]) -> None:
        try:
            await self._request(type, data)
        except (ConnectionLost, NotFoundError):
            pass  # not in the room, or not any more: everybody is shown when it is joined
        except LinkdError as error:
            self._report(error, f"presence {self._room}")
