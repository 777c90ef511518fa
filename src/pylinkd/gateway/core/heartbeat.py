"""When a silent client is pinged, and when it counts as dead, idle or stalled. One sweep asks for all connections.

The sweep visits every connection a few times per interval, a part of them in each step, so that it costs the same in
every second and nothing per connection: no timer, no task.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from enum import Enum
from typing import Generic, Protocol, TypeVar

_VISITS = 4  # of each connection per interval


class Verdict(Enum):
    """What to do about a connection."""

    PING = "ping"
    DEAD = "dead"
    IDLE = "idle"
    STALLED = "stalled"


class Pulse(Protocol):
    """What is known of a connection's silence; times in seconds of one clock."""

    heard_at: float
    """When anything last came."""

    messaged_at: float
    """When a message last came; pings and pongs do not count."""

    pinged_at: float
    """When it was last pinged."""

    unfinished_since: float
    """When the first fragment came of a message whose last has not; 0: there is none."""

    @property
    def held(self) -> bool:
        """Whether nothing is read from it, by our own choice: its silence is then no sign."""

    @property
    def reachable(self) -> bool:
        """Whether what is sent to it arrives. Only asked where ``held`` rules out that its pong could be read."""


P = TypeVar("P", bound=Pulse)


class Heartbeat(Generic[P]):
    """The sweep over all connections.

    Args:
        interval: Seconds of silence before a ping; dead after two. Default 30 s in the settings.
        idle_timeout: Seconds without a message before a connection is idle; ``None``: never.
        message_timeout: Seconds that a message may take from its first fragment to its last.
        step: Seconds between two calls of ``due``.
    """

    def __init__(self, *, interval: float, idle_timeout: float | None, message_timeout: float, step: float) -> None:
        self._interval = interval
        self._idle_timeout = idle_timeout
        self._message_timeout = message_timeout
        self._steps_per_round = max(1, round(interval / _VISITS / step))
        # In the order of their next visit. Linked, so that whoever ends is let go at once and not when visited.
        self._line: OrderedDict[P, None] = OrderedDict()

    def add(self, connection: P) -> None:
        """Watch a connection from now on."""
        self._line[connection] = None

    def discard(self, connection: P) -> None:
        """Watch it no more."""
        self._line.pop(connection, None)

    def paused(self, seconds: float) -> None:
        """The gateway itself did nothing for so long: that was no silence of anybody else's."""
        for connection in self._line:
            connection.heard_at += seconds
            connection.messaged_at += seconds
            if connection.pinged_at:
                connection.pinged_at += seconds
            if connection.unfinished_since:
                connection.unfinished_since += seconds

    def due(self, now: float) -> list[tuple[P, Verdict]]:
        """Visit the next part of the connections, and say which of them something is to be done about."""
        found: list[tuple[P, Verdict]] = []
        line = self._line
        for _ in range(-(-len(line) // self._steps_per_round)):
            connection = next(iter(line))
            line.move_to_end(connection)
            verdict = self._judge(connection, now)
            if verdict is not None:
                found.append((connection, verdict))
        return found

    def _judge(self, connection: P, now: float) -> Verdict | None:
        if connection.held:
            if now - max(connection.pinged_at, connection.heard_at) < self._interval:
                return None
            # Its pong would not be read; whether our ping arrived is known all the same.
            return Verdict.PING if connection.reachable else Verdict.DEAD
        if self._idle_timeout is not None and now - connection.messaged_at >= self._idle_timeout:
            return Verdict.IDLE
        if connection.unfinished_since and now - connection.unfinished_since >= self._message_timeout:
            return Verdict.STALLED
        silence = now - connection.heard_at
        if silence < self._interval:
            return None
        asked = connection.pinged_at > connection.heard_at
        if asked and now - connection.pinged_at < self._interval:
            return None
        # Two intervals of silence alone prove nothing: it has to have been asked, and to have had time to answer.
        return Verdict.DEAD if asked and silence >= 2 * self._interval else Verdict.PING

    def __iter__(self) -> Iterator[P]:
        return iter(self._line)

    def __len__(self) -> int:
        return len(self._line)
