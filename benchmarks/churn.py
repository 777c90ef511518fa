"""Coming and going: clients that join and leave rooms all the time, and a storm of clients that stay for a moment.

In the end the service is asked who is in each room, and the gateway how many sessions it has: nobody may be lost, and
nobody left behind.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from . import tables
from .programs import HERE, Server, linkd, load, metrics, write_tokens

_AT_ONCE = 64  # clients of the storm
_SETTLE = 5.0  # seconds in which the last sessions have to be gone


def arguments(parser: argparse.ArgumentParser) -> None:
    """See __main__.Scenario."""
    parser.add_argument("--rounds", type=int, default=3, help="how often everything is measured")
    parser.add_argument("--connections", type=int, default=1_000, help="that join and leave")
    parser.add_argument("--rooms", type=int, default=100, help="between which they move")
    parser.add_argument("--seconds", type=float, default=3, help="how long they do in each round")
    parser.add_argument("--storm", type=int, default=10_000, help="clients that come and go in each round")


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Both, ``rounds`` times."""
    with TemporaryDirectory(prefix="linkd-bench-") as folder:
        tokens = Path(folder) / "tokens"
        write_tokens(tokens, max(options.connections + 1, options.storm))
        rounds = [{"rooms": _moving(options, tokens), "storm": _storm(options, tokens)} for _ in range(options.rounds)]
    return {"connections": options.connections, "rooms": options.rooms, "storm": options.storm, "rounds": rounds}


def _moving(options: argparse.Namespace, tokens: Path) -> dict[str, float]:
    with linkd(HERE / "rooms_service.py", "/ws/rooms") as ours:
        measured = load(
            "churn", ours, connections=options.connections, rooms=options.rooms, seconds=options.seconds, warmup=0.5,
            tokens=tokens,
        )  # fmt: skip
        left = _sessions_left(ours, "rooms")
    gateway, service = measured["watched_cpu_us_per_change"]
    return {
        "rate": measured["rate"],
        "gateway_us": gateway,
        "service_us": service,
        "p50_ms": measured["latency_us"]["p50"] / 1000,
        "p99_ms": measured["latency_us"]["p99"] / 1000,
        "inside": measured["inside"],
        "rooms_not_told": measured["rooms"] - measured["rooms_told"],
        "lost": measured["lost"],
        "strangers": measured["strangers"],
        "failures": sum(measured[key] for key in ("failed", "errors", "unanswered", "unexpected_closes")),
        "left": left,
    }


def _storm(options: argparse.Namespace, tokens: Path) -> dict[str, float]:
    with linkd(HERE / "crowd_service.py", "/ws/crowd") as ours:
        measured = load("storm", ours, connections=options.storm, concurrency=_AT_ONCE, tokens=tokens)
        left = _sessions_left(ours, "crowd")
    gateway, service = measured["watched_cpu_us_per_handshake"]
    return {
        "rate": measured["rate"],
        "gateway_us": gateway,
        "service_us": service,
        "p50_ms": measured["handshake_us"]["p50"] / 1000,
        "p99_ms": measured["handshake_us"]["p99"] / 1000,
        "failures": sum(measured[key] for key in ("failed", "unexpected_closes", "unclean_closes", "protocol_errors")),
        "left": left,
    }


def _sessions_left(server: Server, service: str) -> float:
    """Sessions that are still there when all clients have gone, and rooms that still have a member."""
    until = time.monotonic() + _SETTLE
    while True:
        now = metrics(server)
        left = now[f'linkd_sessions{{service="{service}"}}'] + now["linkd_rooms"]
        if not left or time.monotonic() > until:
            return left
        time.sleep(0.1)


def table(results: dict[str, Any]) -> str:
    """See __main__.Scenario."""
    rounds = results["rounds"]

    def row(name: str, kind: str, sums: tuple[str, ...]) -> list[object]:
        keys = ("rate", "gateway_us", "service_us", "p50_ms", "p99_ms")
        return [
            name,
            *(median(one[kind][key] for one in rounds) for key in keys),
            *(int(sum(one[kind][key] for one in rounds)) for key in sums),
        ]

    head = ("a second", "gateway µs each", "service µs each", "p50 ms", "p99 ms")
    checks = ("inside", "lost", "strangers", "rooms_not_told", "failures", "left")
    movers = f"{results['connections']:,} clients, {results['rooms']:,} rooms"
    visitors = f"{results['storm']:,} clients, {_AT_ONCE} at once"
    return "\n\n".join(
        (
            tables.lines(
                [movers, *head, "inside", "lost", "strangers", "not told", "failures", "left behind"],
                [row("joins and leaves", "rooms", checks)],
            ),
            tables.lines(
                [visitors, *head, "failures", "left behind"],
                [row("handshakes and closes", "storm", ("failures", "left"))],
            ),
        )
    )
