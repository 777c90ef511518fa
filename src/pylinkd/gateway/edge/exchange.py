"""One request and its answer: between the ASGI application, and the connection that carries both."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from typing import Protocol

import h11
import structlog
from starlette.types import ASGIApp, Message, Scope

from ...protocol.errors import InternalError, LinkdError

log = structlog.get_logger("linkd.http")

_REASONS = {int(status): status.phrase.encode() for status in HTTPStatus}
_PIECE = 64 * 1024  # bytes of an answer that are written together: TLS encrypts all it gets before it pauses anybody
STREAMED_REQUEST = "linkd.request.streamed"
"""What an application sends, beside ASGI's own messages, before it reads a body as a stream: the time for the whole
body is then one for each part of it."""

_BODILESS = (204, 304)  # statuses whose answers have no content (RFC 9110 §6.4.1)


class Carrier(Protocol):
    """What an exchange needs of its connection."""

    def read_on(self) -> None:
        """More of the body is wanted."""

    def stream_body(self) -> None:
        """The body is taken as a stream: it may take long, as long as it goes on."""

    def write(self, *events: h11.Event) -> None:
        """A part of the answer."""

    async def writable(self) -> None:
        """The client reads."""

    def refuse(self, error: LinkdError) -> None:
        """There is no answer but this."""

    def answered(self) -> None:
        """The answer was written."""

    def cut(self) -> None:
        """The answer cannot be completed."""


class Exchange:
    """A request that is being answered.

    Args:
        carrier: Its connection.
        scope: ASGI's description of the request.
        headers: Further headers of every answer, made when it begins.
        expected: Whether the client waits for 100 (Continue).

    Attributes:
        scope: As given.
        started: A part of the answer was written.
        answered: All of it was.
        left: Bytes of the answer that are not written, since the client does not read.
    """

    __slots__ = (
        "_body",
        "_carrier",
        "_complete",
        "_expected",
        "_gone",
        "_head",
        "_headers",
        "_news",
        "_task",
        "answered",
        "left",
        "scope",
        "started",
    )

    def __init__(
        self, carrier: Carrier, scope: Scope, headers: Callable[[], list[tuple[bytes, bytes]]], *, expected: bool
    ) -> None:
        self.scope = scope
        self.started = self.answered = False
        self.left = 0
        self._carrier = carrier
        self._headers = headers
        self._expected = expected
        self._body = bytearray()
        self._complete = self._gone = False
        self._head: h11.Response | None = None
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def kept(self) -> int:
        """Bytes of the body that the application has not taken."""
        return len(self._body)

    @property
    def expected(self) -> bool:
        """Whether the client still waits for 100 (Continue) before it sends the body."""
        return self._expected

    @property
    def streaming(self) -> bool:
        """Whether the answer has begun, and the application has yet to make the next part of it."""
        return self.started and not self.answered and not self.left

    def start(self, app: ASGIApp) -> asyncio.Task[None]:
        """Have the application answer."""
        self._task = task = asyncio.get_running_loop().create_task(self._run(app), name="linkd-request")
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        # One that was cancelled holds its frames, and with them the answer, which nobody would collect for long.
        self._task = None

    def take(self, data: bytes) -> None:
        """A part of the body came."""
        self._expected = False
        self._body += data
        self._news.set()

    def complete(self) -> None:
        """The request is complete."""
        self._expected = False
        self._complete = True
        self._news.set()

    def abandon(self) -> None:
        """Nobody is there for the answer any more, or another was given."""
        self._gone = True
        self._body.clear()
        if self._task is not None and self._task is not asyncio.current_task():
            self._task.cancel()

    async def _run(self, app: ASGIApp) -> None:
        try:
            await app(self.scope, self._receive, self._send)
        except asyncio.CancelledError:
            self._fail()
            raise
        except Exception:
            log.exception("request_failed", method=self.scope["method"])
            self._fail()
        else:
            self._fail()  # an application that has not answered

    def _fail(self) -> None:
        if self._gone or self.answered:
            return
        if self.started:
            self._carrier.cut()
        else:
            self._carrier.refuse(InternalError())

    async def _receive(self) -> Message:
        while not (self._body or self._complete or self._gone or self.answered):
            if self._expected:
                self._expected = False
                self._carrier.write(h11.InformationalResponse(status_code=100, headers=[], reason="Continue"))
            self._carrier.read_on()
            self._news.clear()
            await self._news.wait()
        if self._gone or self.answered:
            return {"type": "http.disconnect"}
        body = bytes(self._body)
        self._body.clear()
        return {"type": "http.request", "body": body, "more_body": not self._complete}

    async def _send(self, message: Message) -> None:
        if self._gone:
            return
        if message["type"] == STREAMED_REQUEST:
            self._carrier.stream_body()
            return
        if message["type"] == "http.response.start":
            headers = [*self._headers(), *message.get("headers", [])]
            self._head = h11.Response(
                status_code=message["status"], headers=headers, reason=_REASONS.get(message["status"], b"")
            )
            return
        if self._head is None:
            raise RuntimeError(f"{message['type']} came before http.response.start")
        body = message.get("body", b"")
        if self.scope["method"] == "HEAD" or self._head.status_code in _BODILESS:
            body = b""
        more = message.get("more_body", False)
        for start in range(0, len(body) or 1, _PIECE):
            self.left = len(body) - start
            await self._carrier.writable()
            if self._gone:
                return
            self.left = max(0, self.left - _PIECE)
            self._write(self._head, body[start : start + _PIECE], more=more or self.left > 0)

    def _write(self, head: h11.Response, piece: bytes, *, more: bool) -> None:
        events: list[h11.Event] = [] if self.started else [head]
        if piece:
            events.append(h11.Data(data=piece))
        if not more:
            events.append(h11.EndOfMessage())
        self.started = True
        self._carrier.write(*events)
        if not more:
            self.answered = True
            self._carrier.answered()
