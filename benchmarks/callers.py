"""Clients that ask at a steady pace, whatever comes back, and remember when each answer came. In a thread."""

from __future__ import annotations

import selectors
import socket
import threading
import time
from types import TracebackType
from typing import Any

from .raw_client import frame, open_clients, whole_frames

_RESPONSE = b'{"type":"response","id":'
_PATIENCE = 15.0  # seconds for the last answers


class Callers:
    """Some clients of the echo service, while the context lasts.

    Args:
        port: Of the gateway.
        count: How many clients.
        rate: Questions a second, all together.
    """

    def __init__(self, port: int, count: int, rate: float) -> None:
        self._clients = list(open_clients(port, "/ws/bench", count))
        self._interval = 1 / rate
        self._asked: dict[int, float] = {}  # when, of those without answer
        self._answers: list[float] = []
        self._waits: list[float] = []
        self._counts = {"asked": 0, "errors": 0, "surplus": 0, "closed": 0}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="callers")

    def __enter__(self) -> Callers:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._over.set()
        self._thread.join()
        for client in self._clients:
            client.close()

    def answered_since(self, moment: float) -> bool:
        """Whether an answer came after this moment of the monotonic clock."""
        return bool(self._answers) and self._answers[-1] > moment

    def figures(self) -> dict[str, Any]:
        """What came of it, once the context has ended.

        ``gap``: seconds without any answer, the longest such time. ``wait``: of one question, the longest.
        """
        gaps = [later - earlier for earlier, later in zip(self._answers, self._answers[1:], strict=False)]
        return {**self._counts, "lost": len(self._asked), "gap": max(gaps), "wait": max(self._waits)}

    def _run(self) -> None:
        with selectors.DefaultSelector() as selector:
            rests: dict[socket.socket, bytes] = dict.fromkeys(self._clients, b"")
            for client in self._clients:
                selector.register(client, selectors.EVENT_READ)
            due = time.monotonic()
            while not self._over.is_set():
                now = time.monotonic()
                while due <= now:
                    self._ask(due)
                    due += self._interval
                self._listen(selector, rests, max(0.0, due - time.monotonic()))
            until = time.monotonic() + _PATIENCE
            while self._asked and time.monotonic() < until and selector.get_map():
                self._listen(selector, rests, 0.1)

    def _ask(self, due: float) -> None:
        self._counts["asked"] += 1
        number = self._counts["asked"]
        self._asked[number] = due
        question = f'{{"type":"bench.echo","data":{{"text":"still there?"}},"id":{number}}}'
        try:
            self._clients[number % len(self._clients)].send(frame(question.encode()))
        except OSError:
            pass  # it was closed: counted where that is read, and the question has no answer

    def _listen(self, selector: selectors.BaseSelector, rests: dict[socket.socket, bytes], seconds: float) -> None:
        for key, _ in selector.select(seconds):
            client = key.fileobj
            assert isinstance(client, socket.socket)
            try:
                data = client.recv(2**16)
            except OSError:
                data = b""
            if not data:
                self._counts["closed"] += 1
                selector.unregister(client)
                continue
            data, end = rests[client] + data, 0
            for _, start, end in whole_frames(data):
                self._take(data[start:end])
            rests[client] = data[end:]

    def _take(self, message: bytes) -> None:
        now = time.monotonic()
        if not message.startswith(_RESPONSE):
            self._counts["errors"] += b'"error"' in message
            return
        since = self._asked.pop(int(message[len(_RESPONSE) : message.index(b",", len(_RESPONSE))]), None)
        if since is None:
            self._counts["surplus"] += 1
            return
        self._answers.append(now)
        self._waits.append(now - since)
