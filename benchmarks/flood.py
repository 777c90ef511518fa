"""A flood against the limits that a gateway has by default: 1,000 connections of one address, 1,000 messages/s each.

200 well-behaved clients ask ten times a second, without the flood, with it, and again without, in one run. Who floods
comes back whenever it is closed.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from typing import Any

from . import tables
from .programs import HERE, Server, linkd
from .usage import Watch

_FLOODER = "127.0.0.66"
_PHASES = ("without", "with", "after")
_FAREWELL = 30.0  # seconds


def arguments(parser: argparse.ArgumentParser) -> None:
    """See __main__.Scenario."""
    parser.add_argument("--visitors", type=int, default=200)
    parser.add_argument("--flooders", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=20, help="of each of the three phases")


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Three phases against one gateway."""
    results: dict[str, Any] = {"visitors": options.visitors, "flooders": options.flooders, "phases": {}}
    with linkd(HERE / "echo_service.py", "/ws/bench", limited=True) as ours:
        for name in _PHASES:
            flood = (
                _start("attackers", "swarm", ours, options.flooders, "--source", _FLOODER) if name == "with" else None
            )
            try:
                if flood is not None:
                    _go(flood)
                    time.sleep(1.0)
                results["phases"][name] = _phase(options, ours, flood)
                if flood is not None:
                    results["flood"] = json.loads(flood.communicate(timeout=_FAREWELL)[0])
            finally:
                if flood is not None:
                    flood.kill()
                    flood.communicate()
    return results


def _phase(options: argparse.Namespace, server: Server, flood: subprocess.Popen[bytes] | None) -> dict[str, Any]:
    process = _start("visitors", None, server, options.visitors, "--seconds", str(options.seconds))
    try:
        with Watch(server.pids | ({} if flood is None else {"flood": flood.pid})) as watch:
            _go(process)
            output, _ = process.communicate(timeout=options.seconds + _FAREWELL)
    finally:
        process.kill()
        process.communicate()
    memory = {name: getattr(watch, name)["gateway"] for name in ("first", "most", "last")}
    return {**json.loads(output), "cpu": watch.cpu, "gateway_mib": memory}


def _start(module: str, manner: str | None, server: Server, count: int, *more: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", f"benchmarks.{module}", *([] if manner is None else [manner])]
    command += ["--port", str(server.port), "--count", str(count), *more]
    process = subprocess.Popen(command, cwd=HERE.parent, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    if process.stdout.readline() != b"ready\n":
        process.kill()
        raise RuntimeError(f"{module} could not connect")
    return process


def _go(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    process.stdin.write(b"g")
    process.stdin.flush()


def table(results: dict[str, Any]) -> str:
    """See __main__.Scenario."""
    head = [f"{results['visitors']} clients", "p50 ms", "p99 ms", "max ms", "asked", "not in time", "refused", "closed"]
    head += ["gateway %", "service %", "MiB start", "max", "end"]
    rows = []
    for name, phase in results["phases"].items():
        memory = phase["gateway_mib"]
        rows.append(
            [
                f"{name} the flood" if name != "after" else "after it",
                *(phase[key] for key in ("p50_ms", "p99_ms", "max_ms", "asked")),
                phase["late"] + phase["unanswered"],
                *(phase[key] for key in ("refused", "closed")),
                *(100 * phase["cpu"][role] for role in ("gateway", "service")),
                *(memory[moment] for moment in ("first", "most", "last")),
            ]
        )
    flood = results["flood"]
    ratio = results["phases"]["with"]["p99_ms"] / results["phases"]["without"]["p99_ms"]
    ends = ", ".join(f"{end}: {count:,}" for end, count in sorted(flood["ends"].items()))
    return "\n\n".join(
        (
            tables.lines(head, rows),
            f"p99 with the flood is {ratio:.2f} times that without.\n"
            f"What the flood got: {flood['opened']:,} connections ({ends or 'none ended'}), {flood['refused']:,} "
            f"attempts refused or cut, {flood['messages']:,} messages taken by the kernel",
        )
    )
