"""A gateway and several instances of one service, each of which may be stopped, killed, or put to sleep."""

from __future__ import annotations

import asyncio
import itertools
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

from .programs import environment

_STARTUP = 30.0  # seconds
_SHUTDOWN = 60.0  # seconds; a gateway takes 30 for its clients
_LOOK = 0.02  # seconds between two looks at a log or a process


class Program:
    """A process of ours, and its log."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self._process = process
        self._log = log

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        self._process.send_signal(number)

    async def logged(self, pattern: str) -> re.Match[str]:
        """Wait until the log matches.

        Raises:
            RuntimeError: If it does not, in time.
        """
        deadline = time.monotonic() + _STARTUP
        while (match := re.search(pattern, self._log.read_text())) is None:
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{self._log.read_text()}\nnothing in it matches {pattern}")
            await asyncio.sleep(_LOOK)
        return match

    async def ended(self) -> int:
        """Wait for its end; its exit status.

        Raises:
            RuntimeError: If it does not end in time.
        """
        deadline = time.monotonic() + _SHUTDOWN
        while self._process.poll() is None:
            if time.monotonic() > deadline:
                raise RuntimeError(f"process {self.pid} did not end:\n{self._log.read_text()}")
            await asyncio.sleep(_LOOK)
        return self._process.wait()

    async def stop(self) -> int:
        """Send SIGTERM, if it runs, and wait for the end; its exit status."""
        self.signal(signal.SIGTERM)
        return await self.ended()

    async def kill(self) -> float:
        """Send SIGKILL, and wait for the end; when it was sent."""
        at = time.monotonic()
        self.signal(signal.SIGKILL)
        await self.ended()
        return at

    def dispose(self) -> None:
        """End it, whatever its state."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()


class Fleet:
    """What runs.

    Args:
        folder: For logs and the link's socket; services find it as ``BENCH_FOLDER``.
        target: The service.
        env: Settings of all processes.

    Attributes:
        instances: Of the service, those that should be running.
        port: Of the gateway.
    """

    def __init__(self, folder: Path, target: Path, env: dict[str, str]) -> None:
        self._folder = folder
        self._target = target
        self._env = environment(str(folder), {"BENCH_FOLDER": str(folder), **env})
        self._numbers = itertools.count()
        self._started: list[Program] = []
        self.instances: list[Program] = []
        self.gateway: Program
        self.port = 0

    def _start(self, *arguments: str) -> Program:
        log = self._folder / f"{arguments[0]}-{next(self._numbers)}.log"
        command = [sys.executable, "-m", "pylinkd", *arguments]
        with log.open("wb") as output:
            process = subprocess.Popen(command, stdout=output, stderr=output, env=self._env)
        program = Program(process, log)
        self._started.append(program)
        return program

    async def start_gateway(self) -> None:
        """Start it and wait until it listens."""
        self.gateway = self._start("serve")
        started = await self.gateway.logged(r'"address": "https?://127.0.0.1:(\d+)"')
        self.port = int(started.group(1))

    async def start_instance(self) -> Program:
        """Start one more and wait until the gateway has taken it."""
        instance = self._start("run", str(self._target))
        self.instances.append(instance)
        await instance.logged('"event": "service_started"')
        return instance

    async def stop_instance(self, instance: Program) -> int:
        """Stop one in good order; its exit status."""
        self.instances.remove(instance)
        return await instance.stop()

    async def kill_instance(self, instance: Program) -> float:
        """Kill one; when."""
        self.instances.remove(instance)
        return await instance.kill()

    def dispose(self) -> None:
        """End everything that is left."""
        for program in self._started:
            program.dispose()
