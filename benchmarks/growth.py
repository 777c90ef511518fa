"""How cost grows: with connections, with the size of a request, with the members of a room, and with rooms.

A table for each question, a row for each step. Beside ours stands a C server that does nothing but frames and system
calls, at the same step in the same round: the kernel's cost grows, too, when its sockets no longer fit into the caches.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any, NamedTuple

from . import curve, generator
from .programs import HERE, limit, linkd, load

_RATE = 20_000  # requests/s of the open loop, over all connections
_PLACES = 4_096  # requests that may be outstanding in the open loop, all connections together
_DELIVERIES = 40_000  # in the fan-out to a room: fewer are too little CPU to be told
_FEWEST_EVENTS = 8
_MEMBERS = 10  # of each of many rooms
_WARMUP = 0.5  # seconds
_FAULTS = ("errors", "missing")  # ends of the names of figures
_SERVICE = HERE / "echo_service.py"
_PATH = "/ws/bench"
_EVENT = '{"type":"bench.event","data":{"text":"' + "x" * 64 + '"}}'  # as long as that of the service

_Figures = dict[str, float]


class _Step(NamedTuple):
    """A point of a curve.

    Attributes:
        clients: Connections.
        size: Of what grows.
        once: Whether it is measured in the first round only: it takes long, and no target reads it.
    """

    clients: int
    size: int
    once: bool = False


class _Question(NamedTuple):
    """A curve.

    Attributes:
        steps: Its points.
        measure: Measures one: seconds and step to figures.
        table: Shows the figures of all steps that were measured.
    """

    steps: Sequence[_Step]
    measure: Callable[[float, _Step], _Figures]
    table: Callable[[Sequence[_Step], Sequence[_Figures]], str]


def arguments(parser: argparse.ArgumentParser) -> None:
    """See __main__.Scenario."""
    parser.add_argument("--rounds", type=int, default=3, help="how often everything is measured")
    parser.add_argument("--seconds", type=float, default=1, help="how long requests are sent at each step")
    parser.add_argument("--most", type=int, default=19_000, help="steps with more connections are left out")
    parser.add_argument(
        "--only", action="append", choices=_QUESTIONS, metavar="NAME", help=f"repeatable: {', '.join(_QUESTIONS)}"
    )


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Walk through all steps ``rounds`` times."""
    curves: dict[str, list[dict[str, Any]]] = {}
    for name in options.only or _QUESTIONS:
        steps = [step for step in _QUESTIONS[name].steps if step.clients <= options.most]
        if steps:
            curves[name] = [{"step": list(step), "rounds": []} for step in steps]
    for number in range(options.rounds):
        for name, points in curves.items():
            for point in points:
                step = _Step(*point["step"])
                if not (number and step.once):
                    point["rounds"].append(_QUESTIONS[name].measure(options.seconds, step))
    return {"rounds": options.rounds, "curves": curves}


def table(results: dict[str, Any]) -> str:
    """See __main__.Scenario."""
    shown = []
    for name, points in results["curves"].items():
        steps = [_Step(*point["step"]) for point in points]
        figures = [_over_rounds(point["rounds"]) for point in points]
        shown.append(_QUESTIONS[name].table(steps, figures))
    return "\n\n".join(shown)


def _over_rounds(rounds: Sequence[_Figures]) -> _Figures:
    """Medians; of what must not happen the sum, in which no round is hidden."""
    return {
        key: sum(one[key] for one in rounds) if key.endswith(_FAULTS) else median(one[key] for one in rounds)
        for key in rounds[0]
    }


# requests


def _requests(seconds: float, step: _Step) -> _Figures:
    closed = {"connections": step.clients, "seconds": seconds, "warmup": _WARMUP}
    paced = closed | {"rate": _RATE, "outstanding": max(4, _PLACES // step.clients)}
    with limit() as peer:
        bare, bare_paced = load("requests", peer, **closed), load("requests", peer, **paced)
    with linkd(_SERVICE, _PATH) as ours:
        measured, measured_paced = load("requests", ours, **closed), load("requests", ours, **paced)
    return _request_figures(measured, bare) | {
        f"paced_{key}": value for key, value in _request_figures(measured_paced, bare_paced).items()
    }


def _sized_requests(seconds: float, step: _Step) -> _Figures:
    options = {"connections": step.clients, "seconds": seconds, "warmup": _WARMUP, "payload": step.size}
    with limit() as peer:
        bare = load("requests", peer, **options)
    with linkd(_SERVICE, _PATH) as ours:
        measured = load("requests", ours, **options)
    return _request_figures(measured, bare)


def _request_figures(measured: dict[str, Any], bare: dict[str, Any]) -> _Figures:
    gateway, service = measured["watched_cpu_us_per_request"]
    return {
        "rate": measured["rate"],
        "p50_ms": measured["latency_us"]["p50"] / 1000,
        "p99_ms": measured["latency_us"]["p99"] / 1000,
        "gateway_us": gateway,
        "service_us": service,
        "both_us": gateway + service,
        "above_us": gateway + service - bare["watched_cpu_us_per_request"][0],
        "limit_rate": bare["rate"],
        "limit_us": bare["watched_cpu_us_per_request"][0],
        "errors": sum(measured[key] for key in ("failed", "errors", "unanswered", "unmatched", "unexpected_closes")),
        **generator.figures(measured, bare),
    }


_COST = (
    curve.Column("gateway µs", "gateway_us"),
    curve.Column("service µs", "service_us"),
    curve.Column("both µs", "both_us", grows=True, drawn=True),
    curve.Column("limit µs", "limit_us", grows=True),
    curve.Column("both - limit µs", "above_us", grows=True),
    curve.Column("errors", "errors"),
)
_LATENCY = (curve.Column("p50 ms", "p50_ms"), curve.Column("p99 ms", "p99_ms"))
_REQUESTS = (curve.Column("requests/s", "rate"), curve.Column("limit/s", "limit_rate"), *_LATENCY, *_COST)


def _paced(columns: Sequence[curve.Column]) -> list[curve.Column]:
    return [column._replace(key=f"paced_{column.key}") for column in columns]


def _connection_table(steps: Sequence[_Step], figures: Sequence[_Figures]) -> str:
    names = [f"{step.size:,}" for step in steps]
    compared = _index(steps, _FIRST_OF_TARGET)
    return "\n".join(
        (
            curve.table("connections, one outstanding each", names, figures, _REQUESTS, compared),
            "",
            curve.table(f"connections, {_RATE:,} requests/s", names, figures, _paced((*_LATENCY, *_COST)), compared),
            "",
            _flatness("CPU of a request", "connections", steps, figures, "both_us", compared),
            _flatness(f"the same at {_RATE:,}/s", "connections", steps, figures, "paced_both_us", compared),
            _flatness("the limit's", "connections", steps, figures, "limit_us", compared),
            generator.proof(figures[:1]),
        )
    )


def _payload_table(steps: Sequence[_Step], figures: Sequence[_Figures]) -> str:
    names = [f"{step.size:,}" for step in steps]
    return curve.table(f"bytes of a request, {_PAYLOAD_CLIENTS} connections", names, figures, _REQUESTS)


def _flatness(
    what: str, unit: str, steps: Sequence[_Step], figures: Sequence[_Figures], key: str, first: int, last: int = -1
) -> str:
    ratio = figures[last][key] / figures[first][key]
    return f"{what} from {steps[first].size:,} to {steps[last].size:,} {unit}: × {ratio:.2f}"


def _index(steps: Sequence[_Step], size: int) -> int:
    return next((number for number, step in enumerate(steps) if step.size == size), 0)


# one room


def _fanout(_: float, step: _Step) -> _Figures:
    options = {
        "members": step.size, "broadcasts": max(_FEWEST_EVENTS, _DELIVERIES // step.size), "interval_ms": 20,
        "event": "bench.event",
    }  # fmt: skip
    with limit(_EVENT) as peer:
        bare = load("fanout", peer, join='{"type":"join"}', publish='{"type":"publish"}', **options)
    with linkd(_SERVICE, _PATH) as ours:
        measured = load("fanout", ours, join='{"type":"bench.join"}', publish='{"type":"bench.publish"}', **options)
    gateway, service = measured["watched_cpu_us_per_delivery"]
    (limit_us,) = bare["watched_cpu_us_per_delivery"]
    return {
        "last_ms": measured["last_ms"]["median"],
        "gateway_us": gateway,
        "service_us": service,
        "limit_last_ms": bare["last_ms"]["median"],
        "limit_us": limit_us,
        "last_ratio": measured["last_ms"]["median"] / bare["last_ms"]["median"],
        "ratio": gateway / limit_us,
        "missing": measured["missing"] + measured["join_errors"] + measured["failed"],
    }


_FANOUT = (
    curve.Column("last ms", "last_ms"),
    curve.Column("limit ms", "limit_last_ms"),
    curve.Column("ours/limit", "last_ratio"),
    curve.Column("gateway µs each", "gateway_us", grows=True, drawn=True),
    curve.Column("service µs each", "service_us"),
    curve.Column("limit µs each", "limit_us", grows=True),
    curve.Column("gateway/limit", "ratio"),
    curve.Column("missing", "missing"),
)


def _fanout_table(steps: Sequence[_Step], figures: Sequence[_Figures]) -> str:
    return curve.table("members of one room", [f"{step.size:,}" for step in steps], figures, _FANOUT)


# many rooms


def _publish(seconds: float, step: _Step) -> _Figures:
    with linkd(HERE / "rooms_service.py", "/ws/rooms") as ours:
        measured = load(
            "rooms", ours, connections=step.clients, rooms=step.size, room_members=_MEMBERS, seconds=seconds,
            warmup=_WARMUP,
        )  # fmt: skip
    gateway, service = measured["watched_cpu_us_per_delivery"]
    return {
        "rate": measured["rate"],
        "gateway_us": gateway,
        "service_us": service,
        "both_us": gateway + service,
        "missing": measured["missing"],
        "errors": sum(
            measured[key] for key in ("failed", "join_errors", "publish_errors", "unanswered", "surplus", "misdirected")
        ),
    }


_ROOMS = (
    curve.Column("publishes/s", "rate"),
    curve.Column("gateway µs a delivery", "gateway_us", grows=True, drawn=True),
    curve.Column("service µs", "service_us"),
    curve.Column("both µs", "both_us", grows=True),
    curve.Column("missing", "missing"),
    curve.Column("errors", "errors"),
)


def _rooms_table(steps: Sequence[_Step], figures: Sequence[_Figures]) -> str:
    shown = []
    for clients in dict.fromkeys(step.clients for step in steps):
        chosen = [number for number, step in enumerate(steps) if step.clients == clients]
        names = [f"{steps[number].size:,}" for number in chosen]
        title = f"rooms of {_MEMBERS}, {clients:,} connections"
        shown.append(curve.table(title, names, [figures[number] for number in chosen], _ROOMS))
    return "\n\n".join(shown)


_FIRST_OF_TARGET = 100  # connections
_PAYLOAD_CLIENTS = 64

_QUESTIONS: dict[str, _Question] = {
    "connections": _Question(
        [_Step(count, count) for count in (64, 100, 1_000, 5_000, 10_000)], _requests, _connection_table
    ),
    "payload": _Question(
        [_Step(_PAYLOAD_CLIENTS, size) for size in (128, 1_024, 16_384)], _sized_requests, _payload_table
    ),
    "fan-out": _Question(
        [*(_Step(members, members) for members in (100, 1_000, 5_000, 10_000)), _Step(19_000, 19_000, once=True)],
        _fanout,
        _fanout_table,
    ),
    # The same 100 sockets in every step, so that only the rooms grow; and what as many sockets as members cost.
    "rooms": _Question(
        [
            *(_Step(100, count) for count in (10, 100, 1_000, 10_000)),
            *(_Step(10_000, count, once=True) for count in (1_000, 10_000)),
        ],
        _publish,
        _rooms_table,
    ),
}
