"""A client that can resume, over the library ``websockets``: the client core of the tests on a real socket."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from tests.certificates import trust
from tests.resumption.client_core import ClientCore

from .client import WAIT


class ResumingClient:
    """A client whose connection a test breaks and makes anew.

    Args:
        url: Where it connects.
        token: Its bearer token; ``None``: none.

    Attributes:
        core: What it knows of its session.
        answers: What it answers to events that want an answer, by type: a function of the data; else ``null``.
        silent: It answers nothing.
    """

    def __init__(self, url: str, token: str | None = None) -> None:
        self._url = url
        self._token = token
        self.core = ClientCore()
        self.answers: dict[str, Callable[[Any], Any]] = {}
        self.silent = False
        self._websocket: ClientConnection | None = None
        self._reader: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()
        self._taken: set[int] = set()  # places of messages that a test has looked at
        self._looked = 0
        self._last_id = 0

    async def connect(self) -> None:
        """Connect, for the first time or again, and wait for the welcome."""
        offers = self.core.offers()
        headers = {} if self._token is None else {"Authorization": f"Bearer {self._token}"}
        self._websocket = await connect(
            self._url,
            ssl=trust(self._url),
            additional_headers=headers,
            subprotocols=[Subprotocol(offer) for offer in offers],
            proxy=None,
            open_timeout=WAIT,
            max_size=2**25,
        )
        self._reader = asyncio.create_task(self._read(self._websocket))
        await self._until(lambda: self.core.welcome is not None, "welcome")

    async def _read(self, websocket: ClientConnection) -> None:
        with contextlib.suppress(ConnectionClosed):
            async for text in websocket:
                assert isinstance(text, str)
                self.core.receive(text)
                self._answer()
                self._changed.set()
                await self._write(websocket)
        self._changed.set()

    def _answer(self) -> None:
        for message in self.core.delivered[self._looked :]:
            if "id" in message and message["type"] not in ("response", "error") and not self.silent:
                answer = self.answers.get(message["type"])
                self.core.respond(message["id"], None if answer is None else answer(message["data"]))
        self._looked = len(self.core.delivered)

    async def _write(self, websocket: ClientConnection) -> None:
        for text in self.core.take():
            await websocket.send(text)

    async def flush(self) -> None:
        """Write what the core has to say, if it is connected."""
        if self._websocket is not None:
            with contextlib.suppress(ConnectionClosed):
                await self._write(self._websocket)

    async def cut(self) -> None:
        """Break the connection, without a closing handshake."""
        assert self._websocket is not None
        assert self._reader is not None
        self._websocket.transport.abort()
        await self._reader
        self._websocket = None

    async def close(self, code: int = 1000) -> None:
        """The closing handshake."""
        if self._websocket is not None:
            await self._websocket.close(code)

    async def closed(self) -> tuple[int | None, str | None]:
        """Close code and reason, once the gateway has closed it."""
        assert self._websocket is not None
        assert self._reader is not None
        async with asyncio.timeout(WAIT):
            await self._reader
            await self._websocket.wait_closed()
        return self._websocket.close_code, self._websocket.close_reason

    async def request(self, type: str, data: Any = None) -> dict[str, Any]:
        """Send a message and return its whole answer, over whatever connection that comes."""
        self._last_id += 1
        id = f"c-{self._last_id}"
        self.core.send(type, data, id=id)
        await self.flush()
        return await self._take(lambda message: message.get("id") == id, f"answer to {type}", WAIT)

    async def event(self, type: str, timeout: float = WAIT) -> Any:
        """The data of the next event of this type.

        Raises:
            TimeoutError: If none comes.
        """
        return (await self._take(lambda message: message["type"] == type, type, timeout))["data"]

    async def _take(self, wanted: Callable[[dict[str, Any]], bool], what: str, timeout: float) -> dict[str, Any]:
        def find() -> int | None:
            for place, message in enumerate(self.core.delivered):
                if place not in self._taken and wanted(message):
                    return place
            return None

        await self._until(lambda: find() is not None, what, timeout)
        place = find()
        assert place is not None
        self._taken.add(place)
        return self.core.delivered[place]

    async def _until(self, condition: Callable[[], bool], what: str, timeout: float = WAIT) -> None:
        try:
            async with asyncio.timeout(timeout):
                while not condition():
                    if self._reader is not None and self._reader.done():
                        raise ConnectionResetError(f"the connection ended before {what} came")
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise TimeoutError(f"{what} did not come within {timeout:g} seconds") from None


@contextlib.asynccontextmanager
async def resuming_client(url: str, token: str | None = None) -> AsyncIterator[ResumingClient]:
    """One that is connected, and is cut in the end if it still is."""
    one = ResumingClient(url, token)
    await one.connect()
    try:
        yield one
    finally:
        if one._websocket is not None:
            await one.cut()
