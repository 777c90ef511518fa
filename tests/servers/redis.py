"""A real Redis for tests: a folder and a free port of its own, ended by process id."""

from __future__ import annotations

import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from .program import ServerProgram

_ATTEMPTS = 5  # another process may take a port that was free a moment ago


class RedisServer(ServerProgram):
    """A server. It keeps its port when it is started again, and nothing else.

    Args:
        folder: For its log.
        options: Beside the port, as on its command line.
    """

    def __init__(self, folder: Path, *options: str) -> None:
        self._folder = folder
        self._options = options
        self.port = 0

    def start(self) -> None:
        """Start it, and wait until it listens."""
        binary = shutil.which("redis-server")
        if binary is None:
            pytest.fail("Redis is not installed: apt-get install redis-server", pytrace=False)
        self._folder.mkdir(parents=True, exist_ok=True)
        log = self._folder / "log"
        for _ in range(_ATTEMPTS):
            port = self.port or _free_port()
            command = [binary, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(self._folder)]
            with log.open("wb") as output:
                self.process = subprocess.Popen([*command, *self._options], stdout=output, stderr=output)
            if self.begins(lambda: "Ready to accept connections" in log.read_text()):
                self.port = port
                return
        pytest.fail(f"Redis did not start:\n{log.read_text()}", pytrace=False)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"redis://127.0.0.1:{self.port}"


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port
