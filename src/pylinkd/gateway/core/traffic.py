"""What passed through the gateway, as plain numbers: the hot path adds to them, whoever is interested reads them.

A counter here is one addition. What they are called outside, and in which format, is admin/metrics.py's.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
"""Bounds for durations."""

SIZES = (1, 10, 50, 100, 500, 1_000, 5_000, 10_000, 50_000)
"""Bounds for numbers of recipients."""


class Histogram:
    """How often a value fell between which bounds.

    Attributes:
        bounds: Upper ends, each included, in ascending order; what is larger falls behind the last.
        counts: How many fell below each bound and above the one before, and behind the last.
        total: Sum of the values.
        largest: Of the values; 0: none was counted.
    """

    __slots__ = ("bounds", "counts", "largest", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0
        self.largest = 0.0

    def observe(self, value: float) -> None:
        """Count a value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value
        if value > self.largest:
            self.largest = value


class Traffic:
    """Everything counted since the gateway started.

    Attributes:
        messages_in: Messages from clients.
        bytes_in: Their payloads, inflated.
        messages_out: Answers and events to clients.
        bytes_out: Their frames as they leave.
        api_requests: Requests to publish over HTTP, by name of the API key and outcome.
        answers_cut: HTTP answers that were cut, since too much waited for clients that do not read.
        events_dropped: Events dropped for clients that read too slowly.
        handshakes: Opening handshakes by outcome: ``accepted``, or the status of the refusal.
        http: Connections that speak plain HTTP or are not WebSockets yet, by stage (edge/stages.py), now.
        descriptors_exhausted: Seconds in which the process had no file descriptor left for a connection.
        states: Connections by state, now.
        resumes: Clients that came back, by outcome: ``resumed``, or why not.
        drift: Clients that have counted other than the gateway; 0 unless one of the two is at fault.
        ends: Sessions that ended, by reason.
        fanout: Recipients of an event.
        round_trip: Seconds from a ping to its pong.
        loop_lag: Seconds by which the event loop came late.
        gc_pause: Seconds that a collection of garbage took.
    """

    __slots__ = (
        "answers_cut",
        "api_requests",
        "bytes_in",
        "bytes_out",
        "descriptors_exhausted",
        "drift",
        "ends",
        "events_dropped",
        "fanout",
        "gc_pause",
        "handshakes",
        "http",
        "loop_lag",
        "messages_in",
        "messages_out",
        "resumes",
        "round_trip",
        "states",
    )

    def __init__(self) -> None:
        self.messages_in = self.bytes_in = self.messages_out = self.bytes_out = self.events_dropped = 0
        self.answers_cut = 0
        self.api_requests: Counter[tuple[str, str]] = Counter()
        self.handshakes: Counter[str] = Counter()
        self.http: Counter[str] = Counter()
        self.descriptors_exhausted = 0
        self.resumes: Counter[str] = Counter()
        self.drift = 0
        self.states: Counter[str] = Counter()
        self.ends: Counter[str] = Counter()
        self.fanout = Histogram(SIZES)
        self.round_trip = Histogram(SECONDS)
        self.loop_lag = Histogram(SECONDS)
        self.gc_pause = Histogram(SECONDS)
