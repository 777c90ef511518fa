"""A process of the siege: a service that asks who is in a room of 1,000, 12,000 times, and does not read the answers.

Like siege_attackers.py it says ``ready``, waits for ``go``, and prints what became of it.
"""

from __future__ import annotations

import argparse
import json
import os
import select
import socket
import sys
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

from pylinkd.protocol.link import PROTOCOL_VERSION, FrameReader, encode
from pylinkd.protocol.link_pb2 import Frame, RoomCommand

from .programs import raise_descriptors
from .raw_client import open_clients

_MEMBERS = 1000
_QUESTIONS = 12_000
_ADDRESSES = [f"127.0.0.{number}" for number in range(66, 74)]
_TIMEOUT = 20.0  # seconds for what the gateway has to answer
_LOOK = 0.5  # seconds between two looks at whether the link still holds
_PATH = "/ws/spy"
_ROOM = "crowd"


class SpyLink:
    """The service's end of the link, which reads when it likes.

    Args:
        path: Of the gateway's socket.
    """

    def __init__(self, path: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(_TIMEOUT)
        self._socket.connect(path)
        self._reader = FrameReader()
        self._last_id = 0

    def ask(self, frame: Frame) -> bytes:
        """The question as it travels."""
        self._last_id = frame.request_id = self._last_id + 1
        return encode(frame)

    def send(self, data: bytes) -> None:
        """Send bytes."""
        self._socket.sendall(data)

    def frames(self) -> Iterator[Frame]:
        """What the gateway says, for as long as somebody wants to know."""
        while data := self._socket.recv(2**16):
            yield from self._reader.feed(data)

    def register(self) -> None:
        """Become a service."""
        frame = Frame()
        frame.register.protocol_version = PROTOCOL_VERSION
        frame.register.service = "spy"
        frame.register.instance = f"spy-{os.getpid()}"
        frame.register.path = _PATH
        self.send(self.ask(frame))
        next(frame for frame in self.frames() if frame.HasField("registered"))

    def join_all(self, count: int) -> None:
        """Let as many sessions in, each of which becomes a member of the room."""
        for frame in self.frames():
            answer = Frame(request_id=frame.request_id)
            answer.done.SetInParent()
            self.send(encode(answer))  # to pings as well
            if frame.HasField("session_opened"):
                join = Frame()
                join.room_command.verb = RoomCommand.JOIN
                join.room_command.session = frame.session_opened.session.id
                join.room_command.rooms.append(_ROOM)
                self.send(self.ask(join))
                count -= 1
            if not count:
                return

    def ask_for_members(self, until: float) -> int:
        """Ask, and read nothing, until the gateway ends the link or time is up; how many questions it took."""
        question = Frame()
        question.room_query.room = _ROOM
        questions = b"".join(self.ask(question) for _ in range(_QUESTIONS))
        rest = memoryview(questions)
        poll = select.poll()
        self._socket.setblocking(False)
        while time.monotonic() < until:
            poll.register(self._socket, select.POLLRDHUP | (select.POLLOUT if rest else 0))
            events = poll.poll(1000 * _LOOK)
            if any(happened & (select.POLLRDHUP | select.POLLHUP | select.POLLERR) for _, happened in events):
                break
            if rest and events:
                rest = rest[self._socket.send(rest) :]
        return _QUESTIONS * (len(questions) - len(rest)) // len(questions)

    def close(self) -> None:
        """End the link."""
        self._socket.close()


def spy(port: int, path: str, seconds: float) -> dict[str, Any]:
    """Ask again and again on new links."""
    link = SpyLink(path)
    link.register()
    each = _MEMBERS // len(_ADDRESSES)
    members = [client for address in _ADDRESSES for client in open_clients(port, _PATH, each, source=address)]
    link.join_all(len(members))
    _ready()
    counts: Counter[str] = Counter()
    until = time.monotonic() + seconds
    while True:
        counts["opened"] += 1
        try:
            counts["questions"] += link.ask_for_members(until)
        except OSError:
            pass  # the gateway ended the link: counted below
        link.close()
        if time.monotonic() >= until:
            break
        counts["cut"] += 1
        link = SpyLink(path)
        link.register()
    return {**counts, "ends": {"cut": counts["cut"], "open": counts["opened"] - counts["cut"]}}


def _ready() -> None:
    print("ready", flush=True)
    os.read(sys.stdin.fileno(), 1)


def main() -> None:
    """Read the command line and be a bad service."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--link", required=True)
    parser.add_argument("--seconds", type=float, required=True)
    options = parser.parse_args()
    raise_descriptors()
    print(json.dumps(spy(options.port, options.link, options.seconds)), flush=True)


if __name__ == "__main__":
    main()
