"""Numbers on what goes over the bus, and what is missing by them. No clock, no socket.

The bus loses frames now and then: a server that is restarted, a reader that was too slow. Whoever listens has to
notice. Each incarnation of a gateway numbers its frames; a frame has the number of the one before it under the same
name, too.
"""

from __future__ import annotations

from collections import OrderedDict
from enum import StrEnum

from .member import Member

_MOST_NAMES = 100_000  # of which an end remembers a number
_MOST_ORIGINS = 1_024  # that are remembered for a name


class Verdict(StrEnum):
    """What a number says."""

    NEXT = "next"
    """Nothing is missing, as far as can be known."""
    GAP = "gap"
    """Something before it has not come."""
    OLD = "old"
    """It has come already, or something after it."""


class Sent:
    """The numbers of what this gateway sends."""

    def __init__(self) -> None:
        self._last = 0
        self._by_name: OrderedDict[str, int] = OrderedDict()  # the one that was used last is the last

    def next(self, name: str) -> tuple[int, int]:
        """The number of the next frame under a name, and that of the one before it; 0: it is not remembered."""
        self._last += 1
        previous = self._by_name.pop(name, 0)
        self._by_name[name] = self._last
        if len(self._by_name) > _MOST_NAMES:
            self._by_name.popitem(last=False)
        return self._last, previous

    def last(self, name: str) -> int:
        """The number of the last frame under a name; 0: it is not remembered."""
        return self._by_name.get(name, 0)


class Received:
    """The numbers of what came from others."""

    def __init__(self) -> None:
        self._by_name: OrderedDict[str, dict[Member, int]] = OrderedDict()

    def take(self, origin: Member, name: str, sequence: int, previous: int) -> Verdict:
        """Look at the numbers of a frame."""
        origins = self._origins(name)
        last = origins.get(origin, 0)
        if sequence <= last:
            return Verdict.OLD
        _keep(origins, origin, sequence)
        return Verdict.GAP if last and previous and previous != last else Verdict.NEXT

    def tail(self, origin: Member, name: str, sequence: int) -> Verdict:
        """Look at the number that an origin says was its last under a name."""
        origins = self._origins(name)
        last = origins.get(origin, 0)
        if sequence <= last:
            # A smaller one: another frame has overtaken the word.
            return Verdict.NEXT if sequence == last else Verdict.OLD
        _keep(origins, origin, sequence)
        return Verdict.GAP if last else Verdict.NEXT  # what came before the first word was not for this gateway

    def _origins(self, name: str) -> dict[Member, int]:
        origins = self._by_name.pop(name, None)
        if origins is None:
            origins = {}
            if len(self._by_name) >= _MOST_NAMES:
                self._by_name.popitem(last=False)
        self._by_name[name] = origins
        return origins

    def forget(self, name: str) -> None:
        """Nobody here listens to a name any more: what comes under it later is a beginning."""
        self._by_name.pop(name, None)

    def forget_all(self) -> None:
        """What came before says nothing any more: the connection was lost."""
        self._by_name.clear()


def _keep(origins: dict[Member, int], origin: Member, sequence: int) -> None:
    if origin not in origins and len(origins) >= _MOST_ORIGINS:
        del origins[next(iter(origins))]
    origins[origin] = sequence
