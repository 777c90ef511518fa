"""Gateways' ends of a bus, on each kind of server, for tests that ask all of them the same."""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from pylinkd.gateway.cluster.bus import Bus, BusTiming
from pylinkd.gateway.cluster.member import Member
from pylinkd.gateway.cluster.memory import MemoryServer, MemoryTransport
from pylinkd.gateway.cluster.nats import NatsTransport
from pylinkd.gateway.cluster.nats_address import NatsAddress, NatsSettings
from pylinkd.gateway.cluster.redis import RedisTransport
from pylinkd.gateway.cluster.redis_address import RedisAddress, RedisSettings
from pylinkd.gateway.cluster.subjects import Subjects
from pylinkd.gateway.cluster.transport import Transport
from tests.servers.nats import NatsServer
from tests.servers.redis import RedisServer

SUBJECTS = Subjects("tests", b"a key of the tests")
TIMING = BusTiming(tick=0.02, tail=0.2, announce=2.0, unsubscribe=0.1)
HASTY = BusTiming(tick=0.02, tail=0.2, announce=0.1, unsubscribe=0.1, probe=0.2, probe_timeout=0.3)
"""For what is found out by silence; a busy machine is silent, too."""
PATIENCE = 10.0


class Recorder:
    """Keeps what a bus has to say, in order. A BusListener."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, object]] = []

    def up(self, epoch: int) -> None:
        self.heard.append(("up", epoch))

    def down(self) -> None:
        self.heard.append(("down", None))

    def received(self, origin: Member, name: str, payload: bytes) -> None:
        self.heard.append(("received", (origin.gateway, name, payload)))

    def told(self, origin: Member, payload: bytes) -> None:
        self.heard.append(("told", (origin.gateway, payload)))

    def asked(self, origin: Member, payload: bytes) -> bytes:
        if payload == b"refuse":
            raise LookupError("no such thing")
        return b"answer to " + payload

    def suspect(self, names: Sequence[str] | None) -> None:
        self.heard.append(("suspect", None if names is None else tuple(names)))

    def of(self, kind: str) -> list[object]:
        """All of one kind."""
        return [what for each, what in self.heard if each == kind]

    def payloads(self, name: str) -> list[bytes]:
        """What came under a name."""
        return [what[2] for what in self.of("received") if isinstance(what, tuple) and what[1] == name]


class Raw:
    """A TransportListener that only listens."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, bytes]] = []
        self.is_up = False

    def connected(self, server: str) -> None:
        self.is_up = True

    def disconnected(self) -> None:
        self.is_up = False

    def received(self, subject: str, data: bytes) -> None:
        self.messages.append((subject, data))


class Server(Protocol):
    """What the gateways are connected to."""

    def transport(self) -> Transport:
        """Another connection."""

    def stop(self) -> None:
        """Lose all connections."""

    def start(self) -> None:
        """Take connections again."""


class InMemory:
    """A server in this process."""

    def __init__(self) -> None:
        self.server = MemoryServer()

    def transport(self) -> Transport:
        return MemoryTransport(self.server)

    def stop(self) -> None:
        self.server.stop()

    def start(self) -> None:
        self.server.start()


class OnNats:
    """A real NATS server."""

    def __init__(self, folder: Path) -> None:
        self.server = NatsServer(folder)
        self.server.start()

    def transport(self) -> Transport:
        return NatsTransport(NatsSettings((NatsAddress.parse(self.server.url),)), random.Random(1))

    def stop(self) -> None:
        self.server.stop()

    def start(self) -> None:
        self.server.start()


class OnRedis:
    """A real Redis."""

    def __init__(self, folder: Path) -> None:
        self.server = RedisServer(folder)
        self.server.start()

    def transport(self) -> Transport:
        return RedisTransport(RedisSettings((RedisAddress.parse(self.server.url),)), random.Random(1))

    def stop(self) -> None:
        self.server.stop()

    def start(self) -> None:
        self.server.start()


class Cluster:
    """Gateways on one server; all are closed in the end."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self._buses: list[Bus] = []
        self._raws: list[Transport] = []
        self._numbers = itertools.count(1)

    async def join(
        self, gateway: str | None = None, *, transport: Transport | None = None, timing: BusTiming = TIMING
    ) -> tuple[Bus, Recorder]:
        """Another gateway, once it is connected."""
        number = next(self._numbers)
        recorder = Recorder()
        member = Member(gateway or f"g{number}", f"i{number}")
        bus = Bus(transport or self.server.transport(), SUBJECTS, member, recorder, random.Random(number), timing)
        self._buses.append(bus)
        bus.open()
        await until(lambda: bus.is_up)
        return bus, recorder

    async def raw(self) -> tuple[Transport, Raw]:
        """A connection with nothing of ours above it."""
        transport, raw = self.server.transport(), Raw()
        self._raws.append(transport)
        transport.open(raw)
        await until(lambda: raw.is_up)
        return transport, raw

    async def close(self) -> None:
        """End all of it."""
        for bus in self._buses:
            await bus.close()
        for transport in self._raws:
            await transport.close()
        self.server.stop()


async def until(condition: Callable[[], object], patience: float = PATIENCE) -> None:
    """Wait until it holds."""
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline, "it did not come to that"
        await asyncio.sleep(0.005)
