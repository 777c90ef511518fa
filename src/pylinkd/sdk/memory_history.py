"""Rooms with a history, in memory: what the gateway keeps of them, for tests without one."""

from __future__ import annotations

from time import monotonic, time

from ..protocol.errors import BadRequestError, ConflictError, NotFoundError
from ..protocol.link_pb2 import Frame, HistoryQuery, Publish, RoomCommand
from .memory_client import Emitted
from .rooms import History, Rooms

_REPLAYED = 300


class _Kept:
    def __init__(self, number: int) -> None:
        self.epoch = f"epoch-{number}"
        self.top = 0
        self.events: list[tuple[int, float, bytes, Emitted]] = []

    def trim(self, rule: History) -> None:
        self.events = [event for event in self.events[-rule.messages :] if event[1] + rule.seconds > monotonic()]
        while sum(len(event[2]) for event in self.events) > rule.bytes:
            del self.events[0]


class MemoryHistories:
    """The histories of a service's rooms.

    Args:
        rules: What the service wants of them.
    """

    def __init__(self, rules: Rooms) -> None:
        self._rules = rules
        self._kept: dict[str, _Kept] = {}

    def _of(self, room: str) -> _Kept | None:
        rule = self._rules.history(room)
        if rule is None:
            return None
        kept = self._kept.setdefault(room, _Kept(len(self._kept) + 1))
        kept.trim(rule)
        return kept

    def place(self, publish: Publish) -> int | None:
        """The offset that an event will have; ``None``: its room has no history.

        Raises:
            ConflictError: If it is for more than one room with a history.
        """
        ruled = [room for room in publish.rooms if self._rules.history(room) is not None]
        if not ruled or publish.volatile or publish.answer_within_ms:
            return None
        if len(publish.rooms) > 1 or publish.users or publish.sessions or publish.everyone:
            raise ConflictError(
                f"An event for the room {ruled[0]!r}, which has a history, is for that room alone.",
                type="ROOM_WITH_HISTORY",
            )
        kept = self._of(ruled[0])
        assert kept is not None
        return kept.top + 1

    def record(self, publish: Publish, event: Emitted) -> None:
        """Take it in."""
        kept = self._of(publish.rooms[0])
        assert kept is not None
        assert event.offset is not None
        kept.top = event.offset
        kept.events.append((event.offset, monotonic(), publish.data, event))

    def check(self, command: RoomCommand, *, connected: bool) -> None:
        """Look at a command to join rooms, before they are joined.

        Raises:
            BadRequestError: If a position is given for other than one room with a history.
            ConflictError: If one is given for a session whose client is away.
        """
        if command.HasField("since"):
            if len(command.rooms) != 1 or self._rules.history(command.rooms[0]) is None:
                raise BadRequestError("A position is for one room, with a history.")
            if not connected:
                raise ConflictError(
                    "The client is away: what it has missed is sent when it asks again.", type="SESSION_AWAY"
                )

    def joined(self, command: RoomCommand) -> tuple[Frame | None, list[Emitted]]:
        """The answer to a join, and what the session has missed."""
        kept = self._of(command.rooms[0]) if len(command.rooms) == 1 else None
        if kept is None:
            return None, []
        frame, missed = Frame(), None
        if command.HasField("since") and command.since.epoch == kept.epoch:
            count = kept.top - command.since.offset
            if 0 <= count <= min(command.replay_limit or _REPLAYED, len(kept.events)):
                missed = [event for _, _, _, event in kept.events[len(kept.events) - count :]]
        joined = frame.room_joined
        joined.position.epoch, joined.position.offset = kept.epoch, kept.top
        joined.recovered, joined.replayed = missed is not None, len(missed or ())
        return frame, missed or []

    def page(self, query: HistoryQuery) -> Frame:
        """A page.

        Raises:
            NotFoundError: If the room has no history.
        """
        kept = self._of(query.room)
        if kept is None:
            raise NotFoundError("The room has no history.", type="NO_HISTORY")
        found = [event for event in kept.events if not query.before or event[0] < query.before]
        limit = query.limit or 100
        frame = Frame()
        page = frame.history_page
        page.position.epoch, page.position.offset, page.more = kept.epoch, kept.top, len(found) > limit
        for offset, at, data, event in found[-limit:]:
            at_ms = round((at + time() - monotonic()) * 1000)
            page.events.add(offset=offset, type=event.type, data=data, at_ms=at_ms)
        return frame
