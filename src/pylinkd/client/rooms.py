"""Rooms: how far their events have come, joining anew, reading the state, and who is there."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Protocol

import msgspec

from ..protocol.control import HistoryRequest
from ..protocol.errors import LinkdError
from ..protocol.rooms import Position
from .callbacks import run
from .events import Event, EventStream, Handlers
from .presence import Presence
from .protocol import Welcome

_HELD = 1_000  # events that are held while the state is read; beyond it the state is read once more
_LEAST_PAUSE = 0.5

Join = Callable[[Position | None], Awaitable[object]]
Load = Callable[[Position | None], Awaitable[object]]


class HistoryPage(msgspec.Struct, frozen=True):
    """Past events of a room, oldest first.

    Attributes:
        room: Its name.
        epoch: Of the history.
        offset: Of its last event.
        events: The events.
        more: There are older ones.
    """

    room: str
    epoch: str
    offset: int
    events: list[Event]
    more: bool = False


class Owner(Protocol):
    """What a room needs of its client."""

    @property
    def connected(self) -> bool:
        """Whether there is a connection."""

    async def request(self, type: str, data: Any) -> Any:
        """Send a control message and return its answer."""

    def start(self, function: Callable[..., Coroutine[Any, Any, None]], *arguments: Any) -> asyncio.Task[None] | None:
        """Run something in the background, until the client is closed. Returns its task, if it runs already."""

    def report(self, error: Exception, source: str) -> None:
        """Something failed that nobody waits for."""

    def missed(self, reason: str, room: str) -> None:
        """Events of a room were lost."""

    def hand_over(self, message: Any) -> None:
        """Hand over an event that was held."""

    def listen(self, handlers: Handlers[Event], type: str, handler: Callable[[Event], object]) -> Callable[[], None]:
        """Have a function called with each event of a type."""

    def stream(self, handlers: Handlers[Event], type: str, limit: int) -> EventStream:
        """Events one after the other, until the client is closed."""


class Room:
    """A room, as a client knows it.

    Attributes:
        name: Its name.
        position: How far its events have been handed over; ``None``: it has no history, or was not joined yet.
        presence: Who is there.
    """

    def __init__(self, name: str, owner: Owner, forget: Callable[[str], None]) -> None:
        self.name = name
        self.position: Position | None = None
        self.presence = Presence(name, owner.request, owner.start, owner.report)
        self._owner = owner
        self._forget = forget
        self._handlers: Handlers[Event] = Handlers(owner.report)
        self._join: Join | None = None
        self._load: Load | None = None
        self._placed = False  # in this session the server has said where the room is
        self._held: list[Any] | None = None  # while the state is read
        self._reads = 0
        self._entries = 0
        self._joining: asyncio.Task[None] | None = None
        self._loading: asyncio.Task[None] | None = None
        self._entering = False

    def on(self, type: str, handler: Callable[[Event], object]) -> Callable[[], None]:
        """Have a function called with each event of a type in this room, as ``Client.on`` does."""
        return self._owner.listen(self._handlers, type, handler)

    def events(self, type: str = "*", *, limit: int = 1000) -> EventStream:
        """Events of a type in this room, one after the other."""
        return self._owner.stream(self._handlers, type, limit)

    async def history(self, *, before: int | None = None, limit: int = 50) -> HistoryPage:
        """Past events, where the service lets clients read them.

        Args:
            before: The offset before which the page ends; ``None``: the last events.
            limit: How many, 100 at most.

        Raises:
            LinkdError: If they may not be read.
        """
        page = {"room": self.name, "limit": limit} | ({} if before is None else {"before": before})
        return msgspec.convert(await self._owner.request(HistoryRequest.type, page), HistoryPage)

    def forget(self) -> None:
        """Nothing is joined, loaded or handed over for the room any more. The service is not told."""
        self._reads += 1
        self._entries += 1
        self._forget(self.name)

    # for the client

    def use(self, join: Join | None, load: Load | None) -> None:
        """How it is joined, and how its state is read."""
        self._load = load or self._load
        if join is not None and self._join is None:
            self._join = join
            if self._owner.connected:
                self._enter()

    def welcome(self, welcome: Welcome) -> None:
        """A connection is there."""
        self.presence.welcome(welcome.resumed, welcome.presence.get(self.name))
        # Where the room is may have been said just before the break, and is not said again.
        unplaced = not self._placed and (self._entering or self.name in welcome.rooms)
        if not welcome.resumed or unplaced:
            self._enter()

    def lost_session(self) -> None:
        """The next welcome is of another session."""
        self._placed = False

    def joined(self, position: Position, recovered: bool) -> None:
        """The session is in the room; events behind this position follow, or all that were missed."""
        self._placed = True
        if not recovered and self.position != position:
            self.place(position, None if self.position is None else "missed")

    def place(self, position: Position, reason: str | None) -> None:
        """The room is at another position: what was known of it is worth nothing."""
        self.position = position
        if self._load is not None:
            self._read()
        elif reason is not None:
            self._owner.missed(reason, self.name)

    def admit(self, message: Any) -> bool:
        """Whether an event may be handed over now; it is later, or never, where not."""
        if self.position is not None and message.offset is not None:
            if message.offset <= self.position.offset:
                return False
            self.position = Position(self.position.epoch, message.offset)
        if self._held is None:
            return True
        self._held.append(message)
        if len(self._held) > _HELD:
            self._read()
        return False

    def call(self, event: Event) -> bool:
        """Hand an event over. Returns whether somebody took it."""
        return self._handlers.call(event.type, event)

    def _enter(self) -> None:
        if self._join is not None:
            self._entries += 1
            self._entering = True
            _cancel(self._joining)
            self._joining = self._owner.start(self._join_now, self._join, self._entries)

    async def _join_now(self, join: Join, mine: int) -> None:
        await self._persist(lambda: join(self.position), "join", lambda: mine == self._entries)
        if mine == self._entries:
            self._entering = False

    def _read(self) -> None:
        assert self._load is not None
        self._reads += 1
        self._held = []
        _cancel(self._loading)
        self._loading = self._owner.start(self._load_now, self._load, self.position, self._reads)

    async def _load_now(self, load: Load, position: Position | None, mine: int) -> None:
        await self._persist(lambda: load(position), "load", lambda: mine == self._reads)
        if mine == self._reads:
            held, self._held = self._held or [], None
            for message in held:
                self._owner.hand_over(message)

    async def _persist(self, what: Callable[[], Awaitable[object]], name: str, wanted: Callable[[], bool]) -> None:
        """Do it once more where the server says when."""
        while True:
            try:
                await run(what)
                return
            except Exception as error:  # an application's
                if not wanted():
                    return
                pause = error.retry_after if isinstance(error, LinkdError) else None
                if pause is None:
                    self._owner.report(error, f"{name} {self.name}")
                    return
                await asyncio.sleep(max(pause, _LEAST_PAUSE))
                if not wanted():
                    return


def _cancel(task: asyncio.Task[None] | None) -> None:
    """What a task would find out is known to be out of date."""
    if task is not None:
        task.cancel()
