"""What Linkd is measured by, and whether a run of all scenarios reached it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import Any, NamedTuple

_Figures = Mapping[str, Any]


class Target(NamedTuple):
    """One figure that is aimed at.

    Attributes:
        question: What is asked.
        wanted: The bound.
        most: Whether the bound is the largest that will do; else the smallest.
        unit: What the figure is counted in.
        read: Finds the figure in those of all scenarios.
    """

    question: str
    wanted: float
    most: bool
    unit: str
    read: Callable[[_Figures], float]


def _live(name: str, *keys: str) -> Callable[[_Figures], float]:
    return lambda figures: float(median(sum(one[key] for key in keys) for one in figures["live"][name]))


def _against(peer: str, question: str) -> Callable[[_Figures], float]:
    def read(figures: _Figures) -> float:
        servers = figures["peers"]["questions"][question]
        rounds = zip(servers["Linkd"], servers[peer], strict=True)
        return float(median(ours["rate"] / its["rate"] for ours, its in rounds))

    return read


def _guarded(figures: _Figures) -> float:
    return float(median(one["gateway_us"] + one["service_us"] for one in figures["guard"]["requests"]["on"]))


def _latency(key: str) -> Callable[[_Figures], float]:
    return lambda figures: max(
        median(one["ways"][way][key] for one in figures["latency"]["rounds"])
        for way in figures["latency"]["rounds"][0]["ways"]
        if way.startswith("Linkd")
    )


def _pause(figures: _Figures) -> float:
    return max(float(phase["within_ms"]) for phase in figures["latency"]["pauses"]["phases"].values())


def _grown(curve: str, clients: int | None, size: int, key: str) -> Callable[[_Figures], float]:
    def read(figures: _Figures) -> float:
        for point in figures["growth"]["curves"][curve]:
            if point["step"][1] == size and clients in (None, point["step"][0]):
                return float(median(one[key] for one in point["rounds"]))
        raise KeyError(f"{curve} has no step {size}")

    return read


def _ratio(one: Callable[[_Figures], float], other: Callable[[_Figures], float]) -> Callable[[_Figures], float]:
    return lambda figures: one(figures) / other(figures)


def _burst(figures: _Figures) -> float:
    rates = {
        way: median(one["deliveries_per_second"] for one in rounds) for way, rounds in figures["burst"]["ways"].items()
    }
    return float(rates["one turn"] / rates["bare send(2)"])


def _largest(key: str) -> Callable[[_Figures], float]:
    return lambda figures: max(float(step[key]) for step in figures["connections"]["steps"])


def _handshakes(use: str) -> Callable[[_Figures], float]:
    return lambda figures: float(median(one[use] for one in figures["guard"]["handshakes"]))


_64, _64_4, _1000 = (
    f"requests, {count} outstanding" for count in ("64 connections, 1", "64 connections, 4", "1000 connections, 1")
)
_64_PEERS, _1000_PEERS = "requests, 64 connections", "requests, 1,000 connections"

TARGETS = (
    Target("acknowledged requests at 64 connections, one outstanding each", 60_000, False, "/s", _live(_64, "rate")),
    Target("against python-socketio", 3.5, False, "×", _against("python-socketio", _64_PEERS)),
    Target("against Socket.IO on Node", 0.9, False, "×", _against("socket.io", _64_PEERS)),
    Target("four outstanding each", 80_000, False, "/s", _live(_64_4, "rate")),
    Target("at 1,000 connections, one outstanding each", 45_000, False, "/s", _live(_1000, "rate")),
    Target("against python-socketio", 7, False, "×", _against("python-socketio", _1000_PEERS)),
    Target("against Socket.IO on Node", 1, False, "×", _against("socket.io", _1000_PEERS)),
    Target("CPU of a request, both processes, guard on, 64 connections", 20, True, "µs", _guarded),
    Target("the same, 1,000 connections", 26, True, "µs", _live(_1000, "gateway_us", "service_us")),
    Target("latency at half of the highest rate, p50", 1, True, "ms", _latency("p50_ms")),
    Target("the same, p99", 5, True, "ms", _latency("p99_ms")),
    Target("pause of the collector at 10,000 connections (upper bound)", 10, True, "ms", _pause),
    Target("event to 10,000 members, to the last", 70, True, "ms", _grown("fan-out", None, 10_000, "last_ms")),
    Target("CPU of its delivery against bare send(2)", 1.15, True, "×", _grown("fan-out", None, 10_000, "ratio")),
    Target("20 events in a turn to 2,000, rate against bare send(2)", 5, False, "×", _burst),
    Target("memory of an idle session", 10_000 / 1024, True, "KiB", _largest("uss_kib_each")),
    Target("idle CPU at 19,000 connections", 0.015, True, "of a core", _largest("idle_cpu")),
    Target("handshakes with ES256 tokens, seen before", 4_000, False, "/s", _handshakes("again")),
    Target("the same, first use", 2_000, False, "/s", _handshakes("first")),
    Target(
        "CPU of a request, 10,000 against 100 connections", 1.15, True, "×",
        _ratio(_grown("connections", None, 10_000, "both_us"), _grown("connections", None, 100, "both_us")),
    ),
    Target(
        "CPU of a delivery, 10,000 against 10 rooms", 1.15, True, "×",
        _ratio(_grown("rooms", 100, 10_000, "gateway_us"), _grown("rooms", 100, 10, "gateway_us")),
    ),
)  # fmt: skip


def table(figures: _Figures) -> str:
    """Every target, what was measured, and whether it is met; Markdown."""
    rows: Sequence[str] = [_row(target, target.read(figures)) for target in TARGETS]
    return "\n".join(("| question | target | measured | met |", "|---|---|---|---|", *rows))


def _row(target: Target, value: float) -> str:
    met = value <= target.wanted if target.most else value >= target.wanted
    bound = "≤" if target.most else "≥"
    return (
        f"| {target.question} | {bound} {_shown(target.wanted)} {target.unit} | {_shown(value)} {target.unit} "
        f"| {'yes' if met else '**no**'} |"
    )


def _shown(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
