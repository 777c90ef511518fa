"""Centrifugo, the peer of two processes: itself, and the program behind it that answers what clients ask.

Both are built of the Go module in ``peers/centrifugo``.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator

from .programs import HERE, Server, listening

MODULE = "github.com/centrifugal/centrifugo/v6"
PATH = "/connection/websocket"
_FOLDER = HERE / "peers" / "centrifugo"
_MODULES = _FOLDER / "go.mod"
BUILD = _FOLDER / "build"
SOURCES = [_MODULES, _FOLDER / "backend.go"]
_USUAL_PLACE = "/usr/local/go/bin"  # where Go's own archive is unpacked to, which is not on every path
_STARTUP = 20.0  # seconds


def go() -> str | None:
    """The Go command, if it is installed."""
    return shutil.which("go", path=os.pathsep.join([os.environ.get("PATH", ""), _USUAL_PLACE]))


def build_command() -> list[str]:
    """What builds both programs."""
    return [str(go()), "-C", str(_FOLDER), "build", "-o", "build/", ".", MODULE]


def versions() -> dict[str, str]:
    """The versions of the modules that the programs are built of."""
    return dict(re.findall(r"^\s+(\S+) v(\S+)", _MODULES.read_text(), re.MULTILINE))


@contextlib.contextmanager
def serving() -> Iterator[Server]:
    """Both processes, ended afterwards."""
    port, api = _free_ports()
    settings = {name: value for name, value in os.environ.items() if not name.startswith("CENTRIFUGO_")}
    with listening([str(BUILD / "backend"), f"127.0.0.1:{api}"], settings) as (backend_port, backend):
        settings |= {
            "CENTRIFUGO_HTTP_SERVER_PORT": str(port),
            "CENTRIFUGO_GRPC_API_PORT": str(api),
            "CENTRIFUGO_RPC_PROXY_ENDPOINT": f"grpc://127.0.0.1:{backend_port}",
        }
        process = subprocess.Popen([BUILD / "centrifugo", "--config", _FOLDER / "config.json"], env=settings)
        try:
            _await(port, process)
            _await(api, process)
            yield Server(port, PATH, {"server": process.pid, "backend": backend})
        finally:
            process.kill()
            process.wait()


def _free_ports() -> tuple[int, int]:
    """Two ports that nobody has just now: Centrifugo does not tell which ones it was given."""
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        return one.getsockname()[1], other.getsockname()[1]


def _await(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _STARTUP
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("Centrifugo did not begin to listen") from None
        time.sleep(0.05)
