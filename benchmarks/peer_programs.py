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

from .programs import HERE, Server

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
        program: Its file: a module in Python, or a script of Node's.
        path: What a WebSocket asks for.
        dialect: How it wants requests written, as the load generator calls it.
    """

    package: str
    program: str
    path: str = "/"
    dialect: str = "linkd"

    @property
    def is_node(self) -> bool:
        """Whether Node runs it."""
        return self.program.endswith(".mjs")


PEERS = {
    "python-socketio": Peer("python-socketio", "python_socketio", _SOCKETIO_PATH, "socketio"),
    "channels": Peer("channels", "django_channels"),
    "fastapi": Peer("fastapi", "fastapi_websockets"),
    "websockets": Peer("websockets", "websockets_server"),
    "aiohttp": Peer("aiohttp", "aiohttp_server"),
    "ws": Peer("ws", "ws.mjs"),
    "socket.io": Peer("socket.io", "socketio.mjs", _SOCKETIO_PATH, "socketio"),
}


def install(peers: Sequence[Peer]) -> None:
    """Make the environments that these peers need, unless they are as the files of versions say."""
    if any(not peer.is_node for peer in peers):
        _once(_VENV / ".installed", _REQUIREMENTS, [
            [sys.executable, "-m", "venv", "--clear", str(_VENV)],  # on the interpreter of our own environment
            [str(_VENV / "bin" / "pip"), "install", "-q", "--no-deps", "-r", str(_REQUIREMENTS)],
        ])  # fmt: skip
    if any(peer.is_node for peer in peers):
        if shutil.which("node") is None or shutil.which("npm") is None:
            raise SystemExit("peers: node and npm are needed, or --only with peers in Python")
        _once(_MODULES / ".installed", _PACKAGE, [
            ["npm", "install", "--no-audit", "--no-fund", "--no-package-lock", "--prefix", str(_FOLDER)]
        ])  # fmt: skip


def versions(peers: Sequence[Peer]) -> dict[str, str]:
    """The version of each peer by its package, and of what runs them."""
    pinned = dict(line.split("==") for line in _REQUIREMENTS.read_text().splitlines() if "==" in line)
    node: dict[str, str] = json.loads(_PACKAGE.read_text())["dependencies"]
    found = {peer.package: (node if peer.is_node else pinned)[peer.package] for peer in peers}
    if any(peer.is_node for peer in peers):
        answer = subprocess.run(["node", "--version"], stdout=subprocess.PIPE, text=True, check=True)
        found["node"] = answer.stdout.strip().removeprefix("v")
    found["python"] = ".".join(map(str, sys.version_info[:3]))
    return found


@contextlib.contextmanager
def serving(peer: Peer) -> Iterator[Server]:
    """The peer as a process of its own, ended afterwards."""
    if peer.is_node:
        command = ["node", str(_FOLDER / peer.program)]
    else:
        command = [str(_VENV / "bin" / "python"), "-m", f"benchmarks.peers.{peer.program}"]
    env = {**os.environ, "PYTHONPATH": str(HERE.parent), "NODE_ENV": "production"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, env=env)
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        if not line:
            raise RuntimeError(f"{peer.program} ended before it listened")
        yield Server(json.loads(line)["listening"], peer.path, {"server": process.pid})
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def _once(stamp: Path, wanted: Path, commands: Sequence[Sequence[str]]) -> None:
    if stamp.exists() and stamp.read_text() == wanted.read_text():
        return
    for command in commands:
        subprocess.run(command, check=True, timeout=_INSTALLING, stdout=subprocess.DEVNULL)
    stamp.write_text(wanted.read_text())
