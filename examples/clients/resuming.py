"""A client of Linkd that outlives its connections, written from docs/protocol.md. It needs the library `websockets`."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any, Self

from websockets import ClientConnection, ConnectionClosed, InvalidHandshake, InvalidStatus, connect

COME_BACK = {1001, 1005, 1006, 1011, 1012, 1013, 4408, 4410, 429, 500, 502, 503, 504}  # codes of closing and refusing
ALIVE = 8.0  # seconds within which a gateway that lives says something, when asked and in the beginning


class ResumingClient:
    """One session after the other, each over as many connections as it takes. `on_gap` hears why events were lost."""

    def __init__(self, url: str, token: str | None = None) -> None:
        self._url, self._headers = url, {"Authorization": f"Bearer {token}"} if token else {}
        self.on_gap: Callable[[str], object] = lambda reason: None
        self._kept: list[tuple[int | None, str]] = []  # not acknowledged, then not sent yet: id and text
        self._open: dict[int, asyncio.Future[Any]] = {}  # calls without an answer, by id
        self._acked = self._sent = self._written = 0  # counts: acknowledged, sent by now, the most that was ever sent
        self._received = self._dropped = self._unacked = self._bytes = self._id = self._failures = 0
        self._hello: Any = {"retry": {"baseMs": 500, "capMs": 30000, "jitter": 0.5, "attempts": 0}}
        self._resume, self._ended, self._ready, self._return_at = "", "", False, 0.0
        self._events, self._out, self._loop = asyncio.Queue[Any](), asyncio.Queue[str](), asyncio.get_running_loop()
        self._websocket: ClientConnection | None = None
        self._part = random.uniform(0.5, 1)  # noqa: S311
        self._ack_timer = self._ping_timer = self._loop.call_later(0, int)
        self._runner = self._loop.create_task(self._run())

    async def call(self, type: str, data: Any = None) -> Any:
        """Return the answer. Raises RuntimeError(error); or ConnectionError(reason, has it come: None if unknown)."""
        self._id += 1
        self._open[self._id] = answer = self._loop.create_future()
        await self.send(type, data, self._id)
        return await answer

    async def send(self, type: str, data: Any = None, id: int | None = None) -> None:
        """Send a message now, or as soon as there is a connection. Without an id it gets no answer."""
        if self._ended:
            raise ConnectionError(self._ended, False)
        self._kept.append((id, json.dumps({"type": type, "data": data, "id": id})))
        self._flush()

    async def events(self) -> AsyncIterator[Any]:
        """Yield events, and errors of messages without an id, until the client is closed or may not come back."""
        while event := await self._events.get():
            yield event

    async def close(self, *_: object) -> None:
        """End the session with 1000, behind what was sent. What has no answer yet fails."""
        self._ended = self._ended or "closed by this client"
        if self._websocket:
            with suppress(ConnectionClosed):
                while not self._out.empty():
                    await self._websocket.send(self._out.get_nowait())
            await self._websocket.close()
        self._runner.cancel()
        await asyncio.wait([self._runner])

    async def __aenter__(self) -> Self:
        return self

    __aexit__ = close

    def _flush(self) -> None:
        while self._ready and self._sent - self._acked < len(self._kept):
            self._out.put_nowait(self._kept[self._sent - self._acked][1])
            self._sent, self._written = self._sent + 1, max(self._sent + 1, self._written)

    def _acknowledge(self, **echo: bool) -> None:
        data = {"received": self._received, "sent": self._sent, **echo}
        self._out.put_nowait(json.dumps({"type": "linkd.ack", "data": data}))
        self._unacked = self._bytes = 0
        self._ack_timer.cancel()

    def _settle(self, id: int, result: Any) -> None:
        if (answer := self._open.pop(id, None)) and not answer.done():
            answer.set_exception(result) if isinstance(result, Exception) else answer.set_result(result)

    def _lose(self, why: str, came: int | None = None) -> None:
        """Fail what the session had got, or may have got. The rest is kept for the next one, if there will be one."""
        count = (self._written if came is None else came) - self._acked
        unsure, self._kept = {id for id, _ in self._kept[:count] if came is None}, self._kept[count:]
        kept = {id for id, _ in self._kept}
        for id in [id for id in self._open if self._ended or id not in kept]:
            self._settle(id, ConnectionError(why, False if id in kept else None if id in unsure else True))

    async def _run(self) -> None:
        code = 1006
        try:
            while True:
                self._return_at, self._since, wait = 0.0, float("inf"), None
                try:
                    await self._connection()
                except InvalidStatus as refused:
                    code, wait = refused.response.status_code, refused.response.headers.get("Retry-After")
                except (ConnectionClosed, OSError, InvalidHandshake) as error:
                    code = error.rcvd.code if isinstance(error, ConnectionClosed) and error.rcvd else 1006
                retry = self._hello["retry"]
                self._failures = 1 if self._loop.time() - self._since >= 10 else self._failures + 1
                if code not in COME_BACK or 0 < retry["attempts"] < self._failures:
                    break
                delay = min(retry["capMs"], retry["baseMs"] * 2 ** min(self._failures - 1, 30)) / 1000
                delay = float(wait or delay * (1 - retry["jitter"] * random.random()))  # noqa: S311
                await asyncio.sleep(self._return_at - self._loop.time() if self._return_at else delay)
        finally:
            self._ended = self._ended or f"ended with {code}"
            self._lose(self._ended)
            self._events.put_nowait(None)

    async def _connection(self) -> None:
        resume = f"linkd.resume.{self._resume}.{self._received}" if self._resume else "linkd.resume"
        options: Any = {"subprotocols": ["linkd.v1+json", resume], "max_size": None, "ping_interval": None}
        ws = await connect(self._url, additional_headers=self._headers, **options)
        writer, patience = self._loop.create_task(self._write(ws)), ALIVE
        try:
            while True:
                self._take(await asyncio.wait_for(ws.recv(decode=False), patience))
                self._websocket, patience = ws, self._hello["pingMs"] / 1000 + ALIVE
        finally:
            self._ready, self._websocket, self._out = False, None, asyncio.Queue()
            for ending in (writer, self._ack_timer, self._ping_timer):
                ending.cancel()
            ws.transport.abort()

    async def _write(self, ws: ClientConnection) -> None:
        with suppress(ConnectionClosed):
            while True:
                await ws.send(await self._out.get())

    def _take(self, text: bytes) -> None:
        message = json.loads(text)
        type, id, data = message["type"], message.get("id"), message.get("data")
        if type == "linkd.welcome":
            self._begin(data)
        elif type == "linkd.ack":
            self._forget(data["received"], data["sent"])
        elif type == "linkd.dropped":
            self._dropped = data["total"]
            self.on_gap("dropped")
        elif type == "linkd.closing":
            self._ready, self._return_at = False, self._loop.time() + data["retryAfterMs"] / 1000
        elif not type.startswith("linkd."):
            self._received, self._unacked, self._bytes = self._received + 1, self._unacked + 1, self._bytes + len(text)
            ack = self._hello["ack"]
            if self._unacked >= ack["messages"] or self._bytes >= ack["bytes"]:
                self._acknowledge()
            elif self._unacked == 1:
                self._ack_timer = self._loop.call_later(ack["ms"] / 1000 * self._part, self._acknowledge)
            if type in ("response", "error") and id is not None:
                self._settle(id, data if type == "response" else RuntimeError(message["error"]))
            else:
                self._events.put_nowait(message)
                if id is not None:  # an event that wants an answer: it is here
                    self._kept.append((None, json.dumps({"type": "response", "id": id})))
                    self._flush()
        self._ping_timer.cancel()
        self._ping_timer = self._loop.call_later(self._hello["pingMs"] / 1000, lambda: self._acknowledge(echo=True))

    def _begin(self, hello: Any) -> None:
        """Go on with the session, or begin another."""
        reason, self._unacked, self._bytes, self._sent = hello.get("reason", "fault"), 0, 0, self._written
        if resumed := hello.get("resumed"):
            self._forget(hello["received"], self._received)
        else:
            self._lose(reason, hello.get("received"))
            self._acked = self._written = self._received = 0
        if (hello["dropped"] > self._dropped) if resumed else ("session" in self._hello):
            self.on_gap("dropped" if resumed else reason)
        self._failures *= not resumed
        self._hello, self._resume, self._dropped = hello, hello["resume"], hello["dropped"]
        self._sent, self._ready, self._since = self._acked, True, self._loop.time()
        self._flush()

    def _forget(self, received: int, sent: int) -> None:
        if not self._acked <= received <= self._sent or sent != self._received:
            self._resume = ""
            raise ConnectionError("the two sides have counted differently")
        del self._kept[: received - self._acked]
        self._acked = received


async def main() -> None:
    """Greet the service of the README, then print whom others greet."""
    async with ResumingClient("ws://127.0.0.1:3000/ws/hello") as client:
        print(await client.call("hello.greet", {"name": "Ada"}))  # noqa: T201
        async for event in client.events():
            print(event)  # noqa: T201


if __name__ == "__main__":
    asyncio.run(main())
