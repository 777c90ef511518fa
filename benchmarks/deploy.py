"""Requests of many clients while a service is redeployed and killed, and the gateway restarted: who notices what.

Clients are the Python library's. A redeploy starts the new instance, then stops the old one, or the other way round.
Ends with status 1 where a redeploy or a kill disconnects anybody, a redeploy is answered with 503, a request gets no
answer at all, order is lost, or something is sold twice.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import socket
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import sqlalchemy as sa

from pylinkd import LinkdError
from pylinkd.client import Client, State, Timeout, connect
from pylinkd.db import open_database

from . import tables
from .fleet import Fleet
from .programs import HERE

_SETTINGS = {"LINKD_LIMITS": "off", "LINKD_MAX_CONNECTIONS_PER_USER": "0", "LINKD_DRAIN_RATE": "500"}
_SELL_EVERY = 20  # requests of a client, of which one sells
_TIMEOUT = 60.0  # seconds that a client waits for an answer
_WARM_UP, _CALM = 3.0, 10.0  # seconds
_REST = 2.0  # seconds after a change in which its consequences count as its own

CALM, REDEPLOY, KILL, RESTART = "before", "redeploy", "kill -9", "gateway restart"


@dataclass
class Record:
    """What clients saw.

    Attributes:
        phase: What is being done.
        seconds: How long answers took, by phase.
        outcomes: By phase: ``answered``, the type of an error, or ``silence``.
        lost: Connections that were lost, by phase.
        sold: Keys that clients know to be sold.
    """

    phase: str = CALM
    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    outcomes: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    lost: Counter[str] = field(default_factory=Counter)
    sold: set[str] = field(default_factory=set)


def arguments(parser: argparse.ArgumentParser) -> None:
    """See __main__.Scenario."""
    parser.add_argument("--clients", type=int, default=500)
    parser.add_argument("--rate", type=float, default=1000.0, help="requests a second, of all clients together")
    parser.add_argument("--redeploys", type=int, default=20)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--restarts", type=int, default=2, help="of the gateway")


def run(options: argparse.Namespace) -> dict[str, Any]:
    """One run, and what is wrong with it."""
    return asyncio.run(_run(options))


async def _run(options: argparse.Namespace) -> dict[str, Any]:
    record, stop = Record(), asyncio.Event()
    with TemporaryDirectory(prefix="linkd-bench-") as name, contextlib.ExitStack() as stack:
        database = f"sqlite:///{Path(name)}/deploy.db"
        env = {**_SETTINGS, "LINKD_PORT": str(_free_port()), "BENCH_DATABASE": database}
        fleet = Fleet(Path(name), HERE / "deploy_service.py", env)
        stack.callback(fleet.dispose)
        await fleet.start_gateway()
        for _ in range(2):
            await fleet.start_instance()
        pause = options.clients / options.rate
        async with asyncio.TaskGroup() as group:
            for number in range(options.clients):
                group.create_task(_customer(fleet.port, number, pause, record, stop))
            await asyncio.sleep(_WARM_UP)
            record.seconds.clear()
            await asyncio.sleep(_CALM)
            await _change(fleet, record, options)
            stop.set()
        async with open_database(database) as db:
            stored = Counter(key for (key,) in await db.execute(sa.text("SELECT key FROM sales")))
        for instance in list(fleet.instances):
            await fleet.stop_instance(instance)
        await fleet.gateway.stop()
    return _results(record, stored)


def _free_port() -> int:
    """A port that the gateway takes again when it is restarted."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


async def _customer(port: int, number: int, pause: float, record: Record, stop: asyncio.Event) -> None:
    """One client: two requests at once, again and again."""
    async with connect(f"ws://127.0.0.1:{port}/ws/deploy") as client:
        client.on_state(lambda change: _note_state(record, change.state))
        await client.wait(State.OPEN)
        await asyncio.sleep(pause * number / 500)
        for first in itertools.count(1, 2):
            if stop.is_set():
                return
            await asyncio.gather(*(_ask(client, number, each, record) for each in (first, first + 1)))
            await asyncio.sleep(2 * pause)


def _note_state(record: Record, state: State) -> None:
    if state is State.WAITING:
        record.lost[record.phase] += 1


async def _ask(client: Client, number: int, each: int, record: Record) -> None:
    phase, began, key = record.phase, time.perf_counter(), f"{number}-{each}"
    try:
        if each % _SELL_EVERY == 0:
            await client.call("deploy.sell", key, idempotent=key, timeout=_TIMEOUT)
            record.sold.add(key)
        else:
            await client.call("deploy.echo", each, timeout=_TIMEOUT)
        outcome = "answered"
    except Timeout:
        outcome = "silence"
    except LinkdError as error:
        outcome = error.type
    if record.phase != phase and record.phase != CALM:
        phase = record.phase  # it began just before
    record.outcomes[phase][outcome] += 1
    if outcome == "answered":
        record.seconds[phase].append(time.perf_counter() - began)


async def _change(fleet: Fleet, record: Record, options: argparse.Namespace) -> None:
    """Everything that is done to the service and its gateway."""
    for number in range(options.redeploys):
        record.phase = REDEPLOY
        if number % 2:
            await fleet.start_instance()
            await fleet.stop_instance(fleet.instances[0])
        else:
            await fleet.stop_instance(fleet.instances[0])
            await fleet.start_instance()
    await asyncio.sleep(_REST)
    for _ in range(options.kills):
        record.phase = KILL
        await fleet.kill_instance(fleet.instances[0])
        await fleet.start_instance()
    await asyncio.sleep(_REST)
    for _ in range(options.restarts):
        record.phase = RESTART
        await fleet.gateway.stop()
        await fleet.start_gateway()
        await asyncio.sleep(10 * _REST)


def _results(record: Record, stored: Counter[str]) -> dict[str, Any]:
    phases = {
        phase: {
            "requests": sum(outcomes.values()),
            "outcomes": dict(outcomes),
            "connections_lost": record.lost[phase],
            "p50_ms": _quantile(record.seconds[phase], 0.5),
            "p99_ms": _quantile(record.seconds[phase], 0.99),
        }
        for phase, outcomes in record.outcomes.items()
    }
    wrong = {
        "disconnected by a redeploy or kill": record.lost[REDEPLOY] + record.lost[KILL],
        "503 of a redeploy": record.outcomes[REDEPLOY]["SERVICE_UNAVAILABLE"],
        "without any answer": sum(outcomes["silence"] for outcomes in record.outcomes.values()),
        "out of order": sum(outcomes["OUT_OF_ORDER"] for outcomes in record.outcomes.values()),
        "sold twice": sum(count - 1 for count in stored.values()),
        "answered and not sold": len(record.sold - set(stored)),
    }
    return {"passed": not any(wrong.values()), "phases": phases, "sold": len(stored), "wrong": wrong}


def _quantile(seconds: list[float], share: float) -> float:
    ordered = sorted(seconds)
    return round(1000 * ordered[int(share * (len(ordered) - 1))], 1) if ordered else 0.0


def table(results: dict[str, Any]) -> str:
    """See __main__.Scenario."""
    rows = [
        [
            phase, figures["requests"], figures["connections_lost"], figures["p50_ms"], figures["p99_ms"],
            ", ".join(f"{count} {outcome}" for outcome, count in figures["outcomes"].items()),
        ]
        for phase, figures in results["phases"].items()
    ]  # fmt: skip
    head = ["phase", "requests", "connections lost", "p50 ms", "p99 ms", "outcomes"]
    wrong = [[what, count] for what, count in results["wrong"].items()]
    return f"{tables.lines(head, rows)}\n\n{results['sold']} sold\n\n{tables.lines(['wrong', 'times'], wrong)}"
