"""What a benchmark runs: gateway, service, load generator, and the limit to compare with."""

from __future__ import annotations

import contextlib
import json
import os
import re
import resource
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple
from urllib.request import urlopen

import jwt

from pylinkd.gateway.settings import DEVELOPMENT_SECRET

HERE = Path(__file__).parent
LOAD = HERE / "load" / "build" / "load"
ECHO = HERE / "load" / "build" / "echo"
_STARTUP = 20.0  # seconds
_ANYBODY = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # enough to ask a gateway of ours whether it is ready
_ANYBODY.check_hostname = False
_ANYBODY.verify_mode = ssl.CERT_NONE


class Server(NamedTuple):
    """Something to put load on.

    Attributes:
        port: Where it listens, on 127.0.0.1.
        path: What a WebSocket asks for.
        pids: Its processes by role, such as ``gateway``.
        admin: Where its metrics are; 0 where there are none.
        link: Where services find it; empty where there are none.
    """

    port: int
    path: str
    pids: dict[str, int]
    admin: int = 0
    link: str = ""


_RATES = ("HANDSHAKE", "MESSAGE", "BYTE", "USER_MESSAGE", "BROADCAST", "ROOM_BROADCAST")
_FAR_LIMITS = {
    **{f"LINKD_{name}_RATE": "999999999/s" for name in _RATES},
    "LINKD_MAX_UNFINISHED": "20000",
    "LINKD_MAX_UNFINISHED_PER_ADDRESS": "20000",
}


@contextlib.contextmanager
def linkd(target: Path, path: str, env: dict[str, str] | None = None, *, limited: bool = False) -> Iterator[Server]:
    """A gateway and one service, as a user starts them.

    Args:
        target: The service.
        path: Its path.
        env: More settings of both.
        limited: With the limits that a gateway has by default; else all of them are checked, and so high that they
            are never reached.
    """
    with TemporaryDirectory(prefix="linkd-bench-") as folder, contextlib.ExitStack() as stack:
        settings = environment(folder, env, limited=limited)
        log = Path(folder) / "gateway.log"
        gateway = stack.enter_context(_process([sys.executable, "-m", "pylinkd", "serve"], log, settings))
        port = int(_wait_for(log, r'"address": "https?://127.0.0.1:(\d+)"').group(1))
        admin = int(_wait_for(log, r'"admin": "http://127.0.0.1:(\d+)"').group(1))
        command = [sys.executable, "-m", "pylinkd", "run", str(target)]
        service = stack.enter_context(_process(command, Path(folder) / "service.log", settings))
        deadline = time.monotonic() + _STARTUP
        while not _ready(port, secure="LINKD_CERTFILE" in settings):
            if time.monotonic() > deadline:
                raise RuntimeError("the service did not become ready")
            time.sleep(0.05)
        yield Server(port, path, {"gateway": gateway.pid, "service": service.pid}, admin, settings["LINKD_LINK"])


def metrics(server: Server) -> dict[str, float]:
    """The gateway's metrics now, by name, and labels where it has any: ``linkd_users``, ``x_bucket{le="0.01"}``."""
    with urlopen(f"http://127.0.0.1:{server.admin}/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    samples = (line.rpartition(" ") for line in lines if not line.startswith("#"))
    return {name: float(value) for name, _, value in samples}


@contextlib.contextmanager
def holding(server: Server, connections: int, **options: Any) -> Iterator[dict[str, Any]]:
    """Connections that are held open and answer pings, and the report on how they were opened.

    Raises:
        RuntimeError: If not all of them could be opened.
    """
    command = load_command("idle", server, {"connections": connections, "hold": True, **options})
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        report = json.loads(process.stdout.readline())
        if report["opened"] < connections:
            raise RuntimeError(f"only {report['opened']} of {connections} connections were opened: {report}")
        yield report
    finally:
        process.kill()
        process.communicate()


def environment(folder: str, env: dict[str, str] | None = None, *, limited: bool = False) -> dict[str, str]:
    """The environment of a gateway and its services, whose socket is in this folder; see ``linkd``."""
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("LINKD_")},
        "LINKD_LINK": f"{folder}/link.sock",
        "LINKD_PORT": "0",
        "LINKD_LOG_FORMAT": "json",
        **({} if limited else _FAR_LIMITS),
        "PYTHONPATH": str(HERE.parent),  # services import what belongs to the benchmarks
        **(env or {}),
    }


def raise_descriptors() -> int:
    """Allow this process, and what it starts from now on, as many descriptors as the machine lets it; how many."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return most


def write_tokens(file: Path, count: int) -> None:
    """Tokens of ``count`` users, one a line, that the gateway of ``linkd`` accepts for an hour."""
    until = int(time.time()) + 3600
    claims = ({"sub": f"u-{number}", "name": f"User {number}", "exp": until} for number in range(count))
    file.write_text("\n".join(jwt.encode(claim, DEVELOPMENT_SECRET, algorithm="HS256") for claim in claims))


@contextlib.contextmanager
def limit(event: str = '{"type":"bench.event","data":{}}') -> Iterator[Server]:
    """An epoll server in C that does nothing but answer: what the machine can do.

    Args:
        event: What everybody else gets when one publishes.
    """
    process = subprocess.Popen([ECHO, "0", event], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        port = json.loads(process.stdout.readline())["listening"]
        yield Server(port, "/", {"limit": process.pid})
    finally:
        process.communicate(timeout=5)


@contextlib.contextmanager
def listening(command: Sequence[str], env: dict[str, str]) -> Iterator[tuple[int, int]]:
    """A process that prints the port it listens on, as ``{"listening": PORT}``; the port and the process's id."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, env=env)
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        if not line:
            raise RuntimeError(f"{' '.join(command)} ended before it listened")
        yield json.loads(line)["listening"], process.pid
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


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


def _ready(port: int, *, secure: bool) -> bool:
    scheme, context = ("https", _ANYBODY) if secure else ("http", None)
    try:
        # S310 asks which scheme it is: one of the two above.
        with urlopen(f"{scheme}://127.0.0.1:{port}/ready", timeout=1, context=context) as answer:  # noqa: S310
            return bool(answer.status == 200)
    except OSError:
        return False
