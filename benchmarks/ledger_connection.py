"""One connection of a ledger run's client: what it asks and what it hears, written down."""

from __future__ import annotations

import asyncio
import time

import msgspec

from pylinkd.protocol.control import Closing, Dropped, Welcome
from pylinkd.protocol.envelope import JSON, Received

from .async_client import AsyncClient, open_client
from .ledger_records import Answer, Connection, Request
from .raw_client import HandshakeError

_PROTOCOL = "Sec-WebSocket-Protocol: linkd.v1+json"
_WELCOME_TIMEOUT = 60.0  # seconds; the gateway may be stopped meanwhile


class _Data(msgspec.Struct):
    session: str = ""
    number: int = 0
    instance: int | None = None
    execution: int | None = None
    events: int = 0


_decode_data = msgspec.json.Decoder(_Data | None).decode


class RecordedConnection:
    """A connection of a client.

    Args:
        room: The room that it wants to be in.
        slow: Whether it reads too slowly.

    Attributes:
        record: What is written down; ``None``: the gateway has not greeted it.
        unanswered: Numbers of the requests without answer.
        sent_away: Whether the gateway has said that it will close the connection.
    """

    def __init__(self, room: str, slow: bool) -> None:
        self._room = room
        self._slow = slow
        self._client: AsyncClient | None = None
        self._greeted: asyncio.Future[Connection] = asyncio.get_running_loop().create_future()
        self._number = 0
        self._barrier: tuple[int, float, asyncio.Future[None]] | None = None
        self.sent_away = False
        self.record: Connection | None = None
        self.unanswered: set[int] = set()

    async def open(self, port: int, path: str, receive_buffer: int) -> Connection:
        """Connect, and wait for the gateway's first message.

        Raises:
            HandshakeError: If the gateway refuses.
            OSError: If there is no connection; a TimeoutError is one.
        """
        self._client = await open_client(
            port, f"{path}?room={self._room}", self._take, self._ended, headers=[_PROTOCOL],
            receive_buffer=receive_buffer,
        )  # fmt: skip
        async with asyncio.timeout(_WELCOME_TIMEOUT):
            return await self._greeted

    # what comes

    def _take(self, payload: bytes) -> None:
        message = JSON.read(payload)
        data = (_decode_data(message.data) if bytes(message.data) else None) or _Data()
        record = self.record
        if record is None:
            assert message.type == Welcome.type, message
            self.record = Connection(data.session, self._room, self._slow)
            self._greeted.set_result(self.record)
        elif message.type == "ledger.event":
            record.received.setdefault(data.session, []).append(data.number)
        elif message.id is not None:
            assert isinstance(message.id, int)
            self._answered(record, message, message.id, data)
        elif message.type == Dropped.type:
            record.dropped += data.events
        elif message.type == Closing.type:
            self.sent_away = True

    def _answered(self, record: Connection, message: Received, number: int, data: _Data) -> None:
        now = time.monotonic()
        code = 200 if message.error is None else message.error.code
        request = record.requests.get(number)
        if request is None:  # an answer to nothing is written down as one too many
            request = record.requests[number] = Request(now, [Answer(code, now)])
        request.answers.append(Answer(code, now, data.instance, data.execution))
        self.unanswered.discard(number)
        if code == 200 and record.joined is None:
            record.joined = now
        if self._barrier is not None and self._barrier[0] == number:
            _, asked, passed = self._barrier
            if code == 200:
                record.settled = asked
            if not passed.done():
                passed.set_result(None)

    def _ended(self) -> None:
        if not self._greeted.done():
            self._greeted.set_exception(HandshakeError("the connection ended before the gateway's first message"))
        if self.record is not None and self._client is not None:
            self.record.ended = time.monotonic()
            self.record.code = self._client.code
        if self._barrier is not None and not self._barrier[2].done():
            self._barrier[2].set_result(None)

    # what is asked

    @property
    def usable(self) -> bool:
        """Whether it can ask."""
        return self._client is not None and self._client.open and not self._client.closing

    def ask(self, *, answer: int = 0, pause: float = 0.0, event: int | None = None) -> None:
        """Send a request (ledger_service.Work), unless the gateway has sent the client away."""
        if self.sent_away or not self.usable or self.record is None:
            return
        assert self._client is not None
        self._number += 1
        data = {"number": self._number, "pause": pause, "answer": answer, "event": event}
        self.record.requests[self._number] = Request(time.monotonic())
        self.unanswered.add(self._number)
        self._client.send(msgspec.json.encode({"type": "ledger.execute", "id": self._number, "data": data}))

    async def settle(self, timeout: float) -> None:
        """Ask for what is answered after every event that was published before.

        Raises:
            TimeoutError: If it is not answered in time, nor the connection ended.
        """
        if self.usable:
            passed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._barrier = self._number + 1, time.monotonic(), passed
            self.ask()
            async with asyncio.timeout(timeout):
                await passed

    def read(self, wanted: bool) -> None:
        """Read, or do not."""
        if self._client is not None:
            if wanted:
                self._client.resume_reading()
            else:
                self._client.pause_reading()

    # its end

    def close(self) -> None:
        """Begin the closing handshake."""
        if self._client is not None and self.usable:
            self._leave()
            self._client.close()

    def reset(self) -> None:
        """End it as somebody who crashes."""
        if self._client is not None:
            self._leave()
            self._client.reset()

    def _leave(self) -> None:
        record = self.record
        if record is not None and record.left is None and record.ended is None:
            record.left = time.monotonic()
