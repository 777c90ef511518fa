"""A process of the people of ``day``: most only listen, some write, type and read back, others come and go.

It connects, says ``ready``, waits for ``go`` on standard input, says ``over`` at the end of the day, and prints what
it measured once everything is there that was under way.
What they do is due at fixed moments, whatever the server does, and how long it took counts from then.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import select
import socket
import sys
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from .raw_client import CLOSE, PING, PONG, HandshakeError, frame, opening_request, whole_frames

_AT_ONCE = 100  # opening handshakes under way
_PATIENCE = 15.0  # seconds for the opening of one more, and for what is still under way at the end
_SETTLE = 1.0  # seconds in which what the arrivals caused comes in
_STAY = 4.0  # seconds of a visitor
_LOOK = 0.1  # seconds between two looks at whether everything is there
_SECOND = 1_000_000_000

_SAID = b'{"type":"day.said","data":{"at":'
_TYPING = b'{"type":"day.typing"'
_ONLINE = b'{"type":"day.online"'
_OFFLINE = b'{"type":"day.offline"'
_RESPONSE = b'{"type":"response","id":'
_ERROR = b'{"type":"error"'
_TEXT = "I am a little late, but I should be there before the others have finished their lunch; start without me"


class Person:
    """One connection.

    Attributes:
        client: Its socket.
        room: The room it is in.
        visitor: Whether it stays for a moment only, and what it gets is not counted.
        due: When it was to come, in nanoseconds.
        is_open: Whether the opening handshake is over.
        rest: The start of what is not whole yet.
        got: Events by kind.
        typed: How often it typed itself.
    """

    __slots__ = ("client", "due", "got", "is_open", "rest", "room", "typed", "visitor")

    def __init__(self, client: socket.socket, room: str, due: int, *, visitor: bool) -> None:
        self.client = client
        self.room = room
        self.due = due
        self.visitor = visitor
        self.is_open = False
        self.rest = b""
        self.got = {"said": 0, "typing": 0, "presence": 0}
        self.typed = 0


class Duty:
    """Something that is to be done again and again.

    Args:
        rate: How often a second.
        begin: When for the first time, in nanoseconds.
        act: Does it; gets when it was due.
    """

    def __init__(self, rate: float, begin: int, act: Callable[[int], None]) -> None:
        self.interval = int(_SECOND / rate)
        self.due = begin
        self.act = act


class Place(NamedTuple):
    """Where to connect to."""

    port: int
    path: str


class Day:
    """The people, and what they measured."""

    def __init__(self, place: Place, tokens: Iterator[str]) -> None:
        self._place = place
        self._tokens = tokens
        self._epoll = select.epoll()
        self._people: dict[int, Person] = {}
        self._handshakes = 0
        self._numbers = itertools.count(1)
        self._asked: dict[int, tuple[str, int]] = {}
        self._leaving: deque[Person] = deque()
        self._visitors = 0
        self.members: list[Person] = []
        self.waits: dict[str, list[int]] = defaultdict(list)  # nanoseconds by kind
        self.happened: dict[str, Counter[str]] = {"said": Counter(), "typing": Counter(), "presence": Counter()}
        self.counts: Counter[str] = Counter()
        self.first_error = ""
        self.cpu = 0.0  # share of a core, of this process

    # --- connections

    def gather(self, count: int, size: int) -> None:
        """Let the members come, ``size`` to a room.

        Raises:
            HandshakeError: If not all of them can.
        """
        since = time.monotonic()
        while len(self.members) < count or self._handshakes:
            while len(self.members) < count and self._handshakes < _AT_ONCE:
                self.members.append(self._come(f"room-{len(self.members) // size}", time.monotonic_ns()))
                since = time.monotonic()
            self._serve(0.1)
            if time.monotonic() - since > _PATIENCE:
                raise HandshakeError(f"{self._handshakes} are not answered")

    def settle(self) -> None:
        """Let come in what the arrivals caused, and forget it."""
        until = time.monotonic() + _SETTLE
        while time.monotonic() < until:
            self._serve(0.1)
        for member in self.members:
            member.got = dict.fromkeys(member.got, 0)
        self.waits.clear()

    def _come(self, room: str, due: int, *, visitor: bool = False) -> Person:
        client = socket.create_connection(("127.0.0.1", self._place.port), _PATIENCE)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client.sendall(opening_request(self._place.port, f"{self._place.path}?room={room}&token={next(self._tokens)}"))
        client.setblocking(False)
        person = Person(client, room, due, visitor=visitor)
        self._people[client.fileno()] = person
        self._epoll.register(client, select.EPOLLIN)
        self._handshakes += 1
        return person

    def _serve(self, seconds: float) -> None:
        """Read what has come, or comes in this time."""
        # epoll alone waits in whole milliseconds, which would show in the latencies.
        select.select([self._epoll], [], [], max(0.0, seconds))
        for descriptor, _ in self._epoll.poll(0, 256):
            self._read(self._people[descriptor])

    def _read(self, person: Person) -> None:
        try:
            data = person.client.recv(2**16)
        except OSError:
            data = b""
        if not data:
            self._gone(person)
            return
        now = time.monotonic_ns()
        data = person.rest + data
        at = 0
        if not person.is_open:
            at = data.find(b"\r\n\r\n") + 4
            if at < 4:
                person.rest = data
                return
            if not data.startswith(b"HTTP/1.1 101 "):
                raise HandshakeError(data.decode("latin-1"))
            person.is_open = True
            self._handshakes -= 1
            self.waits["enter"].append(now - person.due)
            data = data[at:]
        end = 0
        for opcode, start, end in whole_frames(data):
            if opcode == PING:
                person.client.send(frame(data[start:end], PONG))
            elif opcode != CLOSE:
                self._take(person, data, start, end, now)
        person.rest = data[end:]

    def _gone(self, person: Person) -> None:
        descriptor = person.client.fileno()
        self._epoll.unregister(descriptor)
        del self._people[descriptor]
        person.client.close()
        if person.visitor and person.is_open:
            self._visitors -= 1
        else:
            self.counts["closed"] += 1

    def _take(self, person: Person, data: bytes, start: int, end: int, now: int) -> None:
        if data.startswith(_RESPONSE, start):
            at = start + len(_RESPONSE)
            kind, due = self._asked.pop(int(data[at : data.index(b",", at)]))
            self.waits[kind].append(now - due)
        elif data.startswith(_ERROR, start):
            self.counts["errors"] += 1
            self.first_error = self.first_error or data[start:end].decode()
        elif person.visitor:
            pass
        elif data.startswith(_SAID, start):
            at = start + len(_SAID)
            person.got["said"] += 1
            self.waits["delivery"].append(now - int(data[at : data.index(b",", at)]))
        elif data.startswith(_TYPING, start):
            person.got["typing"] += 1
        elif data.startswith((_ONLINE, _OFFLINE), start):
            person.got["presence"] += 1
        else:
            self.counts["unknown"] += 1

    # --- what they do

    def live(self, options: argparse.Namespace) -> None:
        """Do everything that is due until the day is over."""
        every = round(1 / options.active)
        active = itertools.cycle(self.members[::every])
        cpu = time.process_time_ns()
        begin = time.monotonic_ns()
        end = begin + int(options.seconds * _SECOND)
        duties = [
            Duty(options.said, begin, lambda due: self._say(next(active), due)),
            Duty(options.typing, begin, lambda due: self._type(next(active))),
            Duty(options.histories, begin, lambda due: self._look_back(next(active), due)),
            Duty(options.visits, begin, self._visit),
        ]
        while (now := time.monotonic_ns()) < end:
            for duty in duties:
                while duty.due <= now:
                    duty.act(duty.due)
                    self.waits["lag"].append(time.monotonic_ns() - duty.due)
                    duty.due += duty.interval
            self._see_off(now)
            self._serve((min(duty.due for duty in duties) - time.monotonic_ns()) / _SECOND)
        self.cpu = (time.process_time_ns() - cpu) / (now - begin)

    def finish(self) -> None:
        """Wait for what is under way, and for the last visitors to go."""
        until = time.monotonic_ns() + int(_PATIENCE * _SECOND)
        look = 0
        while (now := time.monotonic_ns()) < until:
            if now >= look:
                if not self._asked and not self._visitors and not any(self.missing().values()):
                    break
                look = now + int(_LOOK * _SECOND)
            self._see_off(now)
            self._serve(_LOOK)
        self.counts["unanswered"] = len(self._asked)

    def _ask(self, person: Person, kind: str, due: int, message: str) -> None:
        number = next(self._numbers)
        self._asked[number] = kind, due
        self.counts[kind] += 1
        person.client.send(frame(f'{{"type":"day.{kind}","id":{number},"data":{message}}}'.encode()))

    def _say(self, person: Person, due: int) -> None:
        self.happened["said"][person.room] += 1
        self._ask(person, "send", due, f'{{"at":{due},"room":"{person.room}","text":"{_TEXT}"}}')

    def _look_back(self, person: Person, due: int) -> None:
        self._ask(person, "history", due, f'{{"room":"{person.room}"}}')

    def _type(self, person: Person) -> None:
        self.happened["typing"][person.room] += 1
        self.counts["typing"] += 1
        person.typed += 1
        person.client.send(frame(f'{{"type":"day.typing","data":{{"room":"{person.room}"}}}}'.encode()))

    def _visit(self, due: int) -> None:
        room = self.members[(self.counts["visits"] * 37) % len(self.members)].room
        self.counts["visits"] += 1
        self._visitors += 1
        self.happened["presence"][room] += 2  # comes and goes
        self._leaving.append(self._come(room, due, visitor=True))

    def _see_off(self, now: int) -> None:
        """Let those visitors go who have been there long enough."""
        while self._leaving and self._leaving[0].due + _STAY * _SECOND < now:
            visitor = self._leaving.popleft()
            visitor.client.send(frame((1000).to_bytes(2, "big"), CLOSE))

    # --- what came of it

    def missing(self) -> dict[str, int]:
        """Events by kind that somebody should have got and has not."""
        return {kind: sum(max(0, self._owed(kind, member)) for member in self.members) for kind in self.happened}

    def surplus(self) -> int:
        """Events that somebody got and should not have."""
        return sum(max(0, -self._owed(kind, member)) for kind in self.happened for member in self.members)

    def _owed(self, kind: str, member: Person) -> int:
        own = member.typed if kind == "typing" else 0
        return self.happened[kind][member.room] - own - member.got[kind]

    def figures(self) -> dict[str, Any]:
        """Everything, for JSON."""
        received = {kind: sum(member.got[kind] for member in self.members) for kind in self.happened}
        return {
            "counts": dict(self.counts),
            "received": received,
            "missing": self.missing(),
            "surplus": self.surplus(),
            "first_error": self.first_error,
            "client_cpu": self.cpu,
            "ms": {kind: _spread(waits) for kind, waits in self.waits.items()},
        }


def _spread(waits: list[int]) -> dict[str, float]:
    waits.sort()
    places = {"p50": len(waits) // 2, "p99": int(len(waits) * 0.99), "max": -1}
    return {name: waits[place] / 1e6 for name, place in places.items()}


def main() -> None:
    """Read the command line and live the day."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--tokens", type=Path, required=True, help="one a line; of the members first, then of visitors")
    parser.add_argument("--members", type=int, required=True)
    parser.add_argument("--size", type=int, required=True, help="members of a room")
    parser.add_argument("--active", type=float, required=True, help="share of those who do something")
    parser.add_argument("--seconds", type=float, required=True)
    for what in ("said", "typing", "histories", "visits"):
        parser.add_argument(f"--{what}", type=float, required=True, help="a second, all together")
    options = parser.parse_args()
    tokens = options.tokens.read_text().split()
    visitors = itertools.cycle(tokens[options.members :])
    day = Day(Place(options.port, "/ws/day"), itertools.chain(tokens[: options.members], visitors))
    day.gather(options.members, options.size)
    day.settle()
    print("ready", flush=True)
    os.read(sys.stdin.fileno(), 1)
    day.live(options)
    print("over", flush=True)
    day.finish()
    print(json.dumps(day.figures()), flush=True)


if __name__ == "__main__":
    main()
