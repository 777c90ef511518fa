"""Up to 19,000 idle connections in one gateway: handshakes/s, memory of each, CPU of the heartbeat.

Each connection signs in with a token of its own and is in one room.
"""

from __future__ import annotations

import argparse
import contextlib
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from . import tables
from .programs import HERE, Server, holding, linkd, write_tokens
from .usage import Watch, own_kib, resident_kib

_STEPS = (1_000, 5_000, 10_000, 19_000)
_PER_PROCESS = 5_000  # connections that one load generator holds
_SETTLE = 2.0  # seconds; the joins that the last handshakes caused come to an end


def arguments(parser: argparse.ArgumentParser) -> None:
    """See __main__.Scenario."""
    parser.add_argument("--seconds", type=float, default=45, help="how long each step idles; a ping comes every 30")
    parser.add_argument("--most", type=int, default=_STEPS[-1], help="steps above it are left out")


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Open more and more connections to one gateway, and let it idle at each step."""
    steps = [step for step in _STEPS if step <= options.most]
    with (
        TemporaryDirectory(prefix="linkd-bench-") as folder,
        linkd(HERE / "crowd_service.py", "/ws/crowd") as ours,
        contextlib.ExitStack() as holders,
    ):
        tokens = Path(folder) / "tokens"
        write_tokens(tokens, steps[-1])
        empty = _memory(ours)
        opened = 0
        results: list[dict[str, Any]] = []
        for step in steps:
            rates = []
            while opened < step:
                part = min(_PER_PROCESS, step - opened)
                source = f"127.0.0.{2 + len(results)}"
                rates.append(holders.enter_context(holding(ours, part, tokens=tokens, source=source)))
                opened += part
            time.sleep(_SETTLE)
            memory = _memory(ours)
            with Watch(ours.pids) as watch:
                time.sleep(options.seconds)
            results.append(
                {
                    "connections": opened,
                    "handshakes_per_second": sum(one["opened"] for one in rates) / sum(one["seconds"] for one in rates),
                    "handshake_us": _weighted(rates, 0),
                    "rss_kib_each": (memory["rss"] - empty["rss"]) / opened,
                    "uss_kib_each": (memory["uss"] - empty["uss"]) / opened,
                    "uss_kib": memory["uss"],
                    "service_kib_each": (memory["service"] - empty["service"]) / opened,
                    "idle_cpu": watch.cpu["gateway"],
                    "idle_service_cpu": watch.cpu["service"],
                }
            )
    return {"seconds": options.seconds, "empty": empty, "steps": results}


def _weighted(rates: list[dict[str, Any]], watched: int) -> float:
    spent = sum(one["watched_cpu_us_per_handshake"][watched] * one["opened"] for one in rates)
    return float(spent / sum(one["opened"] for one in rates))


def _memory(server: Server) -> dict[str, int]:
    gateway = server.pids["gateway"]
    return {"rss": resident_kib(gateway), "uss": own_kib(gateway), "service": own_kib(server.pids["service"])}


def table(results: dict[str, Any]) -> str:
    """See __main__.Scenario."""
    keys = (
        "connections", "handshakes_per_second", "handshake_us", "rss_kib_each", "uss_kib_each", "service_kib_each",
    )  # fmt: skip
    head = ("connections", "handshakes/s", "gateway µs each", "RSS KiB each", "USS KiB each", "service KiB each")
    steps = results["steps"]
    rows = [[*(step[key] for key in keys), 100 * step["idle_cpu"], 100 * step["idle_service_cpu"]] for step in steps]
    text = tables.lines([*head, "idle gateway %", "idle service %"], rows)
    if len(steps) > 1:
        first, last = steps[0], steps[-1]
        more = last["connections"] - first["connections"]
        text += (
            f"\nslope from {first['connections']:,} to {last['connections']:,}: "
            f"{(last['uss_kib'] - first['uss_kib']) / more:.2f} KiB USS and "
            f"{1e6 * (last['idle_cpu'] - first['idle_cpu']) / more:.2f} µs of idle CPU a second for each connection"
        )
    return text
