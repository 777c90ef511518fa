"""Twenty broadcasts in one turn to a room of 2,000, against twenty turns and against one bare send(2) each.

The limit is a server in C that sends the same bytes to as many sockets with one send(2) a delivery, in the same run.
"""

from __future__ import annotations

import argparse
from statistics import median
from typing import Any

from . import tables
from .programs import HERE, limit, linkd, load

_EVENTS = 20
_MEMBERS = 2000
_EVENT = '{"type":"bench.event","data":{"text":"' + "x" * 64 + '"}}'
_JOIN = '{"type":"bench.join","data":null}'


def arguments(parser: argparse.ArgumentParser) -> None:
    """See __main__.Scenario."""
    parser.add_argument("--rounds", type=int, default=3, help="how often everything is measured")
    parser.add_argument("--bursts", type=int, default=10, help="bursts in each round")
    parser.add_argument("--members", type=int, default=_MEMBERS, help="members of the room")


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measure all ways in turn, ``rounds`` times."""
    ways: dict[str, list[dict[str, Any]]] = {"one turn": [], "separate turns": [], "bare send(2)": []}
    for _ in range(options.rounds):
        ways["one turn"].append(_linkd(options, together=True))
        ways["separate turns"].append(_linkd(options, together=False))
        ways["bare send(2)"].append(_bare(options))
    return {"events": _EVENTS, "members": options.members, "rounds": options.rounds, "ways": ways}


def _linkd(options: argparse.Namespace, *, together: bool) -> dict[str, Any]:
    publish = f'{{"type":"bench.burst","data":{{"count":{_EVENTS},"together":{str(together).lower()}}}}}'
    with linkd(HERE / "echo_service.py", "/ws/bench") as ours:
        measured = load(
            "fanout", ours, members=options.members, broadcasts=options.bursts, burst=_EVENTS, publishes=1,
            interval_ms=100, event="bench.event", join=_JOIN, publish=publish,
        )  # fmt: skip
    return _figures(measured, _EVENTS)


def _bare(options: argparse.Namespace) -> dict[str, Any]:
    # Each publish alone: the server puts what is published together into one send.
    with limit(_EVENT) as peer:
        measured = load(
            "fanout", peer, members=options.members, broadcasts=options.bursts * _EVENTS, interval_ms=2,
            event="bench.event", join='{"type":"join"}', publish='{"type":"publish"}',
        )  # fmt: skip
    return _figures(measured, 1)


def _figures(measured: dict[str, Any], events: int) -> dict[str, Any]:
    members = measured["members"]
    return {
        "deliveries_per_second": members * events / (measured["last_ms"]["median"] / 1000),
        "cpu_us": measured["watched_cpu_us_per_delivery"][0],
        "client_us": measured["cpu_us_per_delivery"],
        "last_ms": measured["last_ms"]["median"],
        "missing": measured["missing"],
    }


def table(results: dict[str, Any]) -> str:
    """See __main__.Scenario."""
    ways = results["ways"]
    keys = ("deliveries_per_second", "cpu_us", "client_us", "last_ms", "missing")
    middle = {way: {key: median(one[key] for one in rounds) for key in keys} for way, rounds in ways.items()}
    rows = [[way, *(float(figures[key]) for key in keys)] for way, figures in middle.items()]
    one = middle.pop("one turn")
    head = [f"{results['events']} events to {results['members']}", "deliveries/s", "server µs each"]
    shown = [tables.lines([*head, "client µs each", "last ms", "missing"], rows)]
    for way, other in middle.items():
        faster = one["deliveries_per_second"] / other["deliveries_per_second"]
        cheaper = other["cpu_us"] / one["cpu_us"]
        shown.append(f"one turn against {way}: {faster:.1f} times the deliveries/s, {cheaper:.1f} times less CPU each")
    return "\n".join(shown)
