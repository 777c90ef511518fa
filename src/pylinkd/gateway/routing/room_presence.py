"""Rooms with presence: their members are told who is there, and their services who came and left for good."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice

import msgspec
import structlog

from ...protocol.control import Presence, PresenceSet, PresenceSync
from ...protocol.end import EndReason
from ...protocol.envelope import Message
from ...protocol.errors import (
    BadRequestError,
    ForbiddenError,
    LinkdError,
    NotFoundError,
    PayloadTooLargeError,
    RateLimitedError,
)
from ...protocol.link_pb2 import Frame, RoomCommand
from ...protocol.link_pb2 import Present as WirePresent
from ...protocol.rate import Rate
from ..core.broadcast import Broadcast
from ..core.delivery import Delivery
from ..core.outbox import Kind
from ..core.presence import MAX_DATA, Changes, RoomPresence, State, View
from ..core.registry import Registry
from ..core.rooms import Rooms
from ..core.session import RoomKey, Session
from ..guard.limits import Limits
from .instance import Instance
from .owed import Owed
from .room_rules import RoomRules
from .services import Services

log = structlog.get_logger("linkd.sessions")

_PAGE = 200  # members
_PAGES = Rate(50, 1.0)  # that one client is shown when it asks: each costs as much as many messages
_MOST_LISTED = 10_000  # for a service


class RoomPresences:
    """Who is in which room.

    Args:
        rules: Say which rooms have presence.
        rooms: Who is to be told.
        registry: The sessions.
        services: Those that want to know.
        limits: How much a client may ask for.
        delivery: The door to clients.
        monotonic: Seconds that never go back.
        schedule: Runs a function after so many seconds.
    """

    def __init__(
        self,
        *,
        rules: RoomRules,
        rooms: Rooms,
        registry: Registry,
        services: Services,
        limits: Limits,
        delivery: Delivery,
        monotonic: Callable[[], float],
        schedule: Callable[[float, Callable[[], None]], object],
    ) -> None:
        self._rules = rules
        rules.changed = self.rules_changed
        self._rooms = rooms
        self._registry = registry
        self._services = services
        self._limits = limits
        self._delivery = delivery
        self._monotonic = monotonic
        self._schedule = schedule
        self._presences: dict[RoomKey, RoomPresence] = {}
        self._of: dict[Session, set[RoomKey]] = {}
        self._ticking: set[RoomKey] = set()
        self._leaving: set[RoomKey] = set()  # rooms of which somebody will leave, unless they come back

    def __len__(self) -> int:
        return len(self._presences)

    # what happens to sessions

    def joined(self, session: Session, namespace: str, command: RoomCommand) -> None:
        """A session has become a member of rooms: those with presence are shown to it, and it to them."""
        for room in command.rooms:
            rule = self._rules.presence(namespace, room)
            if rule is None:
                continue
            key = (namespace, room)
            presence = self._presences.get(key)
            if presence is None:
                presence = self._presences[key] = RoomPresence(rule)
            presence.rule = rule
            self._of.setdefault(session, set()).add(key)
            if command.absent:
                presence.leave(session)
            else:
                presence.enter(session, self._monotonic())
            self._changed(key, presence)
            if command.unwatching:
                presence.unwatching.add(session)
            else:
                presence.unwatching.discard(session)
                self._show_all(session, room, presence)

    def left(self, session: Session, namespace: str, rooms: Iterable[str]) -> None:
        """A session is a member of these rooms no more."""
        for room in rooms:
            key = (namespace, room)
            presence = self._presences.get(key)
            if presence is not None:
                presence.leave(session)
                presence.unwatching.discard(session)
                self._forget(session, key)
                self._tick_soon(key, presence)

    def detached(self, session: Session) -> None:
        """A session's client is away."""
        for key in self._of.get(session, ()):
            self._presences[key].detached(session, self._monotonic())
            self._changed(key, self._presences[key])

    def resumed(self, session: Session) -> None:
        """A session's client is back: it is present again where it had been, even if it had left meanwhile."""
        for key in self._of.get(session, ()):
            self._presences[key].resumed(session, self._monotonic())
            self._tick_soon(key, self._presences[key])

    def identified(self, session: Session) -> None:
        """It is known whose a session is."""
        for key in self._of.get(session, ()):
            self._presences[key].identified(session)
            self._tick_soon(key, self._presences[key])

    def ended(self, session: Session, reason: EndReason) -> None:
        """A session has ended."""
        for key in self._of.pop(session, ()):
            presence = self._presences[key]
            presence.ended(session, self._monotonic(), reason)
            presence.unwatching.discard(session)
            self._changed(key, presence)

    def _changed(self, key: RoomKey, presence: RoomPresence) -> None:
        if presence.leaving:
            self._leaving.add(key)
        self._tick_soon(key, presence)

    def _forget(self, session: Session, key: RoomKey) -> None:
        keys = self._of.get(session)
        if keys is not None:
            keys.discard(key)
            if not keys:
                del self._of[session]

    def sweep(self) -> None:
        """Let those leave whose time is over."""
        now = self._monotonic()
        for key in list(self._leaving):
            presence = self._presences.get(key)
            if presence is not None and presence.due(now):
                self._tick_soon(key, presence)
            if presence is None or not presence.leaving:
                self._leaving.discard(key)

    def rules_changed(self) -> None:
        """Services want something else of their rooms."""
        for key, presence in list(self._presences.items()):
            rule = self._rules.presence(*key)
            if rule is None:
                del self._presences[key]
                for session in self._rooms.members(*key):
                    self._forget(session, key)
            elif rule != presence.rule:
                presence.rule = rule
                self._tick_soon(key, presence)

    def paused(self, seconds: float) -> None:
        """The gateway itself did nothing for so long."""
        for presence in self._presences.values():
            presence.paused(seconds)

    # what they are told

    def _tick_soon(self, key: RoomKey, presence: RoomPresence) -> None:
        if key not in self._ticking:
            self._ticking.add(key)
            self._schedule(presence.tick, lambda: self._tick(key))

    def _tick(self, key: RoomKey) -> None:
        self._ticking.discard(key)
        presence = self._presences.get(key)
        if presence is None:
            return
        changes = presence.take()
        if changes is not None:
            self._tell_all(key, presence, changes)
        if presence.over and not self._rooms.members(*key):
            del self._presences[key]

    def _tell_all(self, key: RoomKey, presence: RoomPresence, changes: Changes) -> None:
        if presence.count_only():
            self._tell(key, presence, [_count(key[1], presence)] if presence.counting else _pages(key[1], presence))
        else:
            self._tell(key, presence, [_difference(key[1], presence, changes)])
        if changes.joined or changes.left:
            self._tell_services(key, changes)

    def _tell(self, key: RoomKey, presence: RoomPresence, notices: Iterable[Presence]) -> None:
        members = self._rooms.members(*key)
        watching = tuple(one for one in members if one.controls and one not in presence.unwatching)
        if not watching:
            return
        for notice in notices:
            data = msgspec.json.encode(notice)
            self._delivery.publish(Broadcast(notice.type, data, self._registry.formats, Kind.NOTICE), watching)

    def _tell_services(self, key: RoomKey, changes: Changes) -> None:
        for service in self._services:
            wanted = any(instance.registration.presence for instance in service.offers)
            if service.namespace != key[0] or not wanted:
                continue
            frame = Frame()
            changed = frame.presence_changed
            changed.room = key[1]
            for name, view in changes.joined.items():
                _describe(changed.joined.add(), name, view)
            for name, view in changes.left.items():
                _describe(changed.left.add(), name, view)
            Owed(service, frame).tell(service.presence_handler)

    def _show_all(self, session: Session, room: str, presence: RoomPresence) -> None:
        for notice in [_count(room, presence)] if presence.counting else _pages(room, presence):
            session.notify(notice)

    def states(self, session: Session) -> dict[str, int]:
        """The numbers of the present states of the rooms whose members a session watches."""
        found: dict[str, int] = {}
        for key in sorted(session.rooms, reverse=True):  # of two with one name, the one that _watched finds
            presence = self._presences.get(key)
            if presence is not None and session not in presence.unwatching:
                found[key[1]] = presence.seq
        return found

    # what clients ask

    def sync(self, session: Session, message: Message) -> None:
        """A client has missed something, or wants to see more."""
        try:
            wanted = PresenceSync.read(session.codec, bytes(message.data))
            presence = self._presences[self._watched(session, wanted.room)]
            if wanted.after is not None:
                self._limits.handler(session, PresenceSync.type, _PAGES)
                session.notify(next(iter(_pages(wanted.room, presence, wanted.after))))
            elif presence.counting:
                session.notify(_count(wanted.room, presence))
            else:
                changes = None if wanted.since is None else presence.since(wanted.since)
                if changes is None:
                    for _ in range(1 + len(presence) // _PAGE):
                        self._limits.handler(session, PresenceSync.type, _PAGES)
                    self._show_all(session, wanted.room, presence)
                else:
                    session.notify(_difference(wanted.room, presence, changes, wanted.since))
        except RateLimitedError as error:
            self._limits.refuse(session, message.id, error)
        except LinkdError as error:
            session.fail(message.id, error)
        else:
            if message.id is not None:
                session.answer(message.id, b"")

    def _watched(self, session: Session, room: str) -> RoomKey:
        keys = [key for key in session.rooms if key[1] == room and key in self._presences]
        if keys:
            return min(keys)
        raise NotFoundError("There is no such room.", details={"room": room})

    def say(self, session: Session, message: Message) -> None:
        """A client says something of its member."""
        try:
            wanted = PresenceSet.read(session.codec, bytes(message.data))
            key = self._watched(session, wanted.room)
            data = bytes(wanted.data)
            if data and not self._presences[key].rule.client_data:
                raise ForbiddenError("The data of members is set by the service of this room.")
            if data and session.codec.binary:
                data = _as_json(data)
            self._set(session, key, data or None, wanted.away)
        except LinkdError as error:
            session.fail(message.id, error)
        else:
            if message.id is not None:
                session.answer(message.id, b"")

    def _set(self, session: Session, key: RoomKey, data: bytes | None, away: bool | None) -> None:
        presence = self._presences.get(key)
        if presence is not None and data is not None:
            _check_data(data)
        if presence is None or not presence.set(session, data, away):
            raise NotFoundError("The session is not present in this room.", type="NOT_PRESENT")
        self._tick_soon(key, presence)

    # what services ask

    def query(self, instance: Instance, frame: Frame) -> None:
        """Who is in a room.

        Raises:
            NotFoundError: If the room has no presence.
        """
        room = frame.presence_query.room
        key = (instance.service.namespace, room)
        if self._rules.presence(*key) is None:
            raise NotFoundError("The room has no presence.", type="NO_PRESENCE")
        answer = Frame()
        listed = answer.presence_list
        presence = self._presences.get(key)
        if presence is not None:
            listed.count = len(presence)
            for name, view in presence.views():
                if len(listed.members) < _MOST_LISTED:
                    _describe(listed.members.add(), name, view)
        listed.SetInParent()
        instance.link.answer(frame.request_id, answer)

    def change(self, instance: Instance, frame: Frame) -> None:
        """A service says something of a session's member.

        Raises:
            NotFoundError: If the session is not present in the room, or the room has no presence.
            PayloadTooLargeError: If the data is too large.
        """
        command = frame.presence_command
        session = instance.service.session(self._registry, command.session)
        away = command.away if command.says_away else None
        self._set(session, (instance.service.namespace, command.room), command.data or None, away)
        instance.link.done(frame.request_id)


def _count(room: str, presence: RoomPresence) -> Presence:
    return Presence(room=room, seq=presence.seq, count=len(presence), mode="count")


def _pages(room: str, presence: RoomPresence, after: str | None = None) -> Iterable[Presence]:
    """All members, in pages; one even where nobody is there."""
    views = presence.views(after)  # each is made when it is asked for
    following = list(islice(views, _PAGE))
    while True:
        page, following = following, list(islice(views, _PAGE))
        yield Presence(
            room=room,
            seq=presence.seq,
            count=len(presence),
            mode="count" if presence.counting else None,
            members=dict(page),
            more=bool(following),
        )
        if not following:
            return


def _difference(room: str, presence: RoomPresence, changes: Changes, since: int | None = None) -> Presence:
    if presence.counting:
        return _count(room, presence)
    return Presence(
        room=room,
        seq=presence.seq,
        count=len(presence),
        join=changes.joined or None,
        update=changes.updated or None,
        leave=list(changes.left) or None,
        since=since,
    )


def _describe(wire: WirePresent, key: str, view: View) -> None:
    wire.key = key
    wire.user = view.user or ""
    wire.name = view.name or ""
    wire.sessions = view.sessions
    wire.away = view.state is State.AWAY
    wire.data = b"" if view.data is None else bytes(view.data)


def _check_data(data: bytes) -> None:
    """Raise where data is too large or no JSON, or cannot be written for members that speak MessagePack."""
    if len(data) > MAX_DATA:
        raise PayloadTooLargeError(f"The data of a member takes {MAX_DATA} bytes at most.", details={"limit": MAX_DATA})
    try:
        msgspec.msgpack.encode(msgspec.json.decode(data))
    except (ValueError, OverflowError, RecursionError) as cause:
        raise BadRequestError("The data of a member is JSON, with integers of 64 bits.") from cause


def _as_json(data: bytes) -> bytes:
    try:
        return msgspec.json.encode(msgspec.msgpack.decode(data))
    except (ValueError, TypeError, RecursionError) as cause:
        raise BadRequestError("The data of a member is JSON.") from cause
