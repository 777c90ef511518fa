"""A mixed day: 5,000 people in rooms of 20, most of whom only listen; messages are stored, and read back.

Everything is due at fixed rates: messages (acknowledged, validated, kept in SQLite, sent to the room), typing
(volatile, not acknowledged), histories (the last 20 messages of a room), visitors who sign in, stay for four seconds
and go.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from . import tables
from .programs import HERE, linkd, write_tokens
from .usage import Watch

_VISITORS = 100  # users who take turns to visit
_FAREWELL = 60.0  # seconds


def arguments(parser: argparse.ArgumentParser) -> None:
    """See __main__.Scenario."""
    parser.add_argument("--members", type=int, default=5000)
    parser.add_argument("--size", type=int, default=20, help="members of a room")
    parser.add_argument("--active", type=float, default=0.1, help="share of the members who do something")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--said", type=float, default=200, help="messages a second, all together")
    parser.add_argument("--typing", type=float, default=500, help="a second, all together")
    parser.add_argument("--histories", type=float, default=50, help="a second, all together")
    parser.add_argument("--visits", type=float, default=5, help="a second, all together")


def run(options: argparse.Namespace) -> dict[str, Any]:
    """One day."""
    with TemporaryDirectory(prefix="linkd-bench-") as name:
        tokens = Path(name) / "tokens"
        write_tokens(tokens, options.members + _VISITORS)
        env = {"BENCH_FOLDER": name, "BENCH_ROOMS": str(-(-options.members // options.size))}
        with linkd(HERE / "day_service.py", "/ws/day", env) as ours:
            command = [sys.executable, "-m", "benchmarks.day_people", "--port", str(ours.port), "--tokens", str(tokens)]
            for what in ("members", "size", "active", "seconds", "said", "typing", "histories", "visits"):
                command += [f"--{what}", str(getattr(options, what))]
            people = subprocess.Popen(command, cwd=HERE.parent, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            try:
                assert people.stdin is not None
                assert people.stdout is not None
                if people.stdout.readline() != b"ready\n":
                    raise RuntimeError("not everybody could connect")
                with Watch(ours.pids) as watch:
                    people.stdin.write(b"g")
                    people.stdin.flush()
                    if people.stdout.readline() != b"over\n":
                        raise RuntimeError("the day was cut short")
                output, _ = people.communicate(timeout=_FAREWELL)
            finally:
                people.kill()
                people.communicate()
    roles = list(ours.pids)
    return {
        "members": options.members,
        **json.loads(output),
        "seconds": watch.seconds,
        "cpu": watch.cpu,
        "mib": {role: {name: getattr(watch, name)[role] for name in ("first", "most", "last")} for role in roles},
    }


def table(results: dict[str, Any]) -> str:
    """See __main__.Scenario."""
    names = {
        "send": "a message, until acknowledged",
        "delivery": "its delivery to a member",
        "history": "a history",
        "enter": "a visitor's handshake",
        "lag": "how late the client itself was",
    }
    waits = [[name, *(results["ms"][kind][part] for part in ("p50", "p99", "max"))] for kind, name in names.items()]
    events = [[kind, count, results["missing"][kind]] for kind, count in results["received"].items()]
    processes = [
        [role, 100 * results["cpu"][role], *(results["mib"][role][moment] for moment in ("first", "most", "last"))]
        for role in results["mib"]
    ]
    counts = {"errors": 0, "closed": 0, "unknown": 0, **results["counts"]}
    return "\n\n".join(
        (
            tables.lines([f"{results['members']:,} members", "p50 ms", "p99 ms", "max ms"], waits),
            tables.lines(["events to members", "received", "missing"], events),
            tables.lines(["process", "CPU %", "MiB start", "max", "end"], processes),
            f"{counts['send']:,} messages, {counts['history']:,} histories, {counts['typing']:,} times typing, "
            f"{counts['visits']:,} visits in {results['seconds']:.0f} s; the client took "
            f"{100 * results['client_cpu']:.0f} % of a core\n"
            f"errors {counts['errors']:,}, without answer {counts['unanswered']:,}, events too many "
            f"{results['surplus'] + counts['unknown']:,}, connections lost {counts['closed']:,}",
        )
    )
