"""How long a start takes, and how long answers stay away while a service is replaced under load.

Everything is started as a user does, with the files in the kernel's cache and compiled. Beside it stands what Python
itself takes, which is the limit.
"""

from __future__ import annotations

import argparse
import contextlib
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any
from urllib.request import urlopen

from . import tables
from .callers import Callers
from .programs import HERE, environment
from .raw_client import HandshakeError, frame, open_clients

_PATH = "/ws/bench"
_LINKD = ("-m", "pylinkd")
_CALLERS = 20
_RATE = 200  # questions a second of all callers
_BEFORE = 1.0  # seconds of calls before a redeploy
_AFTER = 1.0  # and after it
_LOOK = 0.002  # seconds between two attempts
_PATIENCE = 20.0  # seconds
_ALONE = "import os; from benchmarks.echo_service import service; service.run(os.environ['LINKD_LINK'])"
_QUESTION = frame(b'{"type":"bench.echo","data":{"text":"anybody there?"},"id":1}')


def arguments(parser: argparse.ArgumentParser) -> None:
    """See __main__.Scenario."""
    parser.add_argument("--rounds", type=int, default=5, help="how often each start is measured")
    parser.add_argument("--redeploys", type=int, default=3, help="how often each way to redeploy is")


def run(options: argparse.Namespace) -> dict[str, Any]:
    """All starts, in turn, then redeploys."""
    starts: dict[str, list[float]] = {}

    def add(name: str, seconds: float) -> None:
        starts.setdefault(name, []).append(seconds)

    with TemporaryDirectory(prefix="linkd-bench-") as folder, contextlib.ExitStack() as stack:
        installation = stack.enter_context(_installation(folder))
        for _ in range(options.rounds):
            add("python -c pass", _python("pass"))
            add("python -c 'import pylinkd'", _python("import pylinkd"))
            add("service by service.run(), to the answer of a message that waits", installation.restart_service(_ALONE))
            add("service by linkd run, to the same", installation.restart_service())
            http, handshake = installation.restart_gateway()
            add("gateway, to its first HTTP answer", http)
            add("gateway, to a handshake: a service was waiting", handshake)
        ways: dict[str, Callable[[], None]] = {
            "stop the old, then start the new": installation.stop_and_start,
            "start the new, then stop the old": installation.start_and_stop,
        }
        redeploys = {name: [installation.redeploy(way) for _ in range(options.redeploys)] for name, way in ways.items()}
    return {"starts": starts, "redeploys": redeploys}


class Installation:
    """A gateway on a fixed port with one service, each of which can be replaced.

    Args:
        folder: For the link's socket and the logs.
    """

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder)
        self._port = _free_port()
        self._env = environment(folder, {"LINKD_PORT": str(self._port)})
        self._started = 0
        self.gateway = self._start(*_LINKD, "serve")
        self.service = self._start_service()
        self._wait_ready()

    def stop(self) -> None:
        """End both at once."""
        for process in (self.service, self.gateway):
            process.kill()
            process.wait()

    def restart_service(self, program: str | None = None) -> float:
        """Seconds from exec until a client, connected before, has the answer to a message that was parked.

        Args:
            program: What Python runs instead of ``linkd run``.
        """
        (client,) = open_clients(self._port, _PATH, 1)
        with client:
            client.settimeout(_PATIENCE)
            _end(self.service)
            client.sendall(_QUESTION)
            time.sleep(0.1)  # it is parked by then
            begun = time.monotonic()
            self.service = self._start_service() if program is None else self._start("-c", program)
            answer = client.recv(4096)
            seconds = time.monotonic() - begun
        if b'"response"' not in answer:
            raise RuntimeError(f"the parked message was answered with {answer!r}")
        return seconds

    def restart_gateway(self) -> tuple[float, float]:
        """Seconds from exec until it answers over HTTP, and until a handshake is accepted."""
        _end(self.gateway)
        begun = time.monotonic()
        self.gateway = self._start(*_LINKD, "serve")
        _until(self._is_live)
        live = time.monotonic()
        _until(self._is_open)
        return live - begun, time.monotonic() - begun

    def redeploy(self, way: Callable[[], None]) -> dict[str, Any]:
        """Replace the service under calls."""
        with Callers(self._port, _CALLERS, _RATE) as callers:
            time.sleep(_BEFORE)
            begun = time.monotonic()
            way()
            done = time.monotonic()
            _until(lambda: callers.answered_since(done))
            time.sleep(_AFTER)
        return {**callers.figures(), "seconds": done - begun}

    def stop_and_start(self) -> None:
        """With one instance at a time."""
        _end(self.service)
        self.service = self._start_service()

    def start_and_stop(self) -> None:
        """With both for a moment."""
        old, self.service = self.service, self._start_service()
        log = self._log()
        _until(lambda: '"service_started"' in log.read_text())
        _end(old)

    def _start_service(self) -> subprocess.Popen[bytes]:
        return self._start(*_LINKD, "run", str(HERE / "echo_service.py"))

    def _start(self, *arguments: str) -> subprocess.Popen[bytes]:
        self._started += 1
        with self._log().open("wb") as log:
            return subprocess.Popen([sys.executable, *arguments], stdout=log, stderr=log, env=self._env)

    def _log(self) -> Path:
        """Of what was started last."""
        return self._folder / f"{self._started}.log"

    def _is_live(self) -> bool:
        return self._answers("live")

    def _wait_ready(self) -> None:
        _until(lambda: self._answers("ready"))

    def _answers(self, path: str) -> bool:
        try:
            with urlopen(f"http://127.0.0.1:{self._port}/{path}", timeout=1) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def _is_open(self) -> bool:
        try:
            (client,) = open_clients(self._port, _PATH, 1)
        except (OSError, HandshakeError):
            return False
        client.close()
        return True


@contextlib.contextmanager
def _installation(folder: str) -> Iterator[Installation]:
    installation = Installation(folder)
    try:
        yield installation
    finally:
        installation.stop()


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _python(program: str) -> float:
    begun = time.monotonic()
    subprocess.run([sys.executable, "-c", program], check=True)
    return time.monotonic() - begun


def _end(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    process.wait(_PATIENCE)


def _until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not true():
        if time.monotonic() > deadline:
            raise TimeoutError("it did not happen in time")
        time.sleep(_LOOK)


def table(results: dict[str, Any]) -> str:
    """See __main__.Scenario."""
    starts = [
        [name, *(1000 * figure for figure in (median(seconds), min(seconds), max(seconds)))]
        for name, seconds in results["starts"].items()
    ]
    counts = ("asked", "errors", "lost", "surplus", "closed")
    redeploys = [
        [
            name,
            *(1000 * median(one[key] for one in rounds) for key in ("gap", "wait")),
            1000 * max(one["wait"] for one in rounds),
            *(sum(one[count] for one in rounds) for count in counts),
        ]
        for name, rounds in results["redeploys"].items()
    ]
    head = [f"a redeploy under {_RATE} questions/s", "longest gap ms", "longest wait ms", "worst", *counts]
    return "\n\n".join(
        (
            tables.lines(["from exec", "median ms", "min", "max"], starts),
            tables.lines(head, redeploys),
        )
    )
