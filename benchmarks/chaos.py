"""Clients that resume behind a network that does its worst, while their service is replaced and killed.

A proxy cuts, resets, stalls and swallows connections (tests/chaos_proxy.py). Nothing may be lost, doubled or out of
order, but what the client was told of. Ends with status 1 where something is.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.chaos_proxy import ChaosProxy, draw
from tests.processes import Platform, Program, platform, resident

from . import tables
from .chaos_client import Crew
from .chaos_ledger import Ledger, compare, read
from .programs import HERE, Server, metrics

_SERVICE = HERE / "chaos_service.py"
_PATH = "/ws/chaos"
_SETTINGS = {
    "LINKD_LIMITS": "off",  # all clients are one address, and in a hurry
    "LINKD_MAX_CONNECTIONS_PER_USER": "0",
    "LINKD_PARK_TIMEOUT_MS": "10000",
    "LINKD_HEARTBEAT_INTERVAL_MS": "2000",  # black holes are to be noticed by the gateway as well
}
_STEPS = ("rest", "redeploy", "kill", "redeploy")  # what becomes of the service, again and again
_PATIENCE = 30.0  # seconds until everything is quiet: messages wait for a service for ten
_ROWS = ("requests", "events", "broadcasts")
_KINDS = ("lost", "doubled", "out of order")


@dataclass(frozen=True)
class Plan:
    """What is done.

    Attributes:
        clients: How many.
        seconds: In which something befalls somebody.
        seed: Of clients and faults. When what happens is the machine's.
        step: Seconds between two things that befall the service: it is replaced in every other one, and killed in
            every fourth.
        client: Of which kind: ``own``, or those of a library, ``python`` or ``typescript``.
        after: Bytes of a connection that pass before something befalls it, least and most.
    """

    clients: int = 200
    seconds: float = 600.0
    seed: int = 1
    step: float = 10.0
    client: str = "own"
    after: tuple[int, int] = (60, 20_000)


@dataclass
class Outcome:
    """What came of it.

    Attributes:
        ledger: What clients and service wrote down.
        connections: That the proxy accepted.
        faults: That befell connections, by kind.
        steps: What became of the service, by kind.
        drift: Clients that counted other than the gateway, by its metrics.
        memory: Of the gateway in MiB, when everything is quiet.
        errors: What gateway and services logged as an error, and what ended a client, as text.
    """

    ledger: Ledger
    connections: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    steps: Counter[str] = field(default_factory=Counter)
    drift: int = 0
    memory: float = 0.0
    errors: list[str] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Whether nothing happened that must not."""
        return not self.ledger.violations and not self.drift and not self.errors


def arguments(parser: argparse.ArgumentParser) -> None:
    """See __main__.Scenario."""
    parser.add_argument("--clients", type=int, default=Plan.clients)
    parser.add_argument("--seconds", type=float, default=Plan.seconds)
    parser.add_argument("--seed", type=int, default=Plan.seed)
    parser.add_argument("--client", choices=("own", "python", "typescript"), default=Plan.client)


def run(options: argparse.Namespace) -> dict[str, Any]:
    """One run, and what is wrong with it."""
    plan = Plan(options.clients, options.seconds, options.seed, client=options.client)
    with TemporaryDirectory(prefix="linkd-bench-") as name:
        outcome = asyncio.run(cause_chaos(plan, Path(name)))
    ledger = outcome.ledger
    return {
        "passed": outcome.passed,
        "clients": plan.clients,
        "seconds": plan.seconds,
        "seed": plan.seed,
        "connections": outcome.connections,
        "faults": dict(outcome.faults),
        "steps": dict(outcome.steps),
        "closes": {str(code): count for code, count in ledger.closes.items()},
        "sessions": dict(ledger.sessions),
        "requests": dict(ledger.requests),
        "told": dict(ledger.told),
        "events": ledger.events,
        "broadcasts": ledger.broadcasts,
        "violations": dict(ledger.violations),
        "examples": ledger.examples,
        "drift": outcome.drift,
        "memory": outcome.memory,
        "errors": outcome.errors,
    }


async def cause_chaos(plan: Plan, folder: Path) -> Outcome:
    """Run gateway, service, proxy and clients, do all that to them, and check what was written down."""
    outcome = Outcome(Ledger())
    dice = random.Random(plan.seed)
    records = folder / "records"
    records.mkdir()
    async with platform(folder, env={**_SETTINGS, "BENCH_FOLDER": str(records)}) as running:
        instance = await running.start_service(_SERVICE)
        proxy = ChaosProxy(running.port, random.Random(dice.random()), draw=lambda dice: draw(dice, plan.after))
        await proxy.start()
        url = running.url(_PATH).replace(f":{running.port}/", f":{proxy.port}/")
        authority = None if running.certificate is None else running.certificate.certfile
        crew = Crew(
            plan.clients, url, running.trust, random.Random(dice.random()), outcome.ledger, plan.client, authority
        )
        try:
            crew.begin()
            await _trouble(running, instance, plan, outcome)
            proxy.calm()
            await crew.settle(_PATIENCE)
            await _look(running, outcome)
            outcome.errors += [f"a client ended: {error!r}" for error in crew.failed()]
        finally:
            await crew.close()
            await proxy.close()
        outcome.connections, outcome.faults = proxy.accepted, proxy.caused
    executions = []
    for file in records.iterdir():
        with file.open() as lines:
            executions += read(lines)
    compare(outcome.ledger, {number: one.book for number, one in enumerate(crew.clients)}, executions)
    return outcome


async def _trouble(running: Platform, instance: Program, plan: Plan, outcome: Outcome) -> None:
    """Replace and kill the service until the time is over."""
    over = time.monotonic() + plan.seconds
    with contextlib.suppress(TimeoutError):
        for step in itertools.cycle(_STEPS):
            async with asyncio.timeout(over - time.monotonic()):
                await asyncio.sleep(plan.step)
            # Not under the timeout: what is begun is finished, so that an instance runs in the end.
            if step == "redeploy":
                successor = await running.start_service(_SERVICE)
                if status := await instance.stop():
                    outcome.errors.append(f"an instance ended with {status}")
                instance = successor
            elif step == "kill":
                await instance.kill()
                instance = await running.start_service(_SERVICE)
            outcome.steps[step] += 1


async def _look(running: Platform, outcome: Outcome) -> None:
    """What the gateway says of itself, and what was logged."""
    gateway = running.gateway.process.pid
    admin = Server(running.port, _PATH, {"gateway": gateway}, int(running.admin.rpartition(":")[2]))
    outcome.drift = int((await asyncio.to_thread(metrics, admin))["linkd_stream_drift_total"])
    outcome.memory = resident(gateway) / 2**20
    for program in running.programs:
        for line in program.text().splitlines():
            if '"level": "error"' in line or '"level": "critical"' in line or line.startswith("Traceback"):
                outcome.errors.append(line)


def table(results: dict[str, Any]) -> str:
    """See __main__.Scenario."""
    sessions = Counter(results["sessions"])
    requests, violations = Counter(results["requests"]), Counter(results["violations"])
    came = {"requests": requests["answered"], "events": results["events"], "broadcasts": results["broadcasts"]}
    rows = [
        ["clients", results["clients"]],
        ["seconds", results["seconds"]],
        ["connections made", results["connections"]],
        ["sessions begun", sessions.total() - sessions["resumed"]],
        ["resumed", sessions["resumed"]],
        *_counts("not resumed", {why: count for why, count in sessions.items() if why not in ("resumed", "first")}),
        ["requests sent", requests["sent"]],
        *_counts("requests told", results["told"]),
    ]
    for what in _ROWS:
        rows.append([f"{what} {'answered' if what == 'requests' else 'delivered'}", came[what]])
        rows += [[f"{what} {kind}", violations[f"{what} {kind}"]] for kind in _KINDS]
    known = {f"{what} {kind}" for what in _ROWS for kind in _KINDS}
    rows += [[kind, count] for kind, count in violations.items() if kind not in known]
    rows += [
        ["linkd_stream_drift_total", results["drift"]],
        ["errors in logs", len(results["errors"])],
        ["gateway, MiB", results["memory"]],
    ]
    examples = [f"{kind}: {text}" for kind, texts in results["examples"].items() for text in texts]
    notes = [
        f"faults: {_list(results['faults'])}; the service: {_list(results['steps'])}",
        f"connections by the close code that the client saw: {_list(results['closes'])}; seed {results['seed']}",
        *examples,
        *results["errors"][:20],
    ]
    return "\n\n".join((tables.lines(["", ""], rows), "\n".join(notes)))


def _counts(name: str, counts: dict[str, int]) -> list[list[object]]:
    if not counts:
        return [[name, 0]]
    return [[f"{name}: {why}", count] for why, count in sorted(counts.items())]


def _list(counts: dict[str, int]) -> str:
    return ", ".join(f"{what} {count:,}" for what, count in sorted(counts.items())) or "none"
