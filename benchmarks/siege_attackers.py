"""A process of the siege: one client at its worst, in one way (siege_ways.py), on many connections.

It says ``ready``, waits for ``go`` on standard input, attacks for its time, and prints what became of it.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import re
import selectors
import socket
import sys
import time
from collections import Counter
from typing import Any

from .programs import raise_descriptors
from .raw_client import HandshakeError, close_code, connect, open_clients
from .siege_ways import WAYS, Way

_ADDRESSES = 8  # a gateway limits what one address may have; who attacks has some
_FIRST_ADDRESS = 66
_LOOK = 1.0  # seconds between two looks at whether connections that are not read from are there still
_ENDED = (7, 8)  # TCP_CLOSE, TCP_CLOSE_WAIT: the first byte of TCP_INFO (Linux, net/tcp_states.h)
_TURN = 0.01  # seconds between two looks at who is missing, and who may send again
_OPENED_AT_ONCE = 20  # connections of a turn, until all are there
_OPENED_AGAIN = 1  # of a turn, instead of those that ended: what is meant is no flood of handshakes
_LEFT = 2**23  # bytes that a connection which did not read may find at last
_TAIL = 512  # bytes that came last; longer than a head or a close frame of ours
_STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")


class Attacker:
    """One connection.

    Attributes:
        begun: When it was opened.
        sent: Bytes of the way's block.
        due: When the next block may be sent.
        at: How much of the present block has been sent.
        gone: When it was found to have ended, if it is not read from.
        tail: What came last.
    """

    __slots__ = ("at", "begun", "due", "gone", "sent", "socket", "tail")

    def __init__(self, client: socket.socket, now: float) -> None:
        self.socket = client
        self.begun = self.due = now
        self.sent = 0
        self.at = 0
        self.gone: float | None = None
        self.tail = b""


class Attack:
    """All connections of the way.

    Attributes:
        counts: Connections opened and refused, and bytes sent.
        ends: Of connections: HTTP status, close code, or ``cut``.
        longest: Seconds for which a connection was open, at most.
    """

    def __init__(self, way: Way, port: int) -> None:
        self._way = way
        self._port = port
        self._block = memoryview(way.block)
        self._selector = selectors.DefaultSelector()
        self._sources = itertools.cycle(f"127.0.0.{_FIRST_ADDRESS + number}" for number in range(_ADDRESSES))
        self._attackers: set[Attacker] = set()
        self.counts: Counter[str] = Counter()
        self.ends: Counter[str] = Counter()
        self.longest = 0.0

    def run(self, seconds: float) -> None:
        """Attack."""
        until = time.monotonic() + seconds
        due = looked = 0.0
        while (now := time.monotonic()) < until:
            if now >= due:
                due = now + _TURN
                self._turn(now)
            if now >= looked + _LOOK and not self._way.reads:
                looked = now
                self._notice(now)
            for key, events in self._selector.select(max(0.0, due - time.monotonic())):
                if events & selectors.EVENT_READ:
                    self._read(key.data)
                if events & selectors.EVENT_WRITE and key.data in self._attackers:
                    self._send(key.data)

    @property
    def open(self) -> int:
        """Connections that have not ended."""
        return len(self._attackers)

    def _turn(self, now: float) -> None:
        most = _OPENED_AT_ONCE if self.counts["opened"] < self._way.connections else _OPENED_AGAIN
        for _ in range(min(most, self._way.connections - len(self._attackers))):
            self._open(now)
        way = self._way
        if way.rate is not None:
            for attacker in list(self._attackers):
                if attacker.due <= now and (way.most is None or attacker.sent < way.most):
                    attacker.due = max(now - 1.0, attacker.due) + 1 / way.rate
                    self._send(attacker)

    def _open(self, now: float) -> None:
        way, source = self._way, next(self._sources)
        try:
            if way.websocket:
                client = next(open_clients(self._port, "/ws/bench", 1, source=source, headers=way.headers))
            else:
                client = connect(self._port, source)
            client.setblocking(False)
        except (HandshakeError, OSError):
            self.counts["refused"] += 1
            return
        self.counts["opened"] += 1
        attacker = Attacker(client, now)
        if way.rate is not None:
            attacker.due += 1 / way.rate
        self._attackers.add(attacker)
        events = (selectors.EVENT_READ if way.reads else 0) | (
            selectors.EVENT_WRITE if way.block and way.rate is None else 0
        )
        self._selector.register(client, events, attacker)
        try:
            client.send(way.first)
        except OSError:
            self._end(attacker)

    def _send(self, attacker: Attacker) -> None:
        way = self._way
        left = len(self._block) if way.most is None else way.most - attacker.sent
        try:
            sent = attacker.socket.send(self._block[attacker.at : attacker.at + left])
        except BlockingIOError:
            return
        except OSError:
            self._end(attacker)
            return
        attacker.at = (attacker.at + sent) % len(self._block)
        attacker.sent += sent
        self.counts["bytes"] += sent
        if way.most is not None and attacker.sent >= way.most:
            self._selector.unregister(attacker.socket)
            if way.reads:
                self._selector.register(attacker.socket, selectors.EVENT_READ, attacker)

    def _read(self, attacker: Attacker) -> None:
        try:
            data = attacker.socket.recv(2**18)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        attacker.tail = (attacker.tail + data)[-_TAIL:]
        if not data or (self._way.websocket and not self._way.stubborn and close_code(attacker.tail) is not None):
            self._end(attacker)

    def _notice(self, now: float) -> None:
        """Note how long connections were open that the gateway has ended, though nobody reads what it said."""
        for attacker in self._attackers:
            state = attacker.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
            if attacker.gone is None and state in _ENDED:
                attacker.gone = now

    def look(self) -> None:
        """Read at last what waits for those that did not read: some have ended."""
        for attacker in list(self._attackers):
            left = _LEFT
            while left > 0 and attacker in self._attackers:
                try:
                    left -= len(attacker.socket.recv(2**18, socket.MSG_PEEK))
                except BlockingIOError:
                    break
                except OSError:
                    pass  # what reads it next finds the end
                self._read(attacker)
        now = time.monotonic()
        self.longest = max([self.longest, *(now - attacker.begun for attacker in self._attackers)])

    def _end(self, attacker: Attacker) -> None:
        if attacker in self._attackers:
            self._attackers.discard(attacker)
            if attacker.socket in self._selector.get_map():
                self._selector.unregister(attacker.socket)
            attacker.socket.close()
            self.ends[self._fate(attacker)] += 1
            ended = time.monotonic() if attacker.gone is None else attacker.gone
            self.longest = max(self.longest, ended - attacker.begun)

    def _fate(self, attacker: Attacker) -> str:
        if self._way.websocket:
            return str(close_code(attacker.tail) or "cut")
        statuses = _STATUS.findall(attacker.tail)
        return statuses[-1].decode() if statuses else "cut"


def attack(name: str, port: int, seconds: float) -> dict[str, Any]:
    """Attack in one way, and tell what became of it."""
    attack = Attack(WAYS[name], port)
    attack.run(seconds)
    attack.look()
    ends = dict(attack.ends) | ({"open": attack.open} if attack.open else {})
    return {**attack.counts, "ends": ends, "longest_s": attack.longest}


def main() -> None:
    """Read the command line and attack."""
    parser = argparse.ArgumentParser()
    parser.add_argument("way", choices=list(WAYS))
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    options = parser.parse_args()
    raise_descriptors()
    os.nice(10)  # a client elsewhere takes no CPU of the gateway's machine; here it takes at least less
    print("ready", flush=True)
    os.read(sys.stdin.fileno(), 1)
    print(json.dumps(attack(options.way, options.port, options.seconds)), flush=True)


if __name__ == "__main__":
    main()
