"""Clients of the scenario ``chaos``: they ask, lose their connections, notice it, and come back to their sessions."""

from __future__ import annotations

import asyncio
import contextlib
import random
import ssl
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Protocol

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.typing import Subprotocol

from tests.resumption.client_core import ClientCore

from .chaos_ledger import Book, Ledger
from .chaos_libraries import LibraryClient, Node, PythonLibrary

_SILENCE = 1.0  # seconds after which a client asks for a sign of life
_PATIENCE = 2.0  # seconds that it waits for one, and that a handshake may take
_BACK_OFF = (0.05, 1.0)  # seconds: the first, and the longest; half of each is random
_LOOK = 0.1  # seconds between two looks at all clients
_RATE = 1.5  # times a second that a client asks
_BURSTS = (1, 1, 1, 2, 6)  # requests each time
_OUTSTANDING = 32  # requests of a client: with more it waits
_STAY = (1.0, 20.0)  # seconds after which a client ends its connection itself
_BROADCASTS = 3.0  # a second, all clients together
_DISCONNECTED = 0.003  # part of the requests after which the service ends the session
_LARGEST = 16 * 1024  # bytes of text, now and then
_ENDED = ", after 1000 by its client"


class Core(ClientCore):
    """A client's side of a session that says what it still has to send."""

    @property
    def unsent(self) -> set[Any]:
        """Ids of messages that are to be written in this session, or were and are not confirmed."""
        return {message["id"] for message in self._messages}


class Client:
    """Somebody who has one session after the other, each over many connections.

    Args:
        number: Which client it is.
        url: Where it connects.
        trust: Whom it trusts, over TLS.
        dice: Its own random numbers.
        ledger: Where it writes down what comes.

    Attributes:
        book: What it knows.
        answer: The last one that came.
    """

    def __init__(
        self,
        number: int,
        url: str,
        trust: ssl.SSLContext | None,
        dice: random.Random,
        ledger: Ledger,
    ) -> None:
        self._number = number
        self._url = url
        self._trust = trust
        self._dice = dice
        self._ledger = ledger
        self._core = Core()
        self._websocket: ClientConnection | None = None
        self._due = asyncio.Event()
        self._heard = self._leaving = 0.0
        self._echoed: float | None = None
        self._closing: asyncio.Task[None] | None = None
        self._ended = False  # by a close frame with 1000, which ends the session
        self.book = Book(number, ledger)
        self.answer: dict[str, Any] = {}

    @property
    def quiet(self) -> bool:
        """Whether it was welcomed on a connection that lives, as far as it knows, and waits for nothing."""
        return self._websocket is not None and self._core.welcome is not None and not self.book.outstanding

    def __str__(self) -> str:
        core, connection = self._core, self._websocket
        state = "none" if connection is None else f"{connection.state.name}, closing: {self._closing is not None}"
        return (
            f"client {self._number}, session {core.session}: connection {state}, welcomed: {core.welcome is not None}, "
            f"received {core.received}, confirmed {core.confirmed}, outstanding {sorted(self.book.outstanding)}"
        )

    def ask(self, work: dict[str, Any]) -> int:
        """One request, now or when it is connected; its number."""
        number = self.book.ask()
        self._core.send("chaos.ask", {**work, "client": self._number, "number": number}, id=number)
        self._due.set()
        return number

    # its connections

    async def live(self) -> None:
        """Connect, and come back whenever the connection is lost, until cancelled."""
        failures = 0
        while True:
            welcomes = len(self._core.notices)
            with contextlib.suppress(OSError, TimeoutError, InvalidHandshake):
                await self._talk(await self._open())
            resumed = len(self._core.notices) > welcomes and self._core.notices[-1] == "resumed"
            failures = 0 if resumed else min(failures + 1, 10)
            first, longest = _BACK_OFF
            await asyncio.sleep(min(longest, first * 2**failures) * self._dice.uniform(0.5, 1.0))

    async def _open(self) -> ClientConnection:
        return await connect(
            self._url,
            ssl=self._trust,
            subprotocols=[Subprotocol(offer) for offer in self._core.offers()],
            compression=self._dice.choice((None, "deflate")),  # a session may change it with its connection
            proxy=None,
            ping_interval=None,
            open_timeout=_PATIENCE,
            close_timeout=_PATIENCE,
        )

    async def _talk(self, websocket: ClientConnection) -> None:
        self._websocket = websocket
        self._heard = time.monotonic()
        self._echoed = None
        self._leaving = self._heard + self._dice.uniform(*_STAY)
        writing = asyncio.create_task(self._write(websocket))
        try:
            async for text in websocket:
                assert isinstance(text, str)
                self._heard, self._echoed = time.monotonic(), None
                self._take(text)
        except ConnectionClosed:
            pass
        finally:
            self._websocket = None
            websocket.transport.abort()  # whatever it still had to say is not heard
            for task in (writing, self._closing):
                if task is not None:
                    task.cancel()
                    await asyncio.gather(task, return_exceptions=True)
            self._closing = None
            await websocket.wait_closed()
            self._ledger.closes[websocket.close_code or 0] += 1

    async def _write(self, websocket: ClientConnection) -> None:
        with contextlib.suppress(ConnectionClosed):  # which the reader sees as well
            while True:
                await self._due.wait()
                self._due.clear()
                for text in self._core.take():
                    await websocket.send(text)

    def _take(self, text: str) -> None:
        core = self._core
        welcomes = len(core.notices)
        known = core.session
        try:
            core.receive(text)
        except AssertionError as error:
            # As the gateway would: the session is given up. The run has failed.
            self._ledger.violation("drifted by a client's count", f"client {self._number}, session {known}: {error}")
            self._core = Core()
            raise ConnectionResetError from error
        if core.session != known:
            reason = core.notices[-1] if len(core.notices) > welcomes else None
            if reason is not None and self._ended:
                reason += _ENDED
            self._ended = False
            self.book.began(core.session, reason, core.unsent)
        elif len(core.notices) > welcomes:
            self.book.resumed()
        for message in core.delivered:
            self.book.heard(message)
            if message["type"] == "response":
                self.answer = message
        core.delivered.clear()
        self._due.set()

    # what it does about its connection

    def look(self, now: float, *, may_leave: bool) -> None:
        """Ask for a sign of life, give the connection up that gives none, or end it."""
        websocket = self._websocket
        if websocket is None or self._closing is not None:
            return
        if may_leave and now > self._leaving:
            self._leave(websocket)
        elif self._echoed is None:
            if now - self._heard > _SILENCE:
                self._core.acknowledge(echo=True)
                self._echoed = now
                self._due.set()
        elif now - self._echoed > _PATIENCE:
            websocket.transport.abort()

    def _leave(self, websocket: ClientConnection) -> None:
        code = self._dice.choice((None, None, 1001, 1001, 1001, 1000))
        if code is None:
            websocket.transport.abort()
        else:
            # After 1000 it comes with its token all the same, and has to be told that the session is gone.
            self._ended = self._ended or code == 1000
            self._closing = asyncio.create_task(websocket.close(code))


class Someone(Protocol):
    """A client of any kind."""

    book: Book
    answer: dict[str, Any]

    @property
    def quiet(self) -> bool:
        """Whether it is connected and waits for nothing."""

    def ask(self, work: dict[str, Any]) -> int:
        """One request; its number."""


class Crew:
    """All clients.

    Args:
        count: How many.
        url: Where they connect.
        trust: Whom they trust, over TLS.
        dice: Of all that is random in them.
        ledger: Where they write down what comes.
        kind: ``own``: the tests' core on sockets of its own; ``python``, ``typescript``: the client libraries.
        authority: The certificate that they trust, as a file, for those that are in another process.
    """

    def __init__(
        self,
        count: int,
        url: str,
        trust: ssl.SSLContext | None,
        dice: random.Random,
        ledger: Ledger,
        kind: str = "own",
        authority: Path | None = None,
    ) -> None:
        self._broadcasts = _BROADCASTS / (count * _RATE * sum(_BURSTS) / len(_BURSTS))
        self._dice = dice
        self._ledger = ledger
        self._asking: list[asyncio.Task[None]] = []
        self._living: set[asyncio.Task[None]] = set()
        self._own: list[Client] = []
        self.clients: list[Someone] = []
        if kind == "own":
            self._own = [Client(number, url, trust, random.Random(dice.random()), ledger) for number in range(count)]
            self.clients = list(self._own)
        else:
            self._libraries = [LibraryClient(number, random.Random(dice.random()), ledger) for number in range(count)]
            self.clients = list(self._libraries)
        self._kind, self._url, self._trust, self._authority = kind, url, trust, authority

    def begin(self) -> None:
        """Connect and ask."""
        if self._own:
            self._living |= {asyncio.create_task(client.live()) for client in self._own}
            self._living.add(asyncio.create_task(self._look()))
        elif self._kind == "python":
            for one in self._libraries:
                one.library = PythonLibrary(self._url, self._trust, one, self._living)
        else:
            node = Node(self._url, self._authority)
            for number, one in enumerate(self._libraries):
                one.library = node.make(number, one)
            self._living.add(asyncio.create_task(node.run()))
        if not self._own:
            self._living |= {asyncio.create_task(one.wake_now_and_then()) for one in self._libraries}
        self._asking = [
            asyncio.create_task(self._ask_on(client, random.Random(self._dice.random()))) for client in self.clients
        ]

    async def _ask_on(self, client: Someone, dice: random.Random) -> None:
        while True:
            await asyncio.sleep(dice.expovariate(_RATE))
            for _ in range(dice.choice(_BURSTS)):
                if len(client.book.outstanding) < _OUTSTANDING:
                    client.ask(_work(dice, broadcast=dice.random() < self._broadcasts))

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(_LOOK)
            now = time.monotonic()
            for client in self._own:
                client.look(now, may_leave=bool(self._asking))

    def failed(self) -> list[BaseException]:
        """What ended a client's task, which nothing should."""
        tasks = [task for task in (*self._living, *self._asking) if task.done() and not task.cancelled()]
        return [error for task in tasks if (error := task.exception()) is not None]

    async def settle(self, patience: float) -> None:
        """Ask no more, and wait until nobody waits for anything; then everybody hears one last broadcast.

        Args:
            patience: Seconds for each of the two.
        """
        await _end(self._asking)
        self._asking = []
        await _until(lambda: all(client.quiet for client in self.clients), patience)
        last = self.clients[0]
        number = last.ask(_work(self._dice, broadcast=True))
        await _until(lambda: number not in last.book.outstanding, patience)
        instance = last.answer["data"]["instance"] if last.answer.get("id") == number else None
        await _until(lambda: not any(client.book.behind(instance) for client in self.clients), patience)
        for client in self.clients:
            client.book.close(instance)
            if not client.quiet:
                self._ledger.violation("clients left waiting", str(client))

    async def close(self) -> None:
        """End everything."""
        await _end(self._asking)
        await _end(self._living)


def _work(dice: random.Random, *, broadcast: bool) -> dict[str, Any]:
    """What a request asks for, as the dice fall."""
    return {
        "text": "x" * int(_LARGEST ** dice.uniform(0.0, 1.0 if dice.random() < 0.1 else 0.7)),
        "pause": dice.choice((0.0, 0.0, 0.0, 0.05)) * dice.random(),
        "broadcast": broadcast,
        "disconnect": not broadcast and dice.random() < _DISCONNECTED,
    }


async def _until(holds: Callable[[], bool], patience: float) -> None:
    until = time.monotonic() + patience
    while not holds() and time.monotonic() < until:
        await asyncio.sleep(_LOOK)


async def _end(tasks: Iterable[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
