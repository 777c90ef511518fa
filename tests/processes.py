"""Real gateway and service processes for tests, on free ports and in temporary folders, stopped by process id."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import functools
import json
import os
import signal
import ssl
import sys
import time
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, ClassVar

import httpx
import jwt

from pylinkd.cli.child import arguments_for
from pylinkd.gateway.settings import DEVELOPMENT_SECRET
from tests.certificates import Certificate, trust
from tests.fork_server import ForkedProcess, ForkServer

ROOT = Path(__file__).parent.parent
_COVERED = "COVERAGE_PROCESS_CONFIG" in os.environ  # each process has to be measured from its first import
STARTUP = 20.0  # seconds; a busy machine may take long to import everything


def resident(pid: int) -> int:
    """Memory of a process in bytes."""
    text = Path(f"/proc/{pid}/status").read_text()
    return int(text.partition("VmRSS:")[2].split()[0]) * 1024


def make_token(
    user: str = "u-1",
    *,
    name: str = "Una",
    roles: tuple[str, ...] = (),
    ttl: float = 3600,
    secret: str = DEVELOPMENT_SECRET,
    algorithm: str = "HS256",
    **claims: Any,
) -> str:
    """A token as ``linkd token`` makes it, with whatever a test wants wrong in it."""
    now = int(time.time())
    body = {"sub": user, "name": name, "roles": list(roles), "iat": now, "exp": int(now + ttl), **claims}
    return jwt.encode(body, secret if algorithm != "none" else "", algorithm=algorithm)


class Program:
    """A process of ours, with the JSON lines that it logged."""

    def __init__(self, process: Process | ForkedProcess, log: Path) -> None:
        self.process = process
        self._log = log

    def logged(self, event: str | None = None) -> list[dict[str, Any]]:
        """The log's lines, or those of one event."""
        lines = []
        for line in self._log.read_text().splitlines():
            with contextlib.suppress(ValueError):
                record = json.loads(line)
                if event is None or record["event"] == event:
                    lines.append(record)
        return lines

    def text(self) -> str:
        """All that was printed."""
        return self._log.read_text()

    async def wait_logged(self, event: str, count: int = 1, timeout: float = STARTUP) -> dict[str, Any]:
        """The ``count``-th line of this event, once it is there."""
        deadline = time.monotonic() + timeout
        while len(found := self.logged(event)) < count:
            if self.process.returncode is not None or time.monotonic() > deadline:
                raise AssertionError(f"{event!r} was not logged {count} times; the log:\n{self.text()}")
            await asyncio.sleep(0.02)
        return found[count - 1]

    async def stop(self, number: int = signal.SIGTERM, timeout: float = 20.0) -> int:
        """Send a signal and wait for the end; the exit status."""
        if self.process.returncode is None:
            self.process.send_signal(number)
        async with asyncio.timeout(timeout):
            return await self.process.wait()

    async def kill(self) -> None:
        """End it as ``kill -9`` does."""
        await self.stop(signal.SIGKILL)


@functools.cache
def fork_server() -> ForkServer:
    """This process's, started when it is first needed."""
    server = ForkServer()
    atexit.register(server.close)
    return server


async def start_program(
    folder: Path, name: str, *arguments: str, env: dict[str, str] | None = None, forked: bool = True
) -> Program:
    """Start ``linkd`` with these arguments; its output goes to a file in ``folder``.

    Args:
        folder: It is made if it is not there.
        name: Of the file.
        arguments: Of the command.
        env: What is set beside what this process has set.
        forked: Have it forked with everything imported (fork_server.py), and not started as users do.
    """
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / f"{name}-{time.monotonic_ns()}.log"
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("LINKD_")}
    full = {**inherited, "LINKD_LOG_FORMAT": "json", **(env or {})}
    with log.open("wb") as output:
        if forked and not _COVERED:
            return Program(fork_server().start(arguments, full, output.fileno()), log)
        process = await asyncio.create_subprocess_exec(
            sys.executable, *arguments_for(*arguments),  # which end with this process, however it ends
            stdout=output, stderr=output, stdin=asyncio.subprocess.DEVNULL, cwd=ROOT, env=full,
        )  # fmt: skip
    return Program(process, log)


class Platform:
    """A gateway and any number of services on one link.

    Args:
        folder: A temporary folder of the test's.
        env: Settings for every process, such as ``LINKD_MAX_MESSAGE_SIZE``.
        certificate: What the gateway serves TLS with; ``None``: the default one, if the run has any.

    Attributes:
        programs: Everything that was started, in order.
        expects_drift: A test has a client count wrongly.
    """

    default_certificate: ClassVar[Certificate | None] = None
    """The run's, set once by ``--tls``; ``None``: plain TCP."""

    def __init__(
        self, folder: Path, env: dict[str, str] | None = None, *, certificate: Certificate | None = None
    ) -> None:
        self._folder = folder
        self.expects_drift = False
        self.programs: list[Program] = []
        self.link = folder / "link.sock"
        self.certificate = certificate or self.default_certificate
        # No grace after the start, and no waiting for a service: what is not there is to be missing at once.
        self.env = {
            "LINKD_LINK": str(self.link),
            "LINKD_PORT": "0",
            "LINKD_ADMIN_PORT": "0",
            "LINKD_STARTUP_GRACE_MS": "0",
            "LINKD_PARK_TIMEOUT_MS": "0",
            # Tests are one address and often one user, and in a hurry.
            "LINKD_LIMITS": "off",
            "LINKD_MAX_CONNECTIONS_PER_USER": "0",
            **({} if self.certificate is None else self.certificate.env),
            **(env or {}),
        }
        self.gateway: Program
        self.port = 0
        self.admin = ""

    async def start_gateway(self) -> Program:
        """Start the gateway, on the same port if there was one before."""
        if self.port:
            self.env["LINKD_PORT"] = str(self.port)
        self.gateway = await start_program(self._folder, "gateway", "serve", env=self.env)
        self.programs.append(self.gateway)
        started = await self.gateway.wait_logged("gateway_started")
        self.port = int(started["address"].rpartition(":")[2])
        self.admin = started["admin"]
        self.env["LINKD_LINK"] = started["link"]  # with the port that was taken, where it is one
        return self.gateway

    async def start_service(self, target: str | Path, env: dict[str, str] | None = None) -> Program:
        """Start a service (``path.py`` or ``module:name``) and wait until the gateway has taken it."""
        service = await start_program(self._folder, "service", "run", str(target), env={**self.env, **(env or {})})
        self.programs.append(service)
        await service.wait_logged("service_started")
        return service

    def url(self, path: str, token: str | None = None) -> str:
        """The WebSocket URL of a path."""
        scheme = "ws" if self.certificate is None else "wss"
        query = "" if token is None else f"?token={token}"
        return f"{scheme}://127.0.0.1:{self.port}{path}{query}"

    @property
    def http(self) -> str:
        """The HTTP URL of the gateway."""
        scheme = "http" if self.certificate is None else "https"
        return f"{scheme}://127.0.0.1:{self.port}"

    @property
    def trust(self) -> ssl.SSLContext | None:
        """What a client of the gateway needs to trust it; ``None``: it speaks plain TCP."""
        return trust(self.http)

    def http_client(self, timeout: float = 5.0) -> httpx.AsyncClient:
        """An HTTP client of the gateway: it trusts it, and a path is enough of a URL."""
        return httpx.AsyncClient(base_url=self.http, verify=self.trust or True, timeout=timeout, trust_env=False)

    async def wait_ready(self) -> None:
        """Wait until a service takes messages."""
        deadline = time.monotonic() + STARTUP
        async with self.http_client() as client:
            while (await client.get("/ready")).status_code != 200:
                assert time.monotonic() < deadline, "no service became ready"
                await asyncio.sleep(0.02)

    async def close(self) -> None:
        """End every process that this started. Nowhere may gateway and client have counted differently."""
        for program in reversed(self.programs):
            if program.process.returncode is None:
                await program.kill()
        drifted = [line for program in self.programs for line in program.logged("stream_drifted")]
        assert not drifted or self.expects_drift, drifted


@contextlib.asynccontextmanager
async def platform(
    folder: Path, *targets: str | Path, env: dict[str, str] | None = None, certificate: Certificate | None = None
) -> AsyncIterator[Platform]:
    """A running gateway with these services."""
    running = Platform(folder, env, certificate=certificate)
    try:
        await running.start_gateway()
        for target in targets:
            await running.start_service(target)
        yield running
    finally:
        await running.close()
