"""The live path: acknowledged requests, fan-out to a room, and what an idle connection costs.

Every figure of ours stands beside that of a C server without framework on the same machine in the same run, since
the machine's speed changes over minutes.
"""

from __future__ import annotations

import argparse
import json
import subprocess
from statistics import median
from typing import Any

from . import generator
from .programs import HERE, Server, limit, linkd, load, load_command
from .usage import resident_kib

_SERVICE = HERE / "echo_service.py"
_PATH = "/ws/bench"


def arguments(parser: argparse.ArgumentParser) -> None:
    """See __main__.Scenario."""
    parser.add_argument("--rounds", type=int, default=3, help="how often everything is measured")
    parser.add_argument("--seconds", type=int, default=4, help="how long requests are sent in each round")


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measure everything ``rounds`` times, interleaved with the limit; requests for ``seconds`` each."""
    rounds, seconds = options.rounds, options.seconds
    results: dict[str, Any] = {"rounds": rounds}
    for connections, outstanding in ((64, 1), (64, 4), (1000, 1)):
        name = f"requests, {connections} connections, {outstanding} outstanding"
        results[name] = [_requests(connections, outstanding, seconds) for _ in range(rounds)]
    for members in (1000, 5000):
        results[f"fan-out to {members}"] = [_fanout(members) for _ in range(rounds)]
    results["idle, 10000 connections"] = _idle(10_000)
    return results


def _requests(connections: int, outstanding: int, seconds: int) -> dict[str, Any]:
    options = {"connections": connections, "outstanding": outstanding, "seconds": seconds, "warmup": 1}
    with limit() as peer:
        bare = load("requests", peer, **options)
    with linkd(_SERVICE, _PATH) as ours:
        measured = load("requests", ours, **options)
    gateway, service = measured["watched_cpu_us_per_request"]
    return {
        "rate": measured["rate"],
        "limit_rate": bare["rate"],
        "gateway_us": gateway,
        "service_us": service,
        "limit_us": bare["watched_cpu_us_per_request"][0],
        "p50_ms": measured["latency_us"]["p50"] / 1000,
        "p99_ms": measured["latency_us"]["p99"] / 1000,
        "errors": measured["errors"] + measured["unanswered"],
        **generator.figures(measured, bare),
    }


def _fanout(members: int) -> dict[str, Any]:
    options = {"members": members, "broadcasts": 20, "interval_ms": 50, "event": "bench.event"}
    with limit() as peer:
        bare = load("fanout", peer, join='{"type":"join","id":1}', publish='{"type":"publish"}', **options)
    with linkd(_SERVICE, _PATH) as ours:
        measured = load(
            "fanout", ours, join='{"type":"bench.join","id":1}', publish='{"type":"bench.publish"}', **options
        )
    gateway, service = measured["watched_cpu_us_per_delivery"]
    return {
        "last_ms": measured["last_ms"]["median"],
        "limit_last_ms": bare["last_ms"]["median"],
        "gateway_us": gateway,
        "service_us": service,
        "limit_us": bare["watched_cpu_us_per_delivery"][0],
        "errors": measured["missing"],
    }


def _idle(connections: int) -> dict[str, Any]:
    with linkd(_SERVICE, _PATH) as ours:
        before = _memory(ours)
        command = load_command("idle", ours, {"connections": connections, "hold": True})
        holder = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert holder.stdout is not None
        try:
            opened = json.loads(holder.stdout.readline())
            after = _memory(ours)
        finally:
            holder.communicate(timeout=30)
    return {
        "opened": opened["opened"],
        "handshakes_per_second": opened["handshakes_per_second"],
        **{f"{role}_kib_each": (after[role] - before[role]) / opened["opened"] for role in before},
    }


def _memory(server: Server) -> dict[str, int]:
    return {role: resident_kib(pid) for role, pid in server.pids.items()}


def table(results: dict[str, Any]) -> str:
    """The figures for people: medians, and the spread of what matters most."""
    lines = []
    for name, rounds in results.items():
        if isinstance(rounds, list):
            figures = {key: [measured[key] for measured in rounds] for key in rounds[0]}
            shown = "  ".join(
                f"{key} {median(values):,.1f}" + (f" ({min(values):,.0f}–{max(values):,.0f})" if key == "rate" else "")
                for key, values in figures.items()
                if not key.startswith(generator.PREFIX)
            )
            lines.append(f"{name}\n    {shown}")
            if name.startswith("requests"):
                lines.append(f"    {generator.proof(rounds)}")
        elif isinstance(rounds, dict):
            lines.append(f"{name}\n    " + "  ".join(f"{key} {value:,.1f}" for key, value in rounds.items()))
    return "\n".join(lines)
