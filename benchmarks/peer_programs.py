"""The peers of the scenario ``peers``: what they need is installed once, then each is a process of its own."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from . import centrifugo
from .programs import HERE, Server, listening

_FOLDER = HERE / "peers"
_VENV = _FOLDER / ".venv"
_MODULES = _FOLDER / "node_modules"
_REQUIREMENTS = _FOLDER / "requirements.txt"
_PACKAGE = _FOLDER / "package.json"
_INSTALLING = 600.0  # seconds; downloads may be slow, and there is no other way

_SOCKETIO_PATH = "/socket.io/?EIO=4&transport=websocket"


class Peer(NamedTuple):
    """A server to stand beside ours.

    Attributes:
        package: Whose version is told, as its package is called.
        program: Its file: a module in Python, a script of Node's, or what stands behind Centrifugo, in Go.
        path: What a WebSocket asks for.
        dialect: How it wants requests written, as the load generator calls it.
    """

    package: str
    program: str
    path: str = "/"
    dialect: str = "linkd"

    @property
    def language(self) -> str:
        """What it needs: ``python``, ``node`` or ``go``."""
        return {".mjs": "node", ".go": "go"}.get(Path(self.program).suffix, "python")


PEERS = {
    "python-socketio": Peer("python-socketio", "python_socketio", _SOCKETIO_PATH, "socketio"),
    "channels": Peer("channels", "django_channels"),
    "fastapi": Peer("fastapi", "fastapi_websockets"),
    "websockets": Peer("websockets", "websockets_server"),
    "aiohttp": Peer("aiohttp", "aiohttp_server"),
    "ws": Peer("ws", "ws.mjs"),
    "socket.io": Peer("socket.io", "socketio.mjs", _SOCKETIO_PATH, "socketio"),
    "centrifugo": Peer(centrifugo.MODULE, "centrifugo/backend.go", centrifugo.PATH, "centrifugo"),
}


def runnable(names: Sequence[str]) -> list[str]:
    """Those of the peers that this machine can run: Go is not on every one, and a line says who is left out."""
    without_go = [name for name in names if PEERS[name].language == "go" and centrifugo.go() is None]
    for name in without_go:
        print(f"{name} is left out: Go is not installed", flush=True)
    return [name for name in names if name not in without_go]


def install(peers: Sequence[Peer]) -> None:
    """Make the environments that these peers need, unless they are as the files of versions say."""
    languages = {peer.language for peer in peers}
    if "python" in languages:
        _once(_VENV / ".installed", [_REQUIREMENTS], [
            [sys.executable, "-m", "venv", "--clear", str(_VENV)],  # on the interpreter of our own environment
            [str(_VENV / "bin" / "pip"), "install", "-q", "--no-deps", "-r", str(_REQUIREMENTS)],
        ])  # fmt: skip
    if "node" in languages:
        if shutil.which("node") is None or shutil.which("npm") is None:
            raise SystemExit("peers: node and npm are needed, or --only with peers in Python")
        _once(_MODULES / ".installed", [_PACKAGE], [
            ["npm", "install", "--no-audit", "--no-fund", "--no-package-lock", "--prefix", str(_FOLDER)]
        ])  # fmt: skip
    if "go" in languages:
        _once(centrifugo.BUILD / ".installed", centrifugo.SOURCES, [centrifugo.build_command()])


def versions(peers: Sequence[Peer]) -> dict[str, str]:
    """The version of each peer by its package, and of what runs them."""
    node: dict[str, str] = json.loads(_PACKAGE.read_text())["dependencies"]
    pinned = {
        "python": dict(line.split("==") for line in _REQUIREMENTS.read_text().splitlines() if "==" in line),
        "node": node,
        "go": centrifugo.versions(),
    }
    found = {peer.package: pinned[peer.language][peer.package] for peer in peers}
    languages = {peer.language for peer in peers}
    if "node" in languages:
        found["node"] = _told("node", "--version").removeprefix("v")
    if "go" in languages:
        found["go"] = _told(str(centrifugo.go()), "env", "GOVERSION").removeprefix("go")
    found["python"] = ".".join(map(str, sys.version_info[:3]))
    return found


@contextlib.contextmanager
def serving(peer: Peer) -> Iterator[Server]:
    """The peer as a process of its own, ended afterwards; Centrifugo as two."""
    if peer.language == "go":
        with centrifugo.serving() as server:
            yield server
        return
    if peer.language == "node":
        command = ["node", str(_FOLDER / peer.program)]
    else:
        command = [str(_VENV / "bin" / "python"), "-m", f"benchmarks.peers.{peer.program}"]
    env = {**os.environ, "PYTHONPATH": str(HERE.parent), "NODE_ENV": "production"}
    with listening(command, env) as (port, pid):
        yield Server(port, peer.path, {"server": pid})


def _told(*command: str) -> str:
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()


def _once(stamp: Path, wanted: Sequence[Path], commands: Sequence[Sequence[str]]) -> None:
    text = "".join(file.read_text() for file in wanted)
    if stamp.exists() and stamp.read_text() == text:
        return
    for command in commands:
        subprocess.run(command, check=True, timeout=_INSTALLING, stdout=subprocess.DEVNULL)
    stamp.write_text(text)
