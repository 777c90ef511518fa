"""Real NATS servers for tests: each with a folder and a free port of its own, ended by process id."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from .program import ServerProgram


class NatsServer(ServerProgram):
    """A server. It keeps its port when it is started again.

    Args:
        folder: For its configuration and its log.
        configuration: Beside the port, in its own language.
        neighbour: One with which it makes a cluster.
    """

    def __init__(self, folder: Path, configuration: str = "", *, neighbour: NatsServer | None = None) -> None:
        self._folder = folder
        self._configuration = configuration
        self._route = "" if neighbour is None else f"routes: [{neighbour.cluster}]"
        self.port = 0
        self.cluster: str = ""

    def start(self) -> None:
        """Start it, and wait until it listens."""
        self._folder.mkdir(parents=True, exist_ok=True)
        ports = self._folder / "ports"
        shutil.rmtree(ports, ignore_errors=True)
        ports.mkdir()
        cluster = self.cluster.removeprefix("nats://") or "127.0.0.1:-1"
        file = self._folder / "nats.conf"
        file.write_text(
            f"listen: 127.0.0.1:{self.port or -1}\nports_file_dir: {ports}\n{self._configuration}\n"
            f"cluster {{ name: tests, listen: {cluster}, no_advertise: true, {self._route} }}\n"
        )
        binary = Path(sys.prefix) / "bin" / "nats-server"
        if not binary.exists():
            pytest.fail(f"there is no {binary}: run scripts/setup dev", pytrace=False)
        with (self._folder / "log").open("ab") as log:
            self.process = subprocess.Popen([binary, "-c", file], stdout=log, stderr=log)
        if not self.begins(lambda: any(file.read_text() for file in ports.glob("*.ports"))):
            pytest.fail(f"NATS did not start:\n{(self._folder / 'log').read_text()}", pytrace=False)
        known = json.loads(next(ports.glob("*.ports")).read_text())
        self.port = int(known["nats"][0].rpartition(":")[2])
        self.cluster = known["cluster"][0]

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"nats://127.0.0.1:{self.port}"
