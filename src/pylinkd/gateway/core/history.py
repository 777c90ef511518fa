"""The last events of rooms, so that whoever comes back too late to resume finds what was missed. Time is an argument.

A position is an epoch and an offset. Offsets count a room's events from 1; the epoch changes when a history begins
anew, so that an old position is never taken for one of the new history.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Sequence
from itertools import islice

import msgspec

from ...protocol.rooms import Position
from .broadcast import Broadcast
from .format import Format
from .outbox import Kind
from .session import RoomKey

_EVENT_COST = 400  # bytes that an event costs beside its data
_ROOM_COST = 600  # bytes that a history costs beside its events
_SWEPT = 1000  # histories that a sweep looks at
_MOST_GIVEN_UP = 10_000  # names of rooms whose history was given up


class HistoryRule(msgspec.Struct, frozen=True):
    """What is kept of a room's events.

    Attributes:
        messages: So many of the last.
        seconds: None that is older.
        bytes: Of all together.
        readable: Whether members may read it page by page.
    """

    messages: int = 100
    seconds: float = 300.0
    bytes: int = 2**20
    readable: bool = False


class PastEvent:
    """An event in a history.

    Attributes:
        offset: Its place.
        at: When it was sent.
        type: The event's type.
        data: Its data as JSON.
    """

    __slots__ = ("_broadcast", "_room", "at", "data", "offset", "type")

    def __init__(self, room: str, offset: int, at: float, type: str, data: bytes, broadcast: Broadcast) -> None:
        self._room = room
        self._broadcast = broadcast
        self.offset = offset
        self.at = at
        self.type = type
        self.data = data

    @property
    def cost(self) -> int:
        """Bytes that it takes to keep it."""
        return _EVENT_COST + 2 * len(self.data)  # once as it came, and in frames

    def frame(self, format: Format) -> bytes:
        """Its frame, as it was sent or as it would have been."""
        frame = self._broadcast.frames.get(format)
        if frame is None:
            payload = format.codec.event(self.type, self.data, room=self._room, offset=self.offset)
            frame = self._broadcast.frames[format] = format.frame(payload)
        return frame


class History:
    """The last events of one room.

    Attributes:
        epoch: Its life.
        top: Offset of the last event; 0: there was none.
        size: What it costs, in bytes.
        touched: When it was last written to or joined.
    """

    __slots__ = ("_events", "_rule", "epoch", "size", "top", "touched")

    def __init__(self, epoch: str, rule: HistoryRule, now: float) -> None:
        self.epoch = epoch
        self.top = 0
        self.size = _ROOM_COST
        self.touched = now
        self._rule = rule
        self._events: deque[PastEvent] = deque()

    @property
    def position(self) -> Position:
        """Behind the last event."""
        return Position(self.epoch, self.top)

    def add(self, event: PastEvent) -> None:
        """The next event."""
        self.top = event.offset
        self._events.append(event)
        self.size += event.cost
        self.touched = event.at
        self.trim(event.at)

    def trim(self, now: float) -> None:
        """Forget what is too old, or too much."""
        rule, events = self._rule, self._events
        while events and (
            len(events) > rule.messages or self.size - _ROOM_COST > rule.bytes or events[0].at + rule.seconds <= now
        ):
            self.size -= events.popleft().cost

    def since(self, position: Position, limit: int) -> list[PastEvent] | None:
        """What came behind a position, all of it; ``None``: that cannot be told, or is more than ``limit`` events."""
        missed = self.top - position.offset
        if position.epoch != self.epoch or not 0 <= missed <= min(limit, len(self._events)):
            return None
        return list(self._events)[len(self._events) - missed :]

    def page(self, before: int | None, limit: int) -> list[PastEvent]:
        """The last events, or those before an offset; in order, ``limit`` at most."""
        found = [event for event in self._events if before is None or event.offset < before]
        return found[-limit:]


def _unnoticed(room: RoomKey, history: History, reason: str) -> None:
    pass


class Histories:
    """The histories of all rooms.

    Args:
        limit: Bytes of all together. Beyond it those go that were not touched for longest.
        make_epoch: Makes names of epochs, which nobody guesses.

    Attributes:
        began_anew: Called with a room whose history was given up and has begun anew, and with why.
    """

    def __init__(self, limit: int, make_epoch: Callable[[], str]) -> None:
        self._limit = limit
        self.began_anew: Callable[[RoomKey, History, str], None] = _unnoticed
        self._make_epoch = make_epoch
        self._histories: OrderedDict[RoomKey, tuple[HistoryRule, History]] = OrderedDict()
        self._given_up: OrderedDict[RoomKey, str] = OrderedDict()  # and why
        self.size = 0

    def of(self, room: RoomKey, rule: HistoryRule, now: float) -> History:
        """A room's history; a new one where there was none, or another rule held."""
        found = self._histories.get(room)
        if found is not None and found[0] == rule:
            self._histories.move_to_end(room)
            found[1].touched = now
            self._trim(found[1], now)
            return found[1]
        if found is not None:
            self._give_up(room, "changed")
        reason = self._given_up.pop(room, None)
        history = History(self._make_epoch(), rule, now)
        self._histories[room] = (rule, history)
        self.size += history.size
        if reason is not None:
            self.began_anew(room, history, reason)
        return history

    def _trim(self, history: History, now: float) -> None:
        before = history.size
        history.trim(now)
        self.size += history.size - before

    def missed(self, room: RoomKey) -> None:
        """An event was sent to a room without being kept, since no rule asked for it: with the history it had, there
        would be a hole.
        """
        if room in self._histories:
            self._give_up(room, "changed")

    def add(
        self,
        room: RoomKey,
        rule: HistoryRule,
        now: float,
        type: str,
        data: bytes,
        formats: Iterable[Format],
    ) -> Broadcast:
        """Take in an event, and return it with its place.

        Raises:
            BadRequestError: If the data cannot be written: it is in no history then.
        """
        history = self.of(room, rule, now)
        broadcast = Broadcast(type, data, formats, Kind.EVENT, room=room[1], offset=history.top + 1)
        before = history.size
        history.add(PastEvent(room[1], history.top + 1, now, type, data, broadcast))
        self.size += history.size - before
        self._relieve(room)
        return broadcast

    def _relieve(self, kept: RoomKey) -> None:
        while self.size > self._limit and len(self._histories) > 1:
            oldest = next(iter(self._histories))
            if oldest == kept:
                return
            self._give_up(oldest, "evicted")

    def _give_up(self, room: RoomKey, reason: str) -> None:
        self._drop(room)
        self._given_up[room] = reason
        if len(self._given_up) > _MOST_GIVEN_UP:
            self._given_up.popitem(last=False)

    def sweep(self, now: float, members: Callable[[RoomKey], Sequence[object]]) -> None:
        """Forget what is too old of histories that were not touched for long, and those of rooms that nobody is in.

        Args:
            now: The time.
            members: Says who is in a room.
        """
        for room, (rule, history) in list(islice(self._histories.items(), _SWEPT)):
            if history.touched + rule.seconds > now:
                break
            self._trim(history, now)
            if members(room):
                history.touched = now
                self._histories.move_to_end(room)
            else:
                self._drop(room)

    def _drop(self, room: RoomKey) -> None:
        self.size -= self._histories.pop(room)[1].size

    def __len__(self) -> int:
        return len(self._histories)

    def __contains__(self, room: RoomKey) -> bool:
        return room in self._histories
