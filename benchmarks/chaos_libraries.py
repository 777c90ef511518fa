"""Clients of the scenario ``chaos`` that are the client libraries: nothing of resuming is written here."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, Protocol

from pylinkd.client import Client as LinkdClient
from pylinkd.client import ConnectionLost, Event, Gap, State, StateChange, connect
from pylinkd.protocol.errors import LinkdError
from tests.servers.npm import typescript_client

from .chaos_ledger import Book, Ledger

_WAKE = 3.0  # seconds, on average, between two times that a client is said to have woken up
_ENDED = 1000  # the close code after which a service that has ended a session is not come back to by itself


class Library(Protocol):
    """A client of a library."""

    def ask(self, number: int, work: dict[str, Any]) -> None:
        """Call the service."""

    def wake(self) -> None:
        """The application has come to the front."""

    def begin_again(self) -> None:
        """Connect, though the server has ended it."""


class LibraryClient:
    """Somebody who uses a library.

    Args:
        number: Which client it is.
        dice: Its own random numbers.
        ledger: Where it writes down what comes.

    Attributes:
        library: What it uses.
        book: What it knows.
        answer: The last one that came.
    """

    library: Library

    def __init__(self, number: int, dice: random.Random, ledger: Ledger) -> None:
        self._number = number
        self._dice = dice
        self._ledger = ledger
        self._state = "idle"
        self._gap: str | None = None
        self._first = True
        self.book = Book(number, ledger)
        self.answer: dict[str, Any] = {}

    @property
    def quiet(self) -> bool:
        """Whether it is connected, as far as it knows, and waits for nothing."""
        return self._state == "open" and not self.book.outstanding

    def __str__(self) -> str:
        return f"client {self._number}: {self._state}, outstanding {sorted(self.book.outstanding)}"

    def ask(self, work: dict[str, Any]) -> int:
        """One request; its number."""
        number = self.book.ask()
        self.library.ask(number, {**work, "client": self._number, "number": number})
        return number

    async def wake_now_and_then(self) -> None:
        """As applications are taken out of pockets."""
        while True:
            await asyncio.sleep(self._dice.expovariate(1 / _WAKE))
            self.library.wake()

    # what the library says

    def event(self, type: str, data: Any) -> None:
        """An event came."""
        self.book.heard({"type": type, "data": data})

    def gap(self, reason: str, events: int | None) -> None:
        """Events were lost, or the session."""
        if events is not None:
            self._ledger.violation("events dropped", f"client {self._number}: {events}")
        else:
            self._gap = reason

    def state(self, state: str, code: int | None) -> None:
        """The client's state is another one."""
        self._state = state
        if state == "waiting" and code is not None:
            self._ledger.closes[code] += 1
        if state == "closed" and code == _ENDED:
            self._ledger.closes[code] += 1
            self._gap = "closed"
            asyncio.get_running_loop().call_soon(self.library.begin_again)
        if state != "open":
            return
        if self._first or self._gap is not None:
            # Of requests that were lost the library tells one by one.
            self.book.began("", None if self._first else self._gap, set(self.book.outstanding))
            self._first, self._gap = False, None
        else:
            self.book.resumed()

    def answered(self, number: int, data: Any) -> None:
        """A call was answered."""
        self.answer = {"type": "response", "id": number, "data": data}
        self.book.heard(self.answer)

    def refused(self, number: int, error: dict[str, Any]) -> None:
        """A call was answered with an error."""
        self.book.heard({"type": "error", "id": number, "error": error})

    def lost(self, number: int, reason: str) -> None:
        """A call has failed with its session."""
        self.book.lost(number, reason)


class PythonLibrary:
    """``pylinkd.client``.

    Args:
        url: Where to connect.
        trust: Whom to trust, over TLS.
        client: Hears what comes.
        tasks: What runs for it.
    """

    def __init__(
        self, url: str, trust: ssl.SSLContext | None, client: LibraryClient, tasks: set[asyncio.Task[None]]
    ) -> None:
        self._url = url
        self._trust = trust
        self._client = client
        self._tasks = tasks
        self._connection: LinkdClient
        self.begin_again()

    def begin_again(self) -> None:
        """See Library."""
        self._connection = connect(self._url, ssl=self._trust, queue_messages=1000)
        self._start(self._live(self._connection))

    def _start(self, coroutine: Any) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)

    async def _live(self, connection: LinkdClient) -> None:
        def event(event: Event) -> None:
            self._client.event(event.type, event.data)

        def gap(gap: Gap) -> None:
            self._client.gap(gap.reason, gap.events)

        def state(change: StateChange) -> None:
            self._client.state(str(change.state), change.code)

        connection.on("*", event)
        connection.on_gap(gap)
        connection.on_state(state)
        async with connection:
            with contextlib.suppress(ConnectionLost):
                await connection.wait(State.CLOSED)

    def ask(self, number: int, work: dict[str, Any]) -> None:
        """See Library."""
        self._start(self._ask(number, work))

    async def _ask(self, number: int, work: dict[str, Any]) -> None:
        try:
            answer = await self._connection.call("chaos.ask", work, timeout=None)
        except ConnectionLost as error:
            self._client.lost(number, error.message)
        except LinkdError as error:
            self._client.refused(number, {"code": error.code, "type": error.type})
        else:
            self._client.answered(number, answer)

    def wake(self) -> None:
        """See Library."""
        self._connection.wake()


class Node:
    """A process with clients of the TypeScript library.

    Args:
        url: Where they connect.
        authority: The certificate that they trust, over TLS; ``None``: it is plain.
    """

    def __init__(self, url: str, authority: Path | None) -> None:
        client = typescript_client()
        script = Path(mkdtemp(prefix="linkd-crew-")) / "crew.mjs"
        bundle = ["--bundle", "--platform=node", "--format=esm", "--target=node20", "--log-level=warning"]
        # `ws` looks for what it may do without with `require`, which a module has to be given.
        bundle.append(
            "--banner:js=import { createRequire } from 'module'; const require = createRequire(import.meta.url);"
        )
        esbuild = client / "node_modules" / ".bin" / "esbuild"
        subprocess.run([esbuild, client / "tests" / "crew.ts", *bundle, f"--outfile={script}"], check=True)
        self._command = ["node", str(script), url]
        self._environment = {**os.environ, **({} if authority is None else {"NODE_EXTRA_CA_CERTS": str(authority)})}
        self._clients: dict[int, LibraryClient] = {}
        self._process: asyncio.subprocess.Process | None = None
        self._early: list[bytes] = []

    async def run(self) -> None:
        """Run it, until cancelled."""
        self._process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=2**22,
            env=self._environment,
        )
        assert self._process.stdout is not None
        assert self._process.stdin is not None
        self._process.stdin.writelines(self._early)
        try:
            async for line in self._process.stdout:
                number, kind, *rest = json.loads(line)
                self._hear(self._clients[number], kind, rest)
            raise ChildProcessError("the process of the TypeScript clients has ended")
        finally:
            if self._process.returncode is None:
                self._process.kill()
            await self._process.wait()

    def _hear(self, client: LibraryClient, kind: str, rest: list[Any]) -> None:
        hears: dict[str, Callable[..., None]] = {
            "event": client.event,
            "gap": client.gap,
            "state": client.state,
            "answer": client.answered,
            "error": client.refused,
            "lost": client.lost,
        }
        if kind == "failed":
            raise AssertionError(f"{client}: {rest}")
        hears[kind](*rest)

    def make(self, number: int, client: LibraryClient) -> NodeLibrary:
        """A client in it."""
        self._clients[number] = client
        library = NodeLibrary(self, number)
        self.tell("make", number)
        return library

    def tell(self, *command: Any) -> None:
        """Have something done there."""
        line = json.dumps(command).encode() + b"\n"
        if self._process is None or self._process.stdin is None:
            self._early.append(line)
        else:
            self._process.stdin.write(line)


class NodeLibrary:
    """A client of the TypeScript library.

    Args:
        node: Where it is.
        number: Which one.
    """

    def __init__(self, node: Node, number: int) -> None:
        self._node = node
        self._number = number

    def begin_again(self) -> None:
        """See Library."""
        self._node.tell("connect", self._number)

    def ask(self, number: int, work: dict[str, Any]) -> None:
        """See Library."""
        self._node.tell("ask", self._number, number, work)

    def wake(self) -> None:
        """See Library."""
        self._node.tell("wake", self._number)
