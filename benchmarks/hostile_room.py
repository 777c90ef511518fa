"""A room of 1,000 with 310 hostile members: what the healthy ones feel of it, and what becomes of the others.

200 stop reading, 50 send a byte a second, 50 flood, 10 send compression bombs. The stream of events is measured
before, with a room of as many healthy members, while they are there, and after they have gone.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from . import tables
from .notes import read_note
from .programs import HERE, Server, linkd, load
from .usage import Watch

_HOSTILE = {"stall": 200, "trickle": 50, "flood": 50, "bomb": 10}
# The default limits, but for the publisher, who sends 200 messages a second, and for those of an address: here the
# hostile and the healthy have the same one.
_LIMITS = {"LINKD_MESSAGE_RATE": "300/s", "LINKD_BYTE_RATE": "1048576/s", "LINKD_OFFENCE_RATE": "off"}
_FAREWELL = 30.0  # seconds for hostile clients to tell what became of them
_NOTED = 2.0  # seconds until the service has written down the last ends


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the room."""
    parser.add_argument("--members", type=int, default=1000, help="of the room, hostile ones included")
    parser.add_argument("--rate", type=float, default=200, help="events a second")
    parser.add_argument("--room-seconds", type=float, default=20, help="of each of the three phases of the room")
    parser.add_argument("--payload", type=int, default=1200, help="bytes of text in an event")
    parser.add_argument(
        "--without", action="append", choices=list(_HOSTILE), default=[], help="leave out hostile clients of this kind"
    )


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Three phases against one gateway: without, with, and again without hostile clients."""
    present = {manner: count for manner, count in _HOSTILE.items() if manner not in options.without}
    with (
        TemporaryDirectory(prefix="linkd-bench-") as folder,
        linkd(HERE / "hostile_service.py", "/ws/bench", {"BENCH_FOLDER": folder, **_LIMITS}) as ours,
    ):
        phases = {"without": _phase(options, ours, options.members)}
        with contextlib.ExitStack() as stack:
            attackers = {
                manner: stack.enter_context(_attackers(manner, ours.port, count)) for manner, count in present.items()
            }
            pids = {manner: process.pid for manner, process in attackers.items()}
            before = read_note(Path(folder) / "ends")
            for process in attackers.values():
                assert process.stdin is not None
                process.stdin.write(b"g")
                process.stdin.flush()
            phases["with"] = _phase(options, ours, options.members - sum(present.values()), pids)
            time.sleep(_NOTED)
            after = read_note(Path(folder) / "ends")
            handled = read_note(Path(folder) / "handled")
            fates = {manner: _fate(process) for manner, process in attackers.items()}
        phases["after"] = _phase(options, ours, options.members)
    ends = {reason: after[reason] - before.get(reason, 0) for reason in after}
    return {
        "members": options.members,
        "rate": options.rate,
        "hostile": present,
        "phases": phases,
        "fates": fates,
        "echoes": handled.get("echoes", 0),
        "session_ends": {reason: count for reason, count in ends.items() if count},
    }


def _phase(options: argparse.Namespace, server: Server, members: int, hostile: dict[str, int] | None = None) -> Any:
    with Watch(server.pids | (hostile or {})) as watch:
        measured = load(
            "stream", server, members=members, rate=options.rate, seconds=options.room_seconds, payload=options.payload,
            type="bench.stream", join='{"type":"bench.join","data":null}', event="bench.event",
        )  # fmt: skip
    return {
        "members": members,
        **{key: measured[key] for key in ("published", "deliveries", "missing", "members_missing", "disordered")},
        "seconds": measured["seconds"],
        "close_codes": measured["close_codes"],
        "p50_ms": measured["latency_us"]["p50"] / 1000,
        "p99_ms": measured["latency_us"]["p99"] / 1000,
        "max_ms": measured["latency_us"]["max"] / 1000,
        "client_cpu": measured["cpu_seconds"] / measured["seconds"],
        "client_lag_p99_ms": measured["send_lag_us"]["p99"] / 1000,
        "cpu": watch.cpu,
        "gateway_mib": {name: getattr(watch, name)["gateway"] for name in ("first", "most", "last")},
    }


@contextlib.contextmanager
def _attackers(manner: str, port: int, count: int) -> Iterator[subprocess.Popen[bytes]]:
    """A process of hostile clients that are connected and wait for the word."""
    command = [sys.executable, "-m", "benchmarks.attackers", manner, "--port", str(port), "--count", str(count)]
    process = subprocess.Popen(command, cwd=HERE.parent, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        if process.stdout.readline() != b"ready\n":
            raise RuntimeError(f"the clients that {manner} could not connect")
        yield process
    finally:
        process.kill()
        process.communicate()


def _fate(process: subprocess.Popen[bytes]) -> dict[str, Any]:
    output, _ = process.communicate(timeout=_FAREWELL)
    return dict(json.loads(output))


def table(results: dict[str, Any]) -> str:
    """The three phases, and what became of the hostile."""
    rows = []
    for name, phase in results["phases"].items():
        memory = phase["gateway_mib"]
        rows.append(
            [
                f"{name}, {phase['members']:,} healthy",
                *(phase[key] for key in ("p50_ms", "p99_ms", "max_ms", "missing", "members_missing")),
                *(100 * phase["cpu"][role] for role in ("gateway", "service")),
                100 * phase["client_cpu"],
                *(memory[moment] for moment in ("first", "most", "last")),
            ]
        )
    head = [f"{results['members']:,} members, {results['rate']:g} events/s", "p50 ms", "p99 ms", "max ms", "missed"]
    head += ["by", "gateway %", "service %", "client %", "MiB start", "max", "end"]
    fates = []
    for manner, fate in results["fates"].items():
        ends = ", ".join(f"{end}: {count:,}" for end, count in sorted(fate["ends"].items()))
        notes = [f"{fate[key]:,} {key}" for key in ("messages", "bombs") if key in fate]
        cpu = 100 * results["phases"]["with"]["cpu"][manner]
        fates.append([manner, fate["clients"], ends or "none ended", " ".join(notes), f"{cpu:.0f} % of a core"])
    reasons = ", ".join(f"{reason} {count:,}" for reason, count in sorted(results["session_ends"].items()))
    return "\n\n".join(
        (
            tables.lines(head, rows),
            tables.lines(["hostile", "clients", "ended, by close code", "sent", "their own CPU"], fates),
            f"sessions that ended meanwhile, by reason, healthy ones at their end included: {reasons}\n"
            f"messages of the flood that the service handled: {results['echoes']:,}; the others wait in the kernel",
        )
    )
