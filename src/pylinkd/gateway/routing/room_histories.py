"""Rooms with a history: what is said in them is kept, and whoever joins again gets what was missed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from ...protocol.control import Gap, HistoryRequest, RoomNotice, RoomPlace
from ...protocol.envelope import Message
from ...protocol.errors import BadRequestError, ConflictError, ForbiddenError, LinkdError, NotFoundError
from ...protocol.link_pb2 import Frame, Publish, RoomCommand
from ...protocol.rooms import Position
from ..core.broadcast import Broadcast
from ..core.delivery import Delivery
from ..core.history import Histories, History, PastEvent
from ..core.outbox import Kind
from ..core.registry import Registry
from ..core.rooms import Rooms
from ..core.session import RoomKey, Session
from .instance import Instance
from .room_rules import RoomRules

_REPLAYED = 300  # events at most, unless told; with more a client had better read the state anew
_PAGE = 100  # events
_PAGE_BYTES = 256 * 1024


class RoomHistories:
    """Keeps histories, and has them read.

    Args:
        rules: Say which rooms have one.
        histories: The histories.
        rooms: The rooms.
        registry: The sessions.
        delivery: The door to clients.
        monotonic: Seconds that never go back.
        clock: Unix time in seconds.
    """

    def __init__(
        self,
        *,
        rules: RoomRules,
        histories: Histories,
        rooms: Rooms,
        registry: Registry,
        delivery: Delivery,
        monotonic: Callable[[], float],
        clock: Callable[[], float],
    ) -> None:
        self._rules = rules
        self._histories = histories
        histories.began_anew = self._tell
        self._rooms = rooms
        self._registry = registry
        self._delivery = delivery
        self._monotonic = monotonic
        self._clock = clock

    def record(self, namespace: str, publish: Publish) -> Broadcast | None:
        """Take an event into the history of its room, and return it with its place there; ``None``: it has none.

        Raises:
            ConflictError: If it is for more than one room with a history: it could have one place only.
            BadRequestError: If its data cannot be written.
        """
        ruled = [(room, rule) for room in publish.rooms if (rule := self._rules.history(namespace, room))]
        if not ruled or publish.volatile:
            if len(self._histories) and not publish.volatile:
                for room in publish.rooms:
                    self._histories.missed((namespace, room))
            return None
        if len(publish.rooms) > 1 or publish.users or publish.sessions or publish.everyone:
            raise ConflictError(
                f"An event for the room {ruled[0][0]!r}, which has a history, is for that room alone.",
                type="ROOM_WITH_HISTORY",
            )
        ((room, rule),) = ruled
        key, formats = (namespace, room), self._registry.formats
        return self._histories.add(key, rule, self._monotonic(), publish.type, publish.data, formats)

    def check(self, session: Session, namespace: str, command: RoomCommand) -> None:
        """Look at a command to join rooms, before they are joined.

        Raises:
            BadRequestError: If a position is given for other than one room with a history.
            ConflictError: If one is given for a session whose client is away: what it missed could be too much to wait
                for it, and it would not learn so.
        """
        if command.HasField("since"):
            if len(command.rooms) != 1 or self._rules.history(namespace, command.rooms[0]) is None:
                raise BadRequestError("A position is for one room, with a history.")
            if session.connection is None:
                raise ConflictError(
                    "The client is away: what it has missed is sent when it asks again.", type="SESSION_AWAY"
                )

    def joined(self, session: Session, namespace: str, command: RoomCommand) -> Frame | None:
        """A session has become a member of rooms: say where it is in their histories, and send it what it has missed.

        Returns:
            The answer to the service, where it was about one room with a history; else ``None``.
        """
        found = None
        for room in command.rooms:
            history = self._history(namespace, room)
            if history is not None:
                found = self._welcome(session, room, history, command)
        return found if len(command.rooms) == 1 else None

    def _welcome(self, session: Session, room: str, history: History, command: RoomCommand) -> Frame:
        frames: list[bytes] | None = None
        asked = command.HasField("since")
        if asked:
            since = Position(command.since.epoch, command.since.offset)
            missed = history.since(since, command.replay_limit or _REPLAYED)
            frames = None if missed is None else _frames(session, missed)
        replayed = len(frames or ())
        session.notify(
            RoomNotice(
                room=room,
                epoch=history.epoch,
                offset=history.top - replayed,
                recovered=frames is not None if asked else None,
                replayed=replayed,
            )
        )
        for frame in frames or ():
            self._delivery.send(session, frame, Kind.EVENT)
        answer = Frame()
        joined = answer.room_joined
        joined.position.epoch, joined.position.offset = history.epoch, history.top
        joined.recovered, joined.replayed = frames is not None, replayed
        return answer

    def _history(self, namespace: str, room: str) -> History | None:
        rule = self._rules.history(namespace, room)
        return None if rule is None else self._histories.of((namespace, room), rule, self._monotonic())

    def _tell(self, room: RoomKey, history: History, reason: str) -> None:
        """A history has begun anew: whoever is in the room learns that its position is worth nothing."""
        notice = Gap(room=room[1], epoch=history.epoch, offset=history.top, reason=reason)
        for session in self._rooms.members(*room):
            session.notify(notice)

    def places(self, session: Session) -> dict[str, RoomPlace]:
        """Where the session's rooms are that have a history."""
        found: dict[str, RoomPlace] = {}
        for namespace, room in sorted(session.rooms, reverse=True):  # of two with one name, the one that read() finds
            history = self._history(namespace, room)
            if history is not None:
                found[room] = RoomPlace(history.epoch, history.top)
        return found

    # reading

    def read(self, session: Session, message: Message) -> None:
        """A client reads a page: of a room that it is in, where its service allows that."""
        try:
            if message.id is None:
                raise BadRequestError('A history is read with an "id", to which it is the answer.')
            wanted = HistoryRequest.read(session.codec, bytes(message.data))
            named = [key for key in session.rooms if key[1] == wanted.room and self._rules.history(*key)]
            key = min(named, default=None)
            rule = None if key is None else self._rules.history(*key)
            if key is None or rule is None:
                raise NotFoundError("There is no such room.", details={"room": wanted.room})
            if not rule.readable:
                raise ForbiddenError("The history of this room is not for clients.")
            history = self._histories.of(key, rule, self._monotonic())
            events, more = self._page(history, wanted.before, min(wanted.limit, _PAGE))
            session.answer(message.id, _encode(session, wanted.room, history, events, more=more))
        except LinkdError as error:
            session.fail(message.id, error)

    def query(self, instance: Instance, frame: Frame) -> None:
        """A service reads a page.

        Raises:
            NotFoundError: If the room has no history.
        """
        query = frame.history_query
        history = self._history(instance.service.namespace, query.room)
        if history is None:
            raise NotFoundError("The room has no history.", type="NO_HISTORY")
        events, more = self._page(history, query.before or None, query.limit or _PAGE, size=8 * 2**20)
        answer = Frame()
        page = answer.history_page
        page.position.epoch, page.position.offset, page.more = history.epoch, history.top, more
        ahead = self._clock() - self._monotonic()
        for event in events:
            page.events.add(
                offset=event.offset, type=event.type, data=event.data, at_ms=round((event.at + ahead) * 1000)
            )
        instance.link.answer(frame.request_id, answer)

    def _page(
        self, history: History, before: int | None, limit: int, size: int = _PAGE_BYTES
    ) -> tuple[list[PastEvent], bool]:
        """The events of a page in order, and whether there are earlier ones."""
        found = history.page(before, limit + 1)
        more = len(found) > limit
        page: list[PastEvent] = []
        for event in reversed(found[-limit:]):
            size -= event.cost
            if size < 0 and page:
                more = True
                break
            page.append(event)
        return page[::-1], more

    def sweep(self) -> None:
        """Forget what is too old."""
        self._histories.sweep(self._monotonic(), self._members)

    def _members(self, room: RoomKey) -> tuple[Session, ...]:
        return self._rooms.members(*room)


def _frames(session: Session, events: list[PastEvent]) -> list[bytes] | None:
    """The frames of events; ``None``: one of them cannot be written for this client."""
    try:
        return [event.frame(session.format) for event in events]
    except BadRequestError:
        return None


def _encode(session: Session, room: str, history: History, events: list[PastEvent], *, more: bool) -> bytes:
    """A page as the data of an answer.

    Raises:
        BadRequestError: If it cannot be written for this client.
    """
    binary = session.codec.binary

    def data(event: PastEvent) -> Any:
        return msgspec.json.decode(event.data) if binary and event.data else msgspec.Raw(event.data or b"null")

    page = {
        "room": room,
        "epoch": history.epoch,
        "offset": history.top,
        "events": [{"offset": event.offset, "type": event.type, "data": data(event)} for event in events],
        "more": more,
    }
    try:
        return msgspec.msgpack.encode(page) if binary else msgspec.json.encode(page)
    except OverflowError as cause:
        raise BadRequestError("The page holds an event that MessagePack cannot carry.") from cause
