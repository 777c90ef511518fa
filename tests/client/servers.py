"""Servers that a test makes behave as it likes, over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import http
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

QUICK = {"baseMs": 50, "capMs": 400, "jitter": 0, "attempts": 0}
"""How to come back, for tests that are in a hurry."""


class Guest:
    """A connection of a client's, as the server has it.

    Attributes:
        number: Which one it is, from 1.
        offers: What it has offered.
        heard: What it has sent.
    """

    def __init__(self, connection: ServerConnection, number: int) -> None:
        self.connection = connection
        self.number = number
        assert connection.request is not None
        self.headers = connection.request.headers
        self.offers = [offer.strip() for offer in self.headers["Sec-WebSocket-Protocol"].split(",")]
        self.heard: list[Any] = []

    async def say(self, type: str, data: Any = None, **more: Any) -> None:
        """Send a message."""
        await self.connection.send(json.dumps({"type": type, "data": data, **more}))

    async def welcome(self, session: str = "s", **more: Any) -> None:
        """Send the welcome."""
        await self.say("linkd.welcome", {"session": session, "resume": "t", "retry": QUICK, **more})

    async def hear(self) -> Any:
        """The client's next message."""
        self.heard.append(json.loads(await self.connection.recv()))
        return self.heard[-1]

    async def serve(self) -> None:
        """Answer every call with its data."""
        while True:
            message = await self.hear()
            if message["type"] == "linkd.ack":
                continue
            if "id" in message:
                await self.say("response", message.get("data"), id=message["id"])

    async def end(self, code: int = 1011, reason: str = "") -> None:
        """The closing handshake."""
        await self.connection.close(code, reason)

    def abort(self) -> None:
        """Break it."""
        self.connection.transport.abort()


class Host:
    """A server.

    Attributes:
        url: Where it is.
        guests: Everybody who came.
        asked: Times of handshakes, those that were refused among them.
        refuse: The status that handshakes are refused with; ``None``: they are not.
    """

    def __init__(self, behave: Callable[[Guest], Awaitable[None]]) -> None:
        self._behave = behave
        self._server: Server
        self.url = ""
        self.guests: list[Guest] = []
        self.asked: list[float] = []
        self.refuse: tuple[int, dict[str, str]] | None = None

    @property
    def last(self) -> Guest:
        """Who came last."""
        return self.guests[-1]

    async def guest(self, number: int) -> Guest:
        """The one with this number, once it is there."""
        async with asyncio.timeout(50.0):
            while len(self.guests) < number:
                await asyncio.sleep(0.005)
        return self.guests[number - 1]

    def _process(self, connection: ServerConnection, request: Request) -> Response | None:
        self.asked.append(asyncio.get_running_loop().time())
        if self.refuse is None:
            return None
        status, headers = self.refuse
        response = connection.respond(http.HTTPStatus(status), "")
        for name, value in headers.items():
            response.headers[name] = value
        return response

    async def _handle(self, connection: ServerConnection) -> None:
        guest = Guest(connection, len(self.guests) + 1)
        self.guests.append(guest)
        with contextlib.suppress(ConnectionClosed):
            await self._behave(guest)

    def _choose(self, _: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol | None:
        return next((one for one in offered if one.startswith("linkd.v1")), None)

    @contextlib.asynccontextmanager
    async def run(self) -> AsyncIterator[Host]:
        """Listen."""
        async with serve(
            self._handle, "127.0.0.1", 0, select_subprotocol=self._choose, process_request=self._process,
            ping_interval=None, close_timeout=1,
        ) as server:  # fmt: skip
            port = next(iter(server.sockets)).getsockname()[1]
            self.url = f"ws://127.0.0.1:{port}/ws/test"
            yield self
