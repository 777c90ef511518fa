"""Rooms with presence, in memory: who is there, for tests without a gateway. Whatever changes is told at once."""

from __future__ import annotations

from collections.abc import Callable

from ..protocol.errors import NotFoundError, PayloadTooLargeError
from ..protocol.link_pb2 import Frame, PresenceCommand
from ..protocol.link_pb2 import Present as WirePresent
from .memory_client import Client
from .rooms import Rooms

_MAX_DATA = 1024


class _Stay:
    def __init__(self, client: Client) -> None:
        self.client = client
        self.data = b""
        self.changed = 0  # the larger, the later was that said
        self.away = False


class MemoryPresence:
    """Who is in which room.

    Args:
        rules: What the service wants of its rooms.
        tell: Sends the service a frame.
    """

    def __init__(self, rules: Rooms, tell: Callable[[Frame], None]) -> None:
        self._rules = rules
        self._tell = tell
        self._stays: dict[str, dict[str, _Stay]] = {}  # by room and session
        self._order = 0

    def joined(self, client: Client, room: str) -> None:
        """A session is present in a room, if that has presence."""
        stays = self._stays.setdefault(room, {})
        if self._rules.presence(room) is None or client.id in stays:
            return
        came = _key(client) not in self._keys(room)
        stays[client.id] = _Stay(client)
        if came:
            self._changed(room, joined=client)

    def left(self, client: Client, room: str) -> None:
        """A session is present no more."""
        if self._stays.get(room, {}).pop(client.id, None) is not None and _key(client) not in self._keys(room):
            self._changed(room, left=client)

    def _keys(self, room: str) -> set[str]:
        return {_key(stay.client) for stay in self._stays[room].values()}

    def _changed(self, room: str, *, joined: Client | None = None, left: Client | None = None) -> None:
        frame = Frame()
        changed = frame.presence_changed
        changed.room = room
        for members, client in ((changed.joined, joined), (changed.left, left)):
            if client is not None:
                self._describe(members.add(), room, client)
        self._tell(frame)

    def _describe(self, wire: WirePresent, room: str, client: Client) -> None:
        stays = [stay for stay in self._stays[room].values() if _key(stay.client) == _key(client)]
        wire.key = _key(client)
        if client.identity is not None:
            wire.user, wire.name = client.identity.user, client.identity.name
        wire.sessions = len(stays) or 1
        wire.away = bool(stays) and all(stay.away or not stay.client.connected for stay in stays)
        wire.data = max(stays, key=lambda stay: stay.changed).data if stays else b""

    def list(self, room: str) -> Frame:
        """Who is in a room.

        Raises:
            NotFoundError: If the room has no presence.
        """
        if self._rules.presence(room) is None:
            raise NotFoundError("The room has no presence.", type="NO_PRESENCE")
        frame = Frame()
        listed = frame.presence_list
        clients = {_key(stay.client): stay.client for stay in self._stays.get(room, {}).values()}
        for client in clients.values():
            self._describe(listed.members.add(), room, client)
        listed.count = len(clients)
        listed.SetInParent()
        return frame

    def change(self, command: PresenceCommand) -> None:
        """Something is said of a session's member.

        Raises:
            NotFoundError: If it is not present in the room.
            PayloadTooLargeError: If the data is too large.
        """
        stays = self._stays.get(command.room, {})
        stay = stays.get(command.session)
        if stay is None:
            raise NotFoundError("The session is not present in this room.", type="NOT_PRESENT")
        if len(command.data) > _MAX_DATA:
            raise PayloadTooLargeError(
                f"The data of a member takes {_MAX_DATA} bytes at most.", details={"limit": _MAX_DATA}
            )
        if command.data:
            self._order += 1
            stay.data, stay.changed = command.data, self._order
        if command.says_away:
            stay.away = command.away


def _key(client: Client) -> str:
    return client.id if client.identity is None else client.identity.user
