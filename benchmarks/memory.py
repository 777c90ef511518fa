"""10,000 connections with ten messages of 64 KiB each under way: the gateway's memory while nobody answers.

A service holds the messages until it is told. What of them is where is counted, and that each is answered in the end.
"""

from __future__ import annotations

import argparse
import contextlib
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from . import tables
from .notes import read_note
from .programs import HERE, linkd
from .senders import messages
from .usage import Watch, resident_kib, tcp_buffers_mib, tcp_queued_bytes

_PROCESSES = 2
_QUIET = 3.0  # seconds without progress after which everybody waits


def arguments(parser: argparse.ArgumentParser) -> None:
    """See __main__.Scenario."""
    parser.add_argument("--connections", type=int, default=10_000)
    parser.add_argument("--messages", type=int, default=10, help="of each connection")
    parser.add_argument("--size", type=int, default=65536, help="bytes of a message with its envelope")
    parser.add_argument("--patience", type=float, default=180, help="seconds for the filling, and for the answers")


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Fill until nothing moves, look, release, and count the answers."""
    with TemporaryDirectory(prefix="linkd-bench-") as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        ours = stack.enter_context(linkd(HERE / "crowd_service.py", "/ws/crowd", {"BENCH_FOLDER": name}))
        gateway, service = ours.pids["gateway"], ours.pids["service"]
        senders = [stack.enter_context(_senders(options, ours.port, folder, number)) for number in range(_PROCESSES)]
        for sender in senders:
            assert sender.stdout is not None
            if sender.stdout.readline() != b"open\n":
                raise RuntimeError("the connections could not be opened")
        idle = resident_kib(gateway) / 1024

        def counts() -> dict[str, int]:
            notes = [read_note(folder / f"senders-{number}") for number in range(_PROCESSES)]
            return {key: sum(note[key] for note in notes) for key in notes[0]} | read_note(folder / "counts")

        with Watch(ours.pids) as filling:
            for sender in senders:
                assert sender.stdin is not None
                sender.stdin.write(b"g")
                sender.stdin.flush()
            time.sleep(1)
            _wait_quiet(counts, options.patience)
        waiting = counts()
        unread, unsent = tcp_queued_bytes(ours.port)
        buffers = tcp_buffers_mib()
        total = options.connections * options.messages
        with Watch(ours.pids) as emptying:
            (folder / "release").touch()
            deadline = time.monotonic() + options.patience
            while (now := counts())["answers"] + now["errors"] < total and time.monotonic() < deadline:
                if now["closed"] == options.connections:
                    break
                time.sleep(0.1)
        time.sleep(2)
        done = counts()
        size = len(messages(options.messages, options.size)) / options.messages
        return {
            "connections": options.connections,
            "messages": total,
            "gateway_mib": {
                "idle": idle,
                "most while they wait": filling.most["gateway"],
                "at rest": filling.last["gateway"],
                "most while released": emptying.most["gateway"],
                "afterwards": resident_kib(gateway) / 1024,
            },
            "service_mib": {
                "idle": filling.first["service"],
                "most while they wait": filling.most["service"],
                "at rest": filling.last["service"],
                "most while released": emptying.most["service"],
                "afterwards": resident_kib(service) / 1024,
            },
            "fill_seconds": filling.seconds - _QUIET,
            "empty_seconds": emptying.seconds,
            "kernel_tcp_mib": buffers,
            "waiting": {
                "in the service": waiting["taken"],
                "in the gateway and on the link": (waiting["sent_bytes"] - unread - unsent) / size - waiting["taken"],
                "in the kernel, not read by the gateway": unread / size,
                "in the kernel, on the senders' side": unsent / size,
                "with the senders": total - waiting["sent_bytes"] / size,
            },
            "answers": done["answers"],
            "errors": done["errors"],
            "closed": done["closed"],
        }


@contextlib.contextmanager
def _senders(options: argparse.Namespace, port: int, folder: Path, number: int) -> Iterator[subprocess.Popen[bytes]]:
    command = [
        sys.executable, "-m", "benchmarks.senders",
        "--port", str(port), "--connections", str(options.connections // _PROCESSES),
        "--messages", str(options.messages), "--size", str(options.size),
        "--source", f"127.0.0.{2 + number}", "--note", str(folder / f"senders-{number}"),
    ]  # fmt: skip
    process = subprocess.Popen(command, cwd=HERE.parent, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def _wait_quiet(counts: Callable[[], dict[str, int]], patience: float) -> None:
    """Wait until nothing is sent or taken any more."""
    deadline = time.monotonic() + patience
    before, since = counts(), time.monotonic()
    while time.monotonic() - since < _QUIET and time.monotonic() < deadline:
        time.sleep(0.25)
        now = counts()
        if now != before:
            before, since = now, time.monotonic()


def table(results: dict[str, Any]) -> str:
    """See __main__.Scenario."""
    total = results["messages"]
    waiting = results["waiting"]
    where = [[place, float(count), 100 * count / total] for place, count in waiting.items()]
    memory = [[moment, size, results["service_mib"][moment]] for moment, size in results["gateway_mib"].items()]
    return "\n\n".join(
        (
            tables.lines([f"memory, {results['connections']:,} connections", "gateway MiB", "service MiB"], memory),
            tables.lines([f"{total:,} messages while nobody answers", "messages", "%"], where),
            f"kernel TCP buffers {results['kernel_tcp_mib']:,.0f} MiB; filled in {results['fill_seconds']:.1f} s, "
            f"emptied in {results['empty_seconds']:.1f} s\n"
            f"answered {results['answers']:,}, errors {results['errors']:,}, without answer "
            f"{total - results['answers'] - results['errors']:,}, connections closed {results['closed']:,}\n"
            f"what held the senders back: {_brake(results)}",
        )
    )


def _brake(results: dict[str, Any]) -> str:
    waiting = results["waiting"]
    taken = waiting["in the service"]
    if waiting["with the senders"] < 1 and waiting["in the kernel, on the senders' side"] < 1:
        return "nothing: everything left them"
    return (
        f"the link. It was full (its socket while the service read, then the link window with {taken:,} unanswered "
        "questions), so the gateway stopped reading from each client that sent, and TCP filled up behind it"
    )
