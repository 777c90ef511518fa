"""A ledger of requests, executions and events while processes are killed, replaced, stopped and put to sleep.

Two instances of a service write down what they execute, clients what they asked and heard. In the end the two have to
agree (ledger_check.py). Ends with status 1 where they do not.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from . import tables
from .fleet import Fleet
from .ledger_check import Verdict, check
from .ledger_clients import Crew
from .ledger_faults import FAULTS, Stage, cause, stop_gateway
from .ledger_records import Ledger
from .programs import HERE

_SETTINGS = {
    "LINKD_LIMITS": "off",  # all clients are one address, and in a hurry
    "LINKD_MAX_CONNECTIONS_PER_USER": "0",
    # Slow readers lose events and are told so, instead of their connections.
    "LINKD_OUTBOX_POLICY": "drop_oldest",
    "LINKD_OUTBOX_LIMIT": str(2 * 2**20),
}
_PATIENCE = 45.0  # seconds; an answer may have to wait until a silent instance is given up
_UNANSWERED = 0
_EXAMPLES = 3  # of each kind of violation in each fault


@dataclass(frozen=True)
class Plan:
    """What is done.

    Attributes:
        seconds: From the first request on; what ends the run comes on top of it.
        faults: Which, of FAULTS.
        seed: Of all that is random.
        clients: That stay; beside them a third as many come and go, and a tenth as many read too slowly.
        pause, freeze, rest: See Stage.
    """

    seconds: float = 120.0
    faults: tuple[str, ...] = FAULTS
    seed: int = 1
    clients: int = 60
    pause: float = 25.0
    freeze: float = 28.0
    rest: float = 3.0


def arguments(parser: argparse.ArgumentParser) -> None:
    """See __main__.Scenario."""
    parser.add_argument("--seconds", type=float, default=Plan.seconds)
    parser.add_argument("--faults", type=_faults, default=FAULTS, help=f"parted by commas, of {','.join(FAULTS)}")
    parser.add_argument("--seed", type=int, default=Plan.seed)
    parser.add_argument("--clients", type=int, default=Plan.clients, help="that stay connected")
    parser.add_argument("--pause", type=float, default=Plan.pause, help="seconds for which the gateway is stopped")
    parser.add_argument("--freeze", type=float, default=Plan.freeze, help="seconds for which an instance is stopped")


def _faults(text: str) -> tuple[str, ...]:
    faults = tuple(text.split(","))
    if not set(faults) <= set(FAULTS):
        raise argparse.ArgumentTypeError(f"{text!r} is not made of {', '.join(FAULTS)}, parted by commas")
    return faults


def run(options: argparse.Namespace) -> dict[str, Any]:
    """One run, and what is wrong with it."""
    plan = Plan(options.seconds, options.faults, options.seed, options.clients, options.pause, options.freeze)
    verdict = asyncio.run(keep_ledger(plan))
    return {
        "passed": verdict.count == 0,
        "seed": plan.seed,
        "seconds": plan.seconds,
        "faults": plan.faults,
        "totals": verdict.totals,
        "answers": {fault: dict(codes) for fault, codes in verdict.answers.items()},
        "violations": {
            fault: {
                kind: {"count": len(found), "examples": [one.text for one in found[:_EXAMPLES]]}
                for kind, found in kinds.items()
            }
            for fault, kinds in verdict.violations.items()
        },
        "excused": dict(verdict.excused),
    }


async def keep_ledger(plan: Plan) -> Verdict:
    """Run a gateway, two instances and clients, cause the faults, and check the ledger."""
    ledger = Ledger(patience=_PATIENCE)
    with TemporaryDirectory(prefix="linkd-bench-") as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        fleet = Fleet(folder, HERE / "ledger_service.py", _SETTINGS)
        stack.callback(fleet.dispose)
        await fleet.start_gateway()
        for _ in range(2):
            await fleet.start_instance()
        slow = plan.clients // 10 if "slow" in plan.faults else 0
        crew = Crew(
            fleet.port, plan.seed, steady=plan.clients, passing=plan.clients // 3, slow=slow, patience=_PATIENCE
        )
        stage = Stage(fleet, crew, ledger, random.Random(plan.seed), plan.pause, plan.freeze, plan.rest)
        await _live(stage, plan)
        ledger.connections = crew.records
        for file in sorted(folder.glob("instance-*.ledger")):
            with file.open() as lines:
                ledger.read(int(file.stem.partition("-")[2]), lines)
    return check(ledger)


async def _live(stage: Stage, plan: Plan) -> None:
    """From the first request to the end of every process."""
    crew, fleet = stage.crew, stage.fleet
    await crew.begin()
    await cause(stage, plan.faults, plan.seconds)
    await crew.settle()
    if "stop" in plan.faults:
        await stop_gateway(stage)
    await crew.close()
    # Where the gateway's end is no fault, the services hear of every end of a session before it.
    for instance in list(fleet.instances):
        await fleet.stop_instance(instance)
    await fleet.gateway.stop()


def table(results: dict[str, Any]) -> str:
    """See __main__.Scenario."""
    rows = []
    for fault, codes in results["answers"].items():
        counts = Counter({int(code): count for code, count in codes.items()})
        other = sum(count for code, count in counts.items() if code not in (200, 503, _UNANSWERED))
        broken = sum(found["count"] for found in results["violations"].get(fault, {}).values())
        rows.append([fault, counts.total(), counts[200], counts[503], other, counts[_UNANSWERED], broken])
    totals = ", ".join(f"{count:,} {what}" for what, count in results["totals"].items())
    excused = ", ".join(f"{kind} {count:,}" for kind, count in results["excused"].items()) or "nothing"
    head = ["fault", "requests", "success", "503", "other errors", "without answer", "violations"]
    return "\n\n".join(
        (
            tables.lines(head, rows),
            f"{totals}\nexcused, since it befell what was executed by a process that was killed or put to sleep: "
            f"{excused}\nseed {results['seed']}",
            _violations(results),
        )
    )


def _violations(results: dict[str, Any]) -> str:
    if results["passed"]:
        return "0 violations"
    lines = []
    for fault, kinds in results["violations"].items():
        for kind, found in kinds.items():
            lines.append(f"{fault}: {kind}, {found['count']:,} times")
            lines += [f"    {example}" for example in found["examples"]]
    return "\n".join(lines)
