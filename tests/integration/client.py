"""A WebSocket client for tests, over the library ``websockets``: nothing in it is Linkd's own."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidMessage, InvalidStatus
from websockets.typing import Subprotocol

from tests.certificates import trust

WAIT = 15.0  # seconds; a busy machine may take long over anything


class Client:
    """One connection that speaks JSON. Messages that nobody asked for yet wait in order."""

    def __init__(self, websocket: ClientConnection) -> None:
        self.websocket = websocket
        self._ids = itertools.count(1)
        self._waiting: deque[dict[str, Any]] = deque()

    @property
    def unasked(self) -> int:
        """How many messages came that no test has looked at."""
        return len(self._waiting)

    async def send(self, message: object) -> None:
        """Send any JSON value."""
        await self.websocket.send(json.dumps(message))

    async def send_raw(self, payload: str | bytes) -> None:
        """Send a text message, or a binary one."""
        await self.websocket.send(payload)

    async def receive(self, timeout: float = WAIT) -> dict[str, Any]:
        """The next message, whatever it is."""
        if self._waiting:
            return self._waiting.popleft()
        return await self._read(timeout)

    async def _read(self, timeout: float) -> dict[str, Any]:
        async with asyncio.timeout(timeout):
            message: dict[str, Any] = json.loads(await self.websocket.recv())
            return message

    async def _first(self, wanted: Callable[[dict[str, Any]], bool], timeout: float) -> dict[str, Any]:
        for message in self._waiting:
            if wanted(message):
                self._waiting.remove(message)
                return message
        deadline = time.monotonic() + timeout
        while True:
            message = await self._read(deadline - time.monotonic())
            if wanted(message):
                return message
            self._waiting.append(message)

    async def request(self, type: str, data: Any = None, *, timeout: float = WAIT) -> dict[str, Any]:
        """Send a message and return its whole answer, be it a response or an error."""
        id = f"c-{next(self._ids)}"
        await self.send({"type": type, "data": data, "id": id})
        return await self.answer(id, timeout=timeout)

    async def answer(self, id: str | int, *, timeout: float = WAIT) -> dict[str, Any]:
        """The answer with this id."""
        return await self._first(lambda message: message.get("id") == id, timeout)

    async def ask(self, type: str, data: Any = None) -> Any:
        """Send a message and return the data of its answer, which must be no error."""
        answer = await self.request(type, data)
        assert answer["type"] == "response", answer
        return answer["data"]

    async def event(self, type: str, timeout: float = WAIT) -> Any:
        """The data of the next event of this type."""
        return (await self._first(lambda message: message["type"] == type, timeout))["data"]

    async def events(self, type: str, until: Awaitable[Any]) -> list[Any]:
        """The data of all events of this type that came before ``until`` was answered."""
        await until
        found = [message["data"] for message in self._waiting if message["type"] == type]
        self._waiting = deque(message for message in self._waiting if message["type"] != type)
        return found

    async def closed(self, timeout: float = WAIT) -> tuple[int | None, str | None]:
        """Close code and reason, once the other side has closed; messages that come before wait."""
        async with asyncio.timeout(timeout):
            with contextlib.suppress(ConnectionClosed):
                while True:
                    self._waiting.append(json.loads(await self.websocket.recv()))
            await self.websocket.wait_closed()
        return self.websocket.close_code, self.websocket.close_reason

    async def close(self) -> None:
        """The closing handshake."""
        await self.websocket.close()


@contextlib.asynccontextmanager
async def client(
    url: str, *, token: str | None = None, subprotocol: str | None = None, headers: dict[str, str] | None = None
) -> AsyncIterator[Client]:
    """An open connection; the token travels as a bearer token."""
    sent = dict(headers or {})
    if token is not None:
        sent["Authorization"] = f"Bearer {token}"
    async with connect(
        url,
        ssl=trust(url),
        additional_headers=sent,
        subprotocols=None if subprotocol is None else [Subprotocol(subprotocol)],
        compression=None,
        proxy=None,
        open_timeout=WAIT,
        max_size=2**25,
    ) as websocket:
        yield Client(websocket)


async def refused(url: str, headers: dict[str, str] | None = None) -> tuple[int, dict[str, Any]]:
    """Status and JSON body of the answer to an opening handshake that must fail."""
    try:
        websocket = await connect(url, ssl=trust(url), additional_headers=headers, proxy=None, open_timeout=WAIT)
    except InvalidStatus as refusal:
        body: dict[str, Any] = json.loads(refusal.response.body or b"null")
        return refusal.response.status_code, body
    await websocket.close()
    raise AssertionError(f"{url} was accepted")


async def barred(url: str) -> bool:
    """Whether whoever comes from here gets no answer at all."""
    try:
        async with connect(url, ssl=trust(url), proxy=None, open_timeout=WAIT):
            return False
    except InvalidStatus:
        return False
    except (OSError, InvalidMessage):
        return True


def error_of(answer: dict[str, Any]) -> tuple[int, str]:
    """Code and type of an error message."""
    assert answer["type"] == "error", answer
    return answer["error"]["code"], answer["error"]["type"]


async def eventually(condition: Callable[[], Awaitable[bool]], what: str, timeout: float = WAIT) -> None:
    """Ask again and again until ``condition`` holds."""
    deadline = time.monotonic() + timeout
    while not await condition():
        assert time.monotonic() < deadline, f"not within {timeout:g} seconds: {what}"
        await asyncio.sleep(0.02)
