"""What services want of their rooms: which of them have a history, and of which it is told who is there."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from ...protocol.link_pb2 import RoomRule as WireRule
from ...protocol.rooms import RoomPattern
from ..core.history import HistoryRule
from ..core.presence import PresenceRule
from .service import Service

_REMEMBERED = 10_000  # names of rooms whose rule was looked up


class RoomRule(NamedTuple):
    """What is wanted of a room.

    Attributes:
        history: What is kept of its events; ``None``: nothing.
        presence: How it is told who is there; ``None``: it is not.
    """

    history: HistoryRule | None = None
    presence: PresenceRule | None = None


_NOTHING = RoomRule()


def _nothing() -> None:
    pass


class RoomRules:
    """The rules of all namespaces. The first pattern of a service that a room's name matches decides.

    Attributes:
        changed: Called when they are other ones.
    """

    def __init__(self) -> None:
        self._rules: dict[str, list[tuple[RoomPattern, RoomRule]]] = {}
        self._found: dict[tuple[str, str], RoomRule] = {}
        self.changed: Callable[[], None] = _nothing

    def take(self, services: Iterable[Service]) -> None:
        """Take over what these services, all there are, want now. What one that is away wanted holds."""
        before, self._rules = self._rules, {}
        self._found.clear()
        for service in services:
            for instance in service.offers[-1:]:  # the latest release decides
                rules = [(RoomPattern(wire.pattern), _rule(wire)) for wire in instance.registration.rooms]
                if rules:
                    self._rules.setdefault(service.namespace, []).extend(rules)
        if self._rules != before:
            self.changed()

    def history(self, namespace: str, room: str) -> HistoryRule | None:
        """What is kept of a room's events; ``None``: nothing."""
        return self._of(namespace, room).history if namespace in self._rules else None

    def presence(self, namespace: str, room: str) -> PresenceRule | None:
        """How it is told who is in a room; ``None``: it is not."""
        return self._of(namespace, room).presence if namespace in self._rules else None

    def _of(self, namespace: str, room: str) -> RoomRule:
        key = (namespace, room)
        found = self._found.get(key)
        if found is None:
            if len(self._found) >= _REMEMBERED:
                self._found.clear()
            rules = self._rules[namespace]
            found = next((rule for pattern, rule in rules if pattern.matches(room)), _NOTHING)
            self._found[key] = found
        return found


def _rule(wire: WireRule) -> RoomRule:
    history, presence = wire.history, wire.presence
    return RoomRule(
        HistoryRule(history.messages, history.period_ms / 1000, history.bytes, history.readable)
        if wire.HasField("history")
        else None,
        PresenceRule(presence.grace_ms / 1000, presence.max_members, presence.client_data)
        if wire.HasField("presence")
        else None,
    )
