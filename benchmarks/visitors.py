"""A process of well-behaved clients: each asks something now and then, and how long it waits is measured.

It connects, says ``ready``, waits for ``go`` on standard input, and prints what it measured when its time is over.
"""

from __future__ import annotations

import argparse
import json
import os
import selectors
import socket
import sys
import time
from typing import Any

from .raw_client import frame, open_clients, whole_frames

_PATIENCE = 10.0  # seconds for the last answers


class Visitor:
    """One client, with at most one question under way."""

    def __init__(self, client: socket.socket, due: float) -> None:
        self.client = client
        self.due = due
        self.asked_at: float | None = None
        self.received = bytearray()


def visit(options: argparse.Namespace, visitors: list[Visitor]) -> dict[str, Any]:
    """Ask for the given time, and count."""
    selector = selectors.DefaultSelector()
    for visitor in visitors:
        selector.register(visitor.client, selectors.EVENT_READ, visitor)
    question = frame(b'{"type":"bench.echo","data":{"text":"' + b"x" * 64 + b'"},"id":1}')
    waits: list[float] = []
    counts = {"asked": 0, "late": 0, "refused": 0, "closed": 0}
    until = time.monotonic() + options.seconds
    while (now := time.monotonic()) < until + _PATIENCE:
        if now < until:
            for visitor in visitors:
                if visitor.due <= now:
                    visitor.due += options.interval
                    if visitor.asked_at is not None:
                        counts["late"] += 1  # the answer before is not there: this question is not asked
                        continue
                    visitor.client.send(question)
                    visitor.asked_at = now
                    counts["asked"] += 1
        elif not any(visitor.asked_at for visitor in visitors):
            break
        for key, _ in selector.select(0.002):
            visitor = key.data
            try:
                data = visitor.client.recv(2**16)
            except OSError:
                data = b""
            if not data:
                counts["closed"] += 1
                selector.unregister(visitor.client)
                visitors.remove(visitor)
                continue
            visitor.received += data
            end = 0
            for _, start, end in whole_frames(visitor.received):
                if visitor.asked_at is not None:
                    waits.append(time.monotonic() - visitor.asked_at)
                    visitor.asked_at = None
                counts["refused"] += b'"error"' in visitor.received[start:end]
            del visitor.received[:end]
    waits.sort()
    unanswered = sum(visitor.asked_at is not None for visitor in visitors)
    return {
        **counts,
        "unanswered": unanswered,
        "p50_ms": 1000 * waits[len(waits) // 2],
        "p99_ms": 1000 * waits[int(len(waits) * 0.99)],
        "max_ms": 1000 * waits[-1],
    }


def main() -> None:
    """Read the command line and behave well."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--interval", type=float, default=0.1, help="seconds between two questions of a client")
    options = parser.parse_args()
    clients = list(open_clients(options.port, "/ws/bench", options.count))
    print("ready", flush=True)
    os.read(sys.stdin.fileno(), 1)
    begin = time.monotonic()
    visitors = [
        Visitor(client, begin + options.interval * number / len(clients)) for number, client in enumerate(clients)
    ]
    print(json.dumps(visit(options, visitors)), flush=True)


if __name__ == "__main__":
    main()
