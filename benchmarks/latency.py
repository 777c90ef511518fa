"""Latency at half of the highest rate, and the pauses of the garbage collector under 10,000 connections.

The highest rate is found in the same round by a closed loop over 64 connections; the C server is measured at the same
rate as ours. Latency counts from the moment at which a request was to be sent, whether the generator was late or not.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from . import generator, tables
from .programs import HERE, Server, holding, limit, linkd, load, metrics, write_tokens

_BUSY = 64  # connections
_CONNECTIONS = (_BUSY, 1_000)
_PLACES = 4_096  # requests that may be outstanding in the open loop, all connections together
_PAUSE = "linkd_gc_pause_seconds"
_SOURCE = "127.0.0.2"  # of the connections that are held
_SETTLE = 2.0  # seconds; the joins that the last handshakes caused come to an end


def arguments(parser: argparse.ArgumentParser) -> None:
    """See __main__.Scenario."""
    parser.add_argument("--rounds", type=int, default=3, help="how often latency is measured")
    parser.add_argument("--seconds", type=float, default=2, help="how long requests are sent each time")
    parser.add_argument("--held", type=int, default=10_000, help="connections that are held while pauses are counted")
    parser.add_argument("--pauses", type=float, default=10, help="seconds over which they are counted; 0: not at all")


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Pauses first, since they need nothing of the rest; then latency, interleaved with the limit."""
    pauses = _pauses(options.held, options.pauses) if options.pauses else None
    return {"pauses": pauses, "rounds": [_round(options.seconds) for _ in range(options.rounds)]}


# latency


def _round(seconds: float) -> dict[str, Any]:
    with linkd(HERE / "echo_service.py", "/ws/bench") as ours:
        fastest = load("requests", ours, connections=_BUSY, seconds=seconds, warmup=1)
        rate = round(fastest["rate"] / 2)
        measured = {count: _paced(ours, count, rate, seconds) for count in _CONNECTIONS}
    with limit() as peer:
        bare_fastest = load("requests", peer, connections=_BUSY, seconds=seconds, warmup=0.5)
        bare = {count: _paced(peer, count, rate, seconds) for count in _CONNECTIONS}
    return {
        "most": fastest["rate"],
        "rate": rate,
        **generator.figures(fastest, bare_fastest),
        "ways": {
            name: one for count in _CONNECTIONS for name, one in (
                (f"Linkd, {count:,} connections", measured[count]), (f"bare C echo, {count:,}", bare[count]),
            )
        },
    }  # fmt: skip


def _paced(server: Server, connections: int, rate: int, seconds: float) -> dict[str, float]:
    measured = load(
        "requests", server, connections=connections, rate=rate, outstanding=max(4, _PLACES // connections),
        seconds=seconds, warmup=0.5,
    )  # fmt: skip
    latency, lag = measured["latency_us"], measured["send_lag_us"]
    return {
        "rate": measured["rate"],
        "p50_ms": latency["p50"] / 1000,
        "p99_ms": latency["p99"] / 1000,
        "max_ms": latency["max"] / 1000,
        "lag_p50_ms": lag["p50"] / 1000,
        "lag_p99_ms": lag["p99"] / 1000,
        "cpu_us": sum(measured["watched_cpu_us_per_request"]),
        "errors": sum(measured[key] for key in ("failed", "errors", "unanswered", "unmatched")),
    }


# pauses


def _pauses(held: int, seconds: float) -> dict[str, Any]:
    with (
        TemporaryDirectory(prefix="linkd-bench-") as folder,
        linkd(HERE / "crowd_service.py", "/ws/crowd") as ours,
    ):
        tokens = Path(folder) / "tokens"
        write_tokens(tokens, held)
        before = metrics(ours)
        before[f"{_PAUSE}_max"]  # a gateway that does not tell fails here, and not after everything was measured
        with holding(ours, held, tokens=tokens, source=_SOURCE):
            time.sleep(_SETTLE)
            opened = metrics(ours)
            measured = load("requests", ours, connections=_BUSY, seconds=seconds, warmup=0, type="crowd.echo")
            after = metrics(ours)
    return {
        "held": held,
        "seconds": seconds,
        "rate": measured["rate"],
        "p99_ms": measured["latency_us"]["p99"] / 1000,
        "max_ms": measured["latency_us"]["max"] / 1000,
        "phases": {
            f"while {held:,} connect and join": _collections(before, opened),
            f"while {_BUSY} others ask": _collections(opened, after),
        },
    }


def _collections(before: dict[str, float], after: dict[str, float]) -> dict[str, float]:
    """What the collector did between two looks at the metrics; pauses in milliseconds."""
    count = after[f"{_PAUSE}_count"] - before[f"{_PAUSE}_count"]
    bounds = {
        float(name.partition('le="')[2].rstrip('"}')): after[name] - before[name]
        for name in after
        if name.startswith(f"{_PAUSE}_bucket")
    }
    return {
        "collections": count,
        "sum_ms": 1000 * (after[f"{_PAUSE}_sum"] - before[f"{_PAUSE}_sum"]),
        "within_ms": 1000 * min(bound for bound, shorter in bounds.items() if shorter >= count) if count else 0.0,
        "longest_ms": 1000 * after[f"{_PAUSE}_max"],
    }


# what is shown


def table(results: dict[str, Any]) -> str:
    """See __main__.Scenario."""
    rounds = results["rounds"]
    rows = []
    for way in rounds[0]["ways"]:
        figures = {key: [one["ways"][way][key] for one in rounds] for key in rounds[0]["ways"][way]}
        rows.append(
            [
                way,
                *(median(figures[key]) for key in ("rate", "p50_ms", "p99_ms")),
                *(max(figures[key]) for key in ("p99_ms", "max_ms")),
                *(median(figures[key]) for key in ("lag_p50_ms", "lag_p99_ms", "cpu_us")),
                sum(figures["errors"]),
            ]
        )
    most, rate = (median(one[key] for one in rounds) for key in ("most", "rate"))
    head = ["half of the highest rate", "requests/s", "p50 ms", "p99 ms", "largest", "max ms"]
    head += ["lag p50", "lag p99", "CPU µs", "errors"]
    text = "\n".join(
        (
            f"highest rate over {_BUSY} connections: {most:,.0f} requests/s; half of it: {rate:,.0f}",
            generator.proof(rounds),
            "",
            tables.lines(head, rows),
        )
    )
    return text if results["pauses"] is None else f"{text}\n\n{_pause_table(results['pauses'])}"


def _pause_table(pauses: dict[str, Any]) -> str:
    keys = ("collections", "sum_ms", "within_ms", "longest_ms")
    rows = [[name, *(phase[key] for key in keys)] for name, phase in pauses["phases"].items()]
    head = ("garbage collector of the gateway", "collections", "ms in all", "each within ms", "longest since start ms")
    return (
        f"{tables.lines(head, rows)}\n{pauses['rate']:,.0f} requests/s over {_BUSY} connections beside "
        f"{pauses['held']:,} for {pauses['seconds']:g} s: p99 {pauses['p99_ms']:.2f} ms, max {pauses['max_ms']:.2f} ms"
    )
