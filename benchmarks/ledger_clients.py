"""The clients of a ledger run: who asks, who comes and goes, who reads slowly."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Coroutine
from typing import Any

from .ledger_connection import RecordedConnection
from .ledger_records import Connection
from .raw_client import HandshakeError

_OUTSTANDING = 8  # requests of a client: with more it waits
_RATE = 8.0  # requests a second of a client
_LARGE = 60_000  # bytes of an answer, now and then
_EVENT, _LARGE_EVENT = 64, 48_000  # bytes of text; the large ones are for slow readers, whose outboxes they fill
_SMALL_BUFFER = 4096  # bytes; a client that does not read is felt the sooner
_VOLLEY = 5  # requests of each client together
_SLOW_VOLLEY = 30  # the same of a slow reader: what its outbox holds (ledger.py), as events have filled the kernel
_VOLLEY_PAUSE = 0.1  # seconds that each takes
_RETRY = 0.2  # seconds before a client that was refused tries again
_STAY = (0.3, 3.0)  # seconds for which those who come and go stay
_NAP, _AWAKE = (4.0, 10.0), (0.5, 3.0)  # seconds for which a slow reader does not read, and reads
_FAREWELL = 10.0  # seconds for closing handshakes

SLOW_ROOM = "slow"
"""The room of slow readers. Its events are large."""


class Client:
    """Somebody who has one connection at a time.

    Args:
        room: The room that it wants to be in.
        path: Where it connects.
        slow: Whether it reads too slowly.
        dice: Its own random numbers.

    Attributes:
        connection: The present one; ``None``: it has none.
    """

    def __init__(self, room: str, path: str, slow: bool, dice: random.Random) -> None:
        self._room = room
        self._path = path
        self._slow = slow
        self.dice = dice
        self.connection: RecordedConnection | None = None

    async def connect(self, port: int) -> Connection:
        """Open a connection instead of the one before; its record.

        Raises:
            HandshakeError: If the gateway refuses.
            OSError: If there is no connection.
        """
        connection = self.connection = RecordedConnection(self._room, self._slow)
        return await connection.open(port, self._path, _SMALL_BUFFER if self._slow else 0)

    @property
    def connected(self) -> bool:
        """Whether it can ask."""
        return self.connection is not None and self.connection.usable

    @property
    def waiting(self) -> bool:
        """Whether it waits for answers."""
        return self.connection is not None and self.connection.usable and bool(self.connection.unanswered)

    def ask(self) -> None:
        """A request as the dice fall: most publish, some take a while, a few have a large answer."""
        dice = self.dice
        pause = dice.choice((0.0, 0.0, 0.01, 0.05)) * dice.random()
        answer = _LARGE if dice.random() < 0.01 else 0
        event = (_LARGE_EVENT if self._room == SLOW_ROOM else _EVENT) if dice.random() < 0.7 else None
        if self.connection is not None and len(self.connection.unanswered) < _OUTSTANDING:
            self.connection.ask(pause=pause, answer=answer, event=event)

    def volley(self) -> None:
        """Several requests at once, whose large answers are ready together with everybody else's."""
        for _ in range(_SLOW_VOLLEY if self._slow else _VOLLEY):
            if self.connection is not None:
                self.connection.ask(pause=_VOLLEY_PAUSE, answer=_LARGE)

    async def settle(self, timeout: float) -> None:
        """See RecordedConnection."""
        if self.connection is not None:
            await self.connection.settle(timeout)

    def read(self, wanted: bool) -> None:
        """Read, or do not."""
        if self.connection is not None:
            self.connection.read(wanted)

    def leave(self) -> None:
        """End the connection, in good order or as somebody who crashes, unless the gateway will."""
        if self.connection is not None and self.connection.usable and not self.connection.sent_away:
            if self.dice.random() < 0.5:
                self.connection.close()
            else:
                self.connection.reset()

    def close(self) -> None:
        """Begin the closing handshake."""
        if self.connection is not None:
            self.connection.close()

    def reset(self) -> None:
        """End the connection at once."""
        if self.connection is not None:
            self.connection.reset()


class Crew:
    """All clients.

    Args:
        port: Of the gateway.
        seed: Of all random numbers.
        steady: Clients that stay connected, in rooms of ten.
        passing: Clients that come and go all the time.
        slow: Clients that read too slowly; half as many others are in their room.
        patience: Seconds that a client waits for an answer before it counts as missing.

    Attributes:
        records: Of all connections that there were.
        refused: Opening handshakes that failed.
    """

    def __init__(self, port: int, seed: int, *, steady: int, passing: int, slow: int, patience: float) -> None:
        self.port = port
        self.patience = patience
        self.records: list[Connection] = []
        self.refused = 0
        dice = random.Random(seed)

        def make(room: str, number: int, is_slow: bool = False) -> Client:
            path = "/ws/ledger" if number % 2 else "/ws"
            return Client(room, path, is_slow, random.Random(dice.random()))

        self._steady = [make(f"room-{number // 10}", number) for number in range(steady)]
        self._steady += [make(SLOW_ROOM, number) for number in range(-(-slow // 2))]
        self._passing = [make(f"room-{number % max(1, steady // 10)}", number) for number in range(passing)]
        self._slow = [make(SLOW_ROOM, number, True) for number in range(slow)]
        self._asking = asyncio.Event()
        self._over = False
        self._tasks: list[asyncio.Task[None]] = []

    async def begin(self) -> None:
        """Connect those who stay, and have everybody ask."""
        await asyncio.gather(*(self._connect(client) for client in (*self._steady, *self._slow)))
        self._asking.set()
        lives: list[tuple[Callable[[Client], Coroutine[Any, Any, None]], list[Client]]] = [
            (self._stay, self._steady), (self._stay, self._slow), (self._nap, self._slow),
            (self._come_and_go, self._passing),
        ]  # fmt: skip
        self._tasks = [asyncio.create_task(live(client)) for live, clients in lives for client in clients]

    async def _connect(self, client: Client) -> None:
        while not self._over:
            try:
                self.records.append(await client.connect(self.port))
                return
            except (HandshakeError, OSError):
                self.refused += 1
                await asyncio.sleep(_RETRY)

    async def _stay(self, client: Client) -> None:
        while not self._over:
            await asyncio.sleep(client.dice.expovariate(_RATE))
            await self._asking.wait()
            if client.connected:
                client.ask()
            elif not self._over:
                await self._connect(client)

    async def _nap(self, client: Client) -> None:
        while not self._over:
            await self._asking.wait()
            client.read(False)
            await asyncio.sleep(client.dice.uniform(*_NAP))
            client.read(True)
            await asyncio.sleep(client.dice.uniform(*_AWAKE))

    async def _come_and_go(self, client: Client) -> None:
        while not self._over:
            await self._asking.wait()
            await self._connect(client)
            until = time.monotonic() + client.dice.uniform(*_STAY)
            while client.connected and time.monotonic() < until and self._asking.is_set():
                client.ask()
                await asyncio.sleep(client.dice.expovariate(_RATE))
            client.leave()

    def volley(self, *, slow: bool = False) -> None:
        """Have everybody who stays ask for something large at once, ``slow`` readers as well."""
        for client in (*self._steady, *(self._slow if slow else ())):
            client.volley()

    async def settle(self) -> None:
        """Stop asking, wait for what is due, and then for every event: nothing is under way afterwards."""
        self._asking.clear()
        for client in self._slow:
            client.read(True)
        until = time.monotonic() + self.patience
        everybody = (*self._steady, *self._slow, *self._passing)
        while any(client.waiting for client in everybody) and time.monotonic() < until:
            await asyncio.sleep(0.05)
        await asyncio.gather(
            *(client.settle(self.patience) for client in (*self._steady, *self._slow)), return_exceptions=True
        )

    def go_on(self) -> None:
        """Ask again."""
        self._asking.set()

    def stop_coming(self) -> None:
        """The gateway goes: who is sent away does not come back."""
        self._over = True

    async def close(self) -> None:
        """End all connections in good order, and those that do not end so."""
        self._over = True
        self._asking.set()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        everybody = (*self._steady, *self._slow, *self._passing)
        for client in everybody:
            client.read(True)
            client.close()
        until = time.monotonic() + _FAREWELL
        while any(record.ended is None for record in self.records) and time.monotonic() < until:
            await asyncio.sleep(0.05)
        for client in everybody:
            client.reset()
        await asyncio.sleep(0.05)
