"""One client at its worst, in each way by itself: the gateway's memory, and what another client waits meanwhile."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.certificates import make_certificate, trust

from . import tables
from .neighbour import Neighbour, visit
from .programs import HERE, Server, linkd
from .siege_ways import WAYS
from .usage import Watch

MEMBERS = "members"
"""The way of a service; all others are clients'."""

TITLES = {**{name: way.title for name, way in WAYS.items()}, MEMBERS: "a service asks for members, and does not read"}

_MOST_MIB = 64.0  # by which the gateway may grow
_MOST_P99_MS = 20.0
_BEFORE = 3.0  # seconds in which the neighbour is alone
_AFTER = 5.0  # seconds that the gateway has to recover
_FAREWELL = 60.0  # seconds for attackers to tell what became of them
_ENOUGH_MIB = 1024.0  # by which the gateway has to have grown for the attack to be called off: it serves no end
_LONGEST = 45.0  # seconds for which a connection may be open that is no WebSocket
_VISIT = 1.0  # seconds between two attempts of somebody new to connect


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the siege."""
    parser.add_argument("--seconds", type=float, default=60, help="of each way of one client at its worst")


def run(ways: list[str], seconds: float) -> dict[str, Any]:
    """Every one of these ways against a gateway of its own with the default limits."""
    results = {}
    for name in ways:
        results[name] = _besiege(name, seconds)
        print(f"{name}: {', '.join(results[name]['faults']) or 'held'}", file=sys.stderr, flush=True)
    return {"seconds": seconds, "ways": results, "passed": all(one["passed"] for one in results.values())}


def _besiege(name: str, seconds: float) -> dict[str, Any]:
    with TemporaryDirectory(prefix="linkd-bench-") as folder, contextlib.ExitStack() as stack:
        secure = name in WAYS and WAYS[name].tls
        env = make_certificate(Path(folder)).env if secure else {}
        ours = stack.enter_context(linkd(HERE / "siege_service.py", "/ws/bench", env, limited=True))
        attackers = stack.enter_context(_attackers(name, ours, seconds))
        results = asyncio.run(_measure(ours, attackers, seconds, secure))
    faults = faults_of(results, websocket=name == MEMBERS or WAYS[name].websocket)
    return {**results, "faults": faults, "passed": not faults}


async def _measure(ours: Server, attackers: subprocess.Popen[bytes], seconds: float, secure: bool) -> dict[str, Any]:
    neighbour, tls = Neighbour(), trust("https:") if secure else None
    client = await neighbour.open(ours.port, tls)
    before = await neighbour.ask(client, _BEFORE)
    with Watch(ours.pids) as watch:
        assert attackers.stdin is not None
        attackers.stdin.write(b"g")
        attackers.stdin.flush()
        visits = asyncio.create_task(visit(ours.port, tls, _VISIT))
        call_off = asyncio.create_task(_call_off(watch, attackers))
        during = await neighbour.ask(client, seconds)
        visits.cancel()
        called_off = call_off.done() or not call_off.cancel()
    output, _ = await asyncio.to_thread(attackers.communicate, timeout=_FAREWELL)
    with Watch(ours.pids) as rest:
        after = await neighbour.ask(client, _AFTER)
    client.reset()
    return {
        "neighbour": {"before": before, "during": during, "after": after},
        "kept_out": (await asyncio.gather(visits))[0],
        "gateway_mib": {"before": watch.first["gateway"], "most": watch.most["gateway"], "after": rest.last["gateway"]},
        "cpu": watch.cpu,
        "called_off": called_off,
        "fate": {"ends": {}} if called_off else json.loads(output),
    }


async def _call_off(watch: Watch, attackers: subprocess.Popen[bytes]) -> None:
    """End the attack when the gateway takes so much memory that the machine is in danger."""
    while watch.most["gateway"] - watch.first["gateway"] < _ENOUGH_MIB:
        await asyncio.sleep(0.1)
    attackers.kill()


def faults_of(one: dict[str, Any], websocket: bool) -> list[str]:
    """What is not as it should be.

    Args:
        one: The figures of one way.
        websocket: Whether the attackers' connections are WebSockets, which may stay, and that of the hostile service.
    """
    ended = one["fate"].get("refused", 0) or set(one["fate"]["ends"]) != {"open"}
    waits, memory = one["neighbour"]["during"], one["gateway_mib"]
    checks = {
        "memory": memory["most"] - memory["before"] > _MOST_MIB,
        "p99": waits["p99_ms"] > _MOST_P99_MS,
        "neighbour cut": waits["lost"],
        "neighbour refused": waits["refused"],
        "neighbour unanswered": waits["unanswered"],
        "others kept out": one["kept_out"],
        "never closed": websocket and not ended,
        "connections without end": not websocket and one["fate"].get("longest_s", 0.0) > _LONGEST,
    }
    return [fault for fault, found in checks.items() if found]


@contextlib.contextmanager
def _attackers(name: str, ours: Server, seconds: float) -> Iterator[subprocess.Popen[bytes]]:
    """A process that waits for the word to attack."""
    if name == MEMBERS:
        program, port = ["benchmarks.siege_members", "--link", ours.link], ours.port
    else:
        program, port = ["benchmarks.siege_attackers", name], ours.admin if WAYS[name].admin else ours.port
    command = [sys.executable, "-m", *program, "--port", str(port), "--seconds", str(seconds)]
    process = subprocess.Popen(command, cwd=HERE.parent, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        if process.stdout.readline() != b"ready\n":
            raise RuntimeError(f"the attackers of {name!r} did not begin")
        yield process
    finally:
        process.kill()
        process.communicate()


def table(results: dict[str, Any]) -> str:
    """A line for each way."""
    head = [f"one client, {results['seconds']:g} s", "MiB before", "most", "after", "p50 ms", "p99 ms", "max ms"]
    head += ["p99 before", "gateway %", "held"]
    rows = []
    for name, one in results["ways"].items():
        waits, memory = one["neighbour"]["during"], one["gateway_mib"]
        rows.append(
            [
                f"{name}: {TITLES[name]}",
                *(memory[moment] for moment in ("before", "most", "after")),
                *(waits[part] for part in ("p50_ms", "p99_ms", "max_ms")),
                one["neighbour"]["before"]["p99_ms"],
                100 * one["cpu"]["gateway"],
                "yes" if one["passed"] else "NO",
            ]
        )
    fates = [[name, *_fate(one), ", ".join(one["faults"]) or "none"] for name, one in results["ways"].items()]
    return "\n\n".join(
        (
            tables.lines(head, rows),
            tables.lines(["attackers", "opened", "refused", "MB sent", "longest s", "ended", "faults"], fates),
            f"held: at most {_MOST_MIB:g} MiB more than before; another client's p99 at most {_MOST_P99_MS:g} ms, and "
            "each of its requests answered; new clients let in; whoever sends too much closed, and whoever is no "
            f"WebSocket after {_LONGEST:g} s at most",
        )
    )


def _fate(one: dict[str, Any]) -> tuple[int, int, float, float, str]:
    fate = one["fate"]
    ends = ", ".join(f"{end}: {count:,}" for end, count in sorted(fate["ends"].items())) or "none"
    numbers = fate.get("opened", 0), fate.get("refused", 0), fate.get("bytes", 0) / 1e6, fate.get("longest_s", 0.0)
    return (*numbers, f"called off at {_ENOUGH_MIB:g} MiB" if one["called_off"] else ends)
