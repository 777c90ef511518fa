"""What a benchmark runs: gateway, service, load generator, and the limit to compare with."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple
from urllib.request import urlopen

HERE = Path(__file__).parent
LOAD = HERE / "load" / "build" / "load"
ECHO = HERE / "load" / "build" / "echo"
_STARTUP = 20.0  # seconds


class Server(NamedTuple):
    """Something to put load on.

    Attributes:
        port: Where it listens, on 127.0.0.1.
        path: What a WebSocket asks for.
        pids: Its processes by role, such as ``gateway``.
    """

    port: int
    path: str
    pids: dict[str, int]


@contextlib.contextmanager
def linkd(target: Path, path: str, env: dict[str, str] | None = None) -> Iterator[Server]:
    """A gateway and one service, as a user starts them."""
    with TemporaryDirectory(prefix="linkd-bench-") as folder, contextlib.ExitStack() as stack:
        settings = {
            **{name: value for name, value in os.environ.items() if not name.startswith("LINKD_")},
            "LINKD_LINK": f"{folder}/link.sock",
            "LINKD_PORT": "0",
            "LINKD_LOG_FORMAT": "json",
            **(env or {}),
        }
        log = Path(folder) / "gateway.log"
        gateway = stack.enter_context(_process([sys.executable, "-m", "pylinkd", "serve"], log, settings))
        port = int(_wait_for(log, r'"address": "http://127.0.0.1:(\d+)"').group(1))
        command = [sys.executable, "-m", "pylinkd", "run", str(target)]
        service = stack.enter_context(_process(command, Path(folder) / "service.log", settings))
        deadline = time.monotonic() + _STARTUP
        while not _ready(port):
            if time.monotonic() > deadline:
                raise RuntimeError("the service did not become ready")
            time.sleep(0.05)
        yield Server(port, path, {"gateway": gateway.pid, "service": service.pid})


@contextlib.contextmanager
def limit() -> Iterator[Server]:
    """An epoll server in C that does nothing but answer: what the machine can do."""
    process = subprocess.Popen([ECHO], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        port = json.loads(process.stdout.readline())["listening"]
        yield Server(port, "/", {"limit": process.pid})
    finally:
        process.communicate(timeout=5)


def load(scenario: str, server: Server, **options: Any) -> dict[str, Any]:
    """Run the load generator against a server and return what it measured."""
    result = subprocess.run(load_command(scenario, server, options), stdout=subprocess.PIPE, check=False)
    return dict(json.loads(result.stdout))


def load_command(scenario: str, server: Server, options: dict[str, Any]) -> list[str]:
    """The load generator's command line; an option's value ``True`` stands for a bare flag."""
    command = [str(LOAD), scenario, "--port", str(server.port), "--path", server.path]
    for name, value in options.items():
        command.append(f"--{name.replace('_', '-')}")
        if value is not True:
            command.append(str(value))
    for pid in server.pids.values():
        command += ["--watch", str(pid)]
    return command


def resident_kib(pid: int) -> int:
    """Memory of a process in KiB."""
    match = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert match is not None
    return int(match.group(1))


@contextlib.contextmanager
def _process(command: Sequence[str], log: Path, env: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env=env)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _wait_for(log: Path, pattern: str) -> re.Match[str]:
    deadline = time.monotonic() + _STARTUP
    while time.monotonic() < deadline:
        match = re.search(pattern, log.read_text())
        if match is not None:
            return match
        time.sleep(0.05)
    raise RuntimeError(f"{log.read_text()}\nnothing in it matches {pattern}")


def _ready(port: int) -> bool:
    try:
        with urlopen(f"http://127.0.0.1:{port}/ready", timeout=1) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
