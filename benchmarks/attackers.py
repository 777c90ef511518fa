"""A process of the scenario ``hostile``: clients of one bad manner, from ``go`` on standard input to its end.

All are members of the room. At the end it prints what became of them.
"""

from __future__ import annotations

import argparse
import json
import os
import selectors
import socket
import sys
import time
import zlib
from collections import Counter, deque
from collections.abc import Callable
from typing import Any

from .raw_client import HandshakeError, close_code, frame, open_clients

_PATH = "/ws/bench"
_LONGEST = 120.0  # seconds; nobody is left behind who floods for ever
_TAIL = 256  # bytes; longer than any close frame
_JOIN = frame(b'{"type":"bench.join","id":1}')
_SMALLEST_BUFFER = 4096  # bytes; a client that does not read is felt the sooner
_DRAIN = 10.0  # seconds for what waits in the kernel when those who did not read look at last

_BOMB_SIZE = 10 * 2**20  # bytes; the limit is 64 KiB
_BOMBS_EACH = 300
_BOMB_PAUSE = 0.05  # seconds
_SWARM_PAUSE = 0.0025  # seconds
_SWARM_PARTS = 20  # pauses between two blocks of messages of one client
_SWARM_STEP = 5  # connections that are opened at once
_DEFLATE = "Sec-WebSocket-Extensions: permessage-deflate"


class Attackers:
    """The open connections, the last bytes of each, and how those ended that did.

    Attributes:
        ends: Close codes, or ``reset`` where none was seen, by number of connections.
        sent: Bytes.
    """

    def __init__(self) -> None:
        self.selector = selectors.DefaultSelector()
        self.tails: dict[socket.socket, bytes] = {}
        self.ends: Counter[str] = Counter()
        self.sent = 0

    def add(self, client: socket.socket) -> None:
        """Keep a connection, which joins the room."""
        client.send(_JOIN)
        self.tails[client] = b""
        self.selector.register(client, selectors.EVENT_READ)

    def read(self, client: socket.socket) -> None:
        """Take what came; notice the end."""
        try:
            data = client.recv(2**18)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            tail = self.tails[client] = data[-_TAIL:] if len(data) >= _TAIL else (self.tails[client] + data)[-_TAIL:]
            if close_code(tail) is None:
                return
        self.end(client)

    def end(self, client: socket.socket) -> None:
        """Count how it ended and close it."""
        self.ends[str(close_code(self.tails.pop(client)) or "reset")] += 1
        if client in self.selector.get_map():
            self.selector.unregister(client)
        client.close()

    def send(self, client: socket.socket, data: bytes | memoryview) -> int:
        """Send as much as goes; an end is found when reading."""
        try:
            sent = client.send(data)
        except OSError:
            return 0
        self.sent += sent
        return sent

    def serve(self, every: float, turn: Callable[[], object] = lambda: None) -> None:
        """Read from all of them until standard input ends, and do something in between."""
        self.selector.register(sys.stdin, selectors.EVENT_READ)
        until = time.monotonic() + _LONGEST
        due = 0.0
        while (now := time.monotonic()) < until:
            if now >= due:
                due = now + every
                turn()
            for key, _ in self.selector.select(max(0.0, due - time.monotonic())):
                if key.fileobj is sys.stdin:
                    return
                assert isinstance(key.fileobj, socket.socket)
                self.read(key.fileobj)


def stall(options: argparse.Namespace, attackers: Attackers) -> dict[str, Any]:
    """Read nothing."""
    for client in open_clients(options.port, _PATH, options.count, receive_buffer=_SMALLEST_BUFFER):
        attackers.add(client)
        attackers.selector.unregister(client)
    _ready()
    attackers.serve(60.0)
    attackers.selector.unregister(sys.stdin)
    for client in attackers.tails:
        attackers.selector.register(client, selectors.EVENT_READ)
    until = time.monotonic() + _DRAIN
    while attackers.tails and (left := until - time.monotonic()) > 0:
        ready = attackers.selector.select(min(left, 1.0))
        if not ready:
            break  # whoever is still open has read everything
        for key, _ in ready:
            assert isinstance(key.fileobj, socket.socket)
            attackers.read(key.fileobj)
    return {}


def trickle(options: argparse.Namespace, attackers: Attackers) -> dict[str, Any]:
    """Send one byte of a valid message a second."""
    for client in open_clients(options.port, _PATH, options.count):
        attackers.add(client)
    _ready()
    message = frame(json.dumps({"type": "bench.echo", "data": "x" * 100, "id": 2}).encode())
    rest = deque(message[at : at + 1] for at in range(len(message)))

    def drop() -> None:
        byte = rest.popleft()
        rest.append(byte)
        for client in attackers.tails:
            attackers.send(client, byte)

    attackers.serve(1.0, drop)
    return {}


def flood(options: argparse.Namespace, attackers: Attackers) -> dict[str, Any]:
    """Send messages as fast as the gateway reads."""
    for client in open_clients(options.port, _PATH, options.count):
        attackers.add(client)
    _ready()
    message = frame(b'{"type":"bench.echo","data":"' + b"x" * 64 + b'","id":2}')
    block = memoryview(message * 500)
    at: dict[socket.socket, int] = {}

    def pour() -> None:
        for client in list(attackers.tails):
            begun = at.get(client, 0)
            at[client] = (begun + attackers.send(client, block[begun:])) % len(block)

    attackers.serve(0.005, pour)
    return {"messages": attackers.sent // len(message)}  # to the kernel, which may hold many of them


def bomb(options: argparse.Namespace, attackers: Attackers) -> dict[str, Any]:
    """Send a small message that inflates to a large one, and come again after each close."""
    deflater = zlib.compressobj(9, zlib.DEFLATED, -15)
    text = b'{"type":"bench.echo","data":"' + b"x" * _BOMB_SIZE + b'","id":2}'
    deflated = (deflater.compress(text) + deflater.flush(zlib.Z_SYNC_FLUSH))[:-4]
    explosive = frame(deflated, compressed=True)
    _ready()
    left = options.count * _BOMBS_EACH
    thrown = refused = 0

    def throw() -> None:
        nonlocal left, thrown, refused
        wanted = min(options.count - len(attackers.tails), left)
        try:
            for client in open_clients(options.port, _PATH, wanted, headers=[_DEFLATE]):
                attackers.add(client)
                attackers.send(client, explosive)
                thrown += 1
                left -= 1
        except (HandshakeError, OSError):
            refused += 1

    attackers.serve(_BOMB_PAUSE, throw)
    return {"bombs": thrown, "bytes": len(deflated), "inflated": len(text), "refused": refused}


def swarm(options: argparse.Namespace, attackers: Attackers) -> dict[str, Any]:
    """Send 1,000 messages a second on each connection, and come again after each close."""
    _ready()
    message = frame(b'{"type":"bench.echo","data":{"text":"' + b"x" * 64 + b'"},"id":2}')
    block = message * round(1000 * _SWARM_PAUSE * _SWARM_PARTS)
    until = time.monotonic() + options.seconds
    counts = {"opened": 0, "refused": 0}

    turn = 0

    def storm() -> None:
        nonlocal turn
        turn = (turn + 1) % _SWARM_PARTS
        try:
            wanted = min(_SWARM_STEP, options.count - len(attackers.tails))
            for client in open_clients(options.port, _PATH, wanted, source=options.source):
                attackers.tails[client] = b""
                attackers.selector.register(client, selectors.EVENT_READ)
                counts["opened"] += 1
        except (HandshakeError, OSError):
            counts["refused"] += 1
        # A thousand clients are no choir: each has its moment.
        for client in list(attackers.tails)[turn::_SWARM_PARTS]:
            attackers.send(client, block)

    due = 0.0
    while (now := time.monotonic()) < until:
        if now >= due:
            due = now + _SWARM_PAUSE
            storm()
        for key, _ in attackers.selector.select(max(0.0, due - time.monotonic())):
            assert isinstance(key.fileobj, socket.socket)
            attackers.read(key.fileobj)
    return {**counts, "messages": attackers.sent // len(message)}


_MANNERS = {"swarm": swarm, "stall": stall, "trickle": trickle, "flood": flood, "bomb": bomb}


def _ready() -> None:
    print("ready", flush=True)
    os.read(sys.stdin.fileno(), 1)  # unbuffered: the selector watches the same pipe


def main() -> None:
    """Read the command line and behave badly."""
    parser = argparse.ArgumentParser()
    parser.add_argument("manner", choices=list(_MANNERS))
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--source", default="127.0.0.1", help="address to connect from")
    parser.add_argument("--seconds", type=float, default=30, help="of a swarm")
    options = parser.parse_args()
    attackers = Attackers()
    more = _MANNERS[options.manner](options, attackers)
    ends = dict(attackers.ends) | ({"open": len(attackers.tails)} if attackers.tails else {})
    print(json.dumps({"clients": options.count, "ends": ends, "sent_bytes": attackers.sent, **more}), flush=True)


if __name__ == "__main__":
    main()
