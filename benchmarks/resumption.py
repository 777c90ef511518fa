"""What it costs that sessions can be resumed: requests, fan-out, memory, and ten thousand that come back at once.

Every client of one half can, and acknowledges; none of the other half. Both halves are measured in turn in one run,
each with a gateway of its own, since the machine's speed changes over minutes.
"""

from __future__ import annotations

import argparse
from statistics import median
from typing import Any

from . import tables
from .comeback import come_back
from .programs import HERE, holding, linkd, load
from .usage import resident_kib

_SERVICE = HERE / "echo_service.py"
_PATH = "/ws/bench"
_OFF, _ON = "linkd", "resumable"  # dialects of the load generator
_HEADER = "Sec-WebSocket-Protocol: linkd.v1+json, linkd.resume"
_MEMBERS = 5000
_BROADCASTS = 100
_IDLE = 10_000
_COME_BACK = 10_000


def arguments(parser: argparse.ArgumentParser) -> None:
    """See __main__.Scenario."""
    parser.add_argument("--rounds", type=int, default=3, help="how often everything is measured")
    parser.add_argument("--seconds", type=int, default=5, help="how long requests are sent in each round")
    parser.add_argument("--sessions", type=int, default=_COME_BACK, help="how many are cut at once, and come back")


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Requests and fan-out ``rounds`` times each way, in turn; then memory, and the sessions that come back."""
    results: dict[str, Any] = {"costs": []}
    for connections in (64, 1000):
        results["costs"].append(_compare(f"request, {connections} connections", options, connections))
    results["costs"].append(_compare(f"delivery, room of {_MEMBERS}", options, None))
    results["idle"] = {dialect: _idle(dialect) for dialect in (_OFF, _ON)}
    results["come back"] = come_back(options.sessions)
    results["passed"] = not (results["come back"]["faults"] or any(cost["faults"] for cost in results["costs"]))
    return results


def _compare(name: str, options: argparse.Namespace, connections: int | None) -> dict[str, Any]:
    measured: dict[str, list[dict[str, float]]] = {_OFF: [], _ON: []}
    for _ in range(options.rounds):
        for dialect, rounds in measured.items():
            rounds.append(_fanout(dialect) if connections is None else _requests(dialect, connections, options.seconds))
    # The least of several rounds: what disturbs only adds.
    least = {dialect: min(one["us"] for one in rounds) for dialect, rounds in measured.items()}
    rate = {dialect: median(one["rate"] for one in rounds) for dialect, rounds in measured.items()}
    return {
        "name": name,
        "off_us": least[_OFF],
        "on_us": least[_ON],
        "ratio": least[_ON] / least[_OFF],
        "off_rate": rate[_OFF],
        "on_rate": rate[_ON],
        "faults": sum(one["faults"] for rounds in measured.values() for one in rounds),
    }


def _requests(dialect: str, connections: int, seconds: int) -> dict[str, float]:
    with linkd(_SERVICE, _PATH) as ours:
        found = load("requests", ours, connections=connections, seconds=seconds, warmup=1, dialect=dialect)
    faults = found["errors"] + found["unanswered"] + found["unexpected_closes"]
    return {"us": found["watched_cpu_us_per_request"][0], "rate": found["rate"], "faults": faults}


def _fanout(dialect: str) -> dict[str, float]:
    with linkd(_SERVICE, _PATH) as ours:
        found = load(
            "fanout", ours, members=_MEMBERS, broadcasts=_BROADCASTS, interval_ms=20, event="bench.event",
            join='{"type":"bench.join"}', publish='{"type":"bench.publish"}', dialect=dialect,
        )  # fmt: skip
    faults = found["missing"] + found["incomplete_rounds"]
    return {
        "us": found["watched_cpu_us_per_delivery"][0],
        "rate": found["deliveries_per_second"],
        "faults": faults,
    }


def _idle(dialect: str) -> float:
    """KiB of the gateway for each idle connection."""
    options = {"header": _HEADER} if dialect == _ON else {}
    with linkd(_SERVICE, _PATH) as ours:
        before = resident_kib(ours.pids["gateway"])
        with holding(ours, _IDLE, **options) as report:
            return (resident_kib(ours.pids["gateway"]) - before) / int(report["opened"])


def table(results: dict[str, Any]) -> str:
    """CPU of the gateway off and on, memory, and how the sessions came back."""
    head = ["gateway's CPU, µs", "off", "on", "on / off", "off /s", "on /s", "faults"]
    rows = [
        [cost["name"], cost["off_us"], cost["on_us"], cost["ratio"], cost["off_rate"], cost["on_rate"], cost["faults"]]
        for cost in results["costs"]
    ]
    idle_kib, back = results["idle"], results["come back"]
    return "\n".join(
        [
            tables.lines(head, rows),
            f"\nidle connection, KiB of the gateway: {idle_kib[_OFF]:.2f} off, {idle_kib[_ON]:.2f} on",
            f"{back['sessions']:,} sessions cut at once: {back['resumed']:,} resumed, the last after "
            f"{back['seconds']:.1f} s; {back['events']:,} events and {back['requests']:,} requests meanwhile, "
            f"{back['faults']} clients with something lost or doubled; gateway {back['before_mib']:.0f} MiB before, "
            f"{back['peak_mib']:.0f} MiB at most; charged {back['kept_bytes']:.1f} bytes for each kept event",
        ]
    )
