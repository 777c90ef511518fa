"""HTTP bodies that are streamed between a connection and a service: a few chunks at a time, in either direction."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Callable
from time import time
from typing import NamedTuple

import structlog

from ...protocol.errors import InternalError, LinkdError, ServiceUnavailableError, UnauthorizedError
from ...protocol.identity import Identity
from ...protocol.link import MAX_CHUNK_SIZE, STREAM_WINDOW
from ...protocol.link_pb2 import Frame, HttpResponse, StreamChunk
from ..guard.issuers import LEEWAY
from .link import ServiceLink

log = structlog.get_logger("linkd.services")

_LONGEST_TIMER = 1e6  # seconds; no connection lasts as long
_LINK_STEP = 0.05  # seconds between two looks at whether a service reads again
_EVENT_STREAM = "text/event-stream"


class RequestBody:
    """The body of a request on its way to a service.

    Args:
        link: To the service.
        request_id: Of the request, there.

    Attributes:
        over: The request is answered: the service wants no more of the body.
    """

    def __init__(self, link: ServiceLink, request_id: int) -> None:
        self._link = link
        self._request_id = request_id
        self.over = False
        self._untaken = 0
        self._room = asyncio.Event()

    async def send(self, chunks: AsyncIterable[bytes]) -> None:
        """Send all of it, as fast as the service takes it. Where it breaks off the service learns of that.

        Raises:
            Exception: Whatever ``chunks`` raises.
        """
        frame = Frame()
        try:
            async for data in chunks:
                for start in range(0, len(data), MAX_CHUNK_SIZE):
                    while self._untaken >= STREAM_WINDOW:
                        self._room.clear()
                        await self._room.wait()
                    while self._link.paused:  # many bodies together could fill it
                        await asyncio.sleep(_LINK_STEP)
                    self._send_chunk(data[start : start + MAX_CHUNK_SIZE])
        except BaseException:
            frame.stream_aborted.reason = "gone"
            raise
        else:
            frame.stream_chunk.last = True
        finally:
            if not self.over:  # else the word would be about the answer's body
                self._link.answer(self._request_id, frame)

    def _send_chunk(self, data: bytes) -> None:
        self._untaken += 1
        self._link.answer(self._request_id, Frame(stream_chunk=StreamChunk(data=data)))

    def taken(self) -> None:
        """The service has taken a chunk."""
        self._untaken = max(0, self._untaken - 1)  # it may say so more often than there are chunks
        self._room.set()


class Asker(NamedTuple):
    """Whom an answer is for.

    Attributes:
        identity: Who asked; ``None``: nobody signed in.
        address: Where from.
    """

    identity: Identity | None
    address: str


class AnswerBody:
    """The body of an answer on its way from a service; ``async for chunk in body``, once.

    Args:
        link: To the service.
        request_id: Of the request, there.
        answer: What came of the answer: its head.
        asker: Whom it is for.
        over: Called once, when it has ended.

    Attributes:
        asker: As given.
        endless: It is a stream of events, whose client asks again when it ends (WHATWG HTML, "Server-sent events").
    """

    def __init__(
        self,
        link: ServiceLink,
        request_id: int,
        answer: HttpResponse,
        asker: Asker,
        over: Callable[[AnswerBody], None],
    ) -> None:
        self._link = link
        self._request_id = request_id
        self._over = over
        self._expiry: asyncio.TimerHandle | None = None
        self.asker = asker
        self._chunks: deque[bytes] = deque()
        self._news = asyncio.Event()
        self._ended = False
        self._error: LinkdError | None = None
        self.endless = any(
            header.name.lower() == "content-type" and header.value.startswith(_EVENT_STREAM)
            for header in answer.headers
        )

    def begin(self) -> None:
        """Take what comes; what has no end of its own, as long as the asker's token holds."""
        self._link.answer_bodies[self._request_id] = self
        if not self.endless:
            return
        if self._link.ends_event_streams:
            self.close()
            return
        identity = self.asker.identity
        if identity is not None and identity.expires_at is not None:
            left = max(0.0, identity.expires_at + LEEWAY - time())
            if left < _LONGEST_TIMER:
                self._expiry = asyncio.get_running_loop().call_later(left, self.revoke)

    # what the service does

    def receive(self, chunk: StreamChunk) -> None:
        """A chunk came, or the end."""
        if chunk.last:
            self._end()
        elif len(self._chunks) >= STREAM_WINDOW or len(chunk.data) > MAX_CHUNK_SIZE:
            log.error("answer_stream_too_fast", service=self._link.name, size=len(chunk.data))
            self.close()
            self.fail(InternalError())
        elif chunk.data:
            self._chunks.append(chunk.data)
            self._news.set()
        else:
            self._acknowledge()

    def fail(self, error: LinkdError) -> None:
        """Nothing more will come, and it is not complete."""
        self._error = error
        self._end()

    # what the gateway does

    def close(self) -> None:
        """Nobody wants more of it: its client is gone, or has enough."""
        if not self._ended:
            frame = Frame()
            frame.stream_aborted.reason = "gone"
            self._link.answer(self._request_id, frame)
            self._end()

    def revoke(self) -> None:
        """The asker's token is believed no longer. Who listens to events asks again, and is refused then."""
        self.close()
        if not self.endless:
            self._chunks.clear()  # what has come is not for them any more
            self._error = UnauthorizedError()

    def _end(self) -> None:
        if not self._ended:
            self._ended = True
            self._link.answer_bodies.pop(self._request_id, None)
            if self._expiry is not None:
                self._expiry.cancel()
            self._over(self)
        self._news.set()

    def _acknowledge(self) -> None:
        frame = Frame()
        frame.stream_credit.SetInParent()
        self._link.answer(self._request_id, frame)

    def __aiter__(self) -> AsyncIterator[bytes]:
        """The chunks."""
        return self

    async def __anext__(self) -> bytes:
        """The next chunk.

        Raises:
            LinkdError: If the service broke off, or is gone.
        """
        while not self._chunks:
            if self._error is not None:
                raise self._error
            if self._ended:
                raise StopAsyncIteration
            self._news.clear()
            await self._news.wait()
        chunk = self._chunks.popleft()
        if not self._ended:
            self._acknowledge()
        return chunk


class StreamBrokenError(ServiceUnavailableError):
    """The service broke the body of an answer off."""
