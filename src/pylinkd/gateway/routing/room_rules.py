"""What services want of their rooms: which of them have a history."""

from __future__ import annotations

from collections.abc import Iterable

from ...protocol.link_pb2 import RoomRule
from ...protocol.rooms import RoomPattern
from ..core.history import HistoryRule
from .service import Service

_REMEMBERED = 10_000  # names of rooms whose rule was looked up


class RoomRules:
    """The rules of all namespaces. The first pattern of a service that a room's name matches decides."""

    def __init__(self) -> None:
        self._rules: dict[str, list[tuple[RoomPattern, RoomRule]]] = {}
        self._found: dict[tuple[str, str], HistoryRule | None] = {}

    def take(self, services: Iterable[Service]) -> None:
        """Take over what these services, all there are, want now. What one that is away wanted holds."""
        self._found.clear()
        self._rules.clear()
        for service in services:
            for instance in service.offers[-1:]:  # the latest release decides
                rules = [(RoomPattern(rule.pattern), rule) for rule in instance.registration.rooms]
                if rules:
                    self._rules.setdefault(service.namespace, []).extend(rules)

    def history(self, namespace: str, room: str) -> HistoryRule | None:
        """What is kept of a room's events; ``None``: nothing."""
        if namespace not in self._rules:
            return None
        key = (namespace, room)
        if key not in self._found:
            if len(self._found) >= _REMEMBERED:
                self._found.clear()
            self._found[key] = self._history(namespace, room)
        return self._found[key]

    def _history(self, namespace: str, room: str) -> HistoryRule | None:
        for pattern, rule in self._rules[namespace]:
            if pattern.matches(room):
                kept = rule.history
                if not rule.HasField("history"):
                    return None
                return HistoryRule(kept.messages, kept.period_ms / 1000, kept.bytes, kept.readable)
        return None
