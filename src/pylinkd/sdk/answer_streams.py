"""The bodies of StreamingResponses on their way to the gateway: a few chunks at a time, in a task each."""

from __future__ import annotations

import asyncio
import math
import secrets
from collections.abc import Callable
from contextvars import copy_context
from typing import Any, Protocol

import structlog

from ..protocol.link import MAX_CHUNK_SIZE, STREAM_WINDOW
from ..protocol.link_pb2 import Frame, StreamChunk
from .dispatch import leave_worker, torn_down
from .safe_log import report
from .streaming import EventSourceResponse, StreamingResponse, closed

log = structlog.get_logger("linkd.service")

_STEP = 0.01  # seconds between two looks at what is left


class Sender(Protocol):
    """The link that the request came by."""

    def answer(self, request_id: int, frame: Frame) -> None:
        """Say something about the question with this number."""


class AnswerStreams:
    """All of one running service. Their number is that of the gateway's HTTP connections, which has a limit there.

    Attributes:
        generation: Which link the present ones are of: their numbers are the link's.
    """

    def __init__(self) -> None:
        self.generation = 0
        self._streams: dict[int, AnswerStream] = {}  # by their question
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(
        self, link: Sender, request_id: int, response: StreamingResponse, what: dict[str, Any], generation: int
    ) -> None:
        """Send a body, from the context of the handler that returned it.

        Args:
            link: The link that the request came by.
            request_id: Of the request, which was answered with the head.
            response: Whose body.
            what: What the log says of the handler.
            generation: Of the link. Where that is gone, the body is closed instead.
        """
        if generation != self.generation:
            await close_unused(response, what)
            return

        def over() -> None:
            if self._streams.get(request_id) is stream:
                del self._streams[request_id]

        stream = self._streams[request_id] = AnswerStream(link, request_id, response, what, over)
        context = copy_context()
        context.run(leave_worker)
        task = asyncio.get_running_loop().create_task(stream.run(), name="linkd-answer", context=context)
        stream.cancel = task.cancel
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def taken(self, request_id: int) -> None:
        """The gateway has sent a chunk on."""
        stream = self._streams.get(request_id)
        if stream is not None:
            stream.taken()

    def abort(self, request_id: int) -> None:
        """Nobody wants more of it."""
        stream = self._streams.pop(request_id, None)
        if stream is not None:
            stream.abort()

    def lost(self) -> None:
        """The link is gone, and with it every one of them."""
        self.generation += 1
        for request_id in list(self._streams):
            self.abort(request_id)

    def end_events(self) -> None:
        """The service stops: end what has no end of its own. Its clients come back to another instance."""
        for stream in list(self._streams.values()):
            if stream.endless:
                stream.finish()

    async def drain(self, timeout: float) -> bool:
        """Wait until all are sent; ``False``: not within ``timeout`` seconds."""
        clock = asyncio.get_running_loop().time
        deadline = clock() + timeout
        while self._streams:
            if clock() > deadline:
                return False
            await asyncio.sleep(_STEP)
        return True

    async def close(self, timeout: float) -> int:
        """Cancel all of them; how many had not ended after ``timeout`` seconds."""
        self.lost()
        for task in self._tasks:
            task.cancel()
        if not self._tasks:
            return 0
        _, pending = await asyncio.wait(self._tasks, timeout=timeout)
        return len(pending)


class AnswerStream:
    """One of them. What is yielded in one turn of the loop goes together, in chunks of MAX_CHUNK_SIZE at most.

    Args:
        link: The link that the request came by.
        request_id: Of the request.
        response: Whose body.
        what: What the log says of the handler.
        over: Called when nothing more of it is sent.

    Attributes:
        cancel: Cancels the task in which it runs.
        endless: Whether it goes on until the client leaves.
    """

    def __init__(
        self, link: Sender, request_id: int, response: StreamingResponse, what: dict[str, Any], over: Callable[[], None]
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._link = link
        self._request_id = request_id
        self._response = response
        self._what = what
        self._over = over
        self._pending = bytearray()  # what was yielded and not sent
        self._yielded = self._sent = 0
        self._untaken = 0
        self._complete = False  # the generator has ended
        self._flushing = False  # at the end of the turn
        self._news = asyncio.Event()  # something was taken, or nothing is wanted any more
        self._wanted = True
        self._beats: asyncio.TimerHandle | None = None
        self.cancel: Callable[[], object] = lambda: None
        self.endless = isinstance(response, EventSourceResponse)

    async def run(self) -> None:
        """Send all of it, and say how it ended."""
        frame = Frame()
        iterator: Any = None
        try:
            iterator = aiter(self._response.chunks)
            self._await_silence()
            async for chunk in iterator:
                await self._put(chunk.encode() if isinstance(chunk, str) else bytes(memoryview(chunk)))
                if not self._wanted:
                    break
            await self._put_rest()
            frame.stream_chunk.last = True
        except BaseException as error:
            if torn_down(error):
                raise
            # What somebody else cancelled has been ended by them already.
            if self._wanted or not isinstance(error, asyncio.CancelledError):
                frame.stream_aborted.reason = "failed"
                _log_failure(error, self._what)
        finally:
            self._end(frame)
            if iterator is not None:
                await _close(iterator, self._what)

    async def _put(self, data: bytes) -> None:
        self._yielded += len(data)
        size = self._response.size
        if size is not None and self._yielded > size:
            raise ValueError(f"the body has more than the {size} bytes that its size= says")
        self._pending += data
        self._await_silence()
        if not self._flushing:
            self._flushing = True
            self._loop.call_soon(self._flush)
        while len(self._pending) >= MAX_CHUNK_SIZE and self._wanted:
            self._send_some()
            if len(self._pending) >= MAX_CHUNK_SIZE:
                await self._taken_some()

    async def _put_rest(self) -> None:
        size = self._response.size
        if size is not None and self._yielded < size and self._wanted:
            raise ValueError(f"the body has {self._yielded} bytes, and its size= says {size}")
        self._complete = True
        while self._pending and self._wanted:
            self._send_some()
            if self._pending:
                await self._taken_some()

    async def _taken_some(self) -> None:
        self._news.clear()
        await self._news.wait()

    def _flush(self) -> None:
        self._flushing = False
        self._send_some()

    def _send_some(self) -> None:
        while self._pending and self._wanted and self._untaken < STREAM_WINDOW:
            size = min(len(self._pending), MAX_CHUNK_SIZE)
            if self._response.size is not None and not self._complete:
                # The last byte is kept back until the generator has ended: a client that has all takes it for whole.
                size = min(size, self._response.size - 1 - self._sent)
            if size <= 0:
                return
            self._untaken += 1
            self._sent += size
            chunk = StreamChunk(data=bytes(self._pending[:size]))
            del self._pending[:size]
            self._link.answer(self._request_id, Frame(stream_chunk=chunk))

    def _end(self, frame: Frame) -> None:
        if self._beats is not None:
            self._beats.cancel()
        if self._wanted:
            self._wanted = False
            self._link.answer(self._request_id, frame)
            self._over()

    def _await_silence(self) -> None:
        heartbeat = self._response.heartbeat
        if heartbeat != math.inf:
            if self._beats is not None:
                self._beats.cancel()
            self._beats = self._loop.call_later(heartbeat, self._beat)

    def _beat(self) -> None:
        if not self._wanted:
            return
        if not self._pending and self._untaken < STREAM_WINDOW:  # else the client has not read what there is
            self._pending += self._response.beat
            self._send_some()
        self._await_silence()

    def taken(self) -> None:
        """The gateway has sent a chunk on."""
        self._untaken = max(0, self._untaken - 1)
        self._send_some()
        self._news.set()

    def abort(self) -> None:
        """Nobody wants more of it."""
        self._wanted = False
        self._news.set()
        self.cancel()

    def finish(self) -> None:
        """Send no more, and end it in good order."""
        frame = Frame()
        frame.stream_chunk.last = True
        self._end(frame)
        self.abort()


async def close_unused(response: StreamingResponse, what: dict[str, Any]) -> None:
    """Let go of a body that nobody wants."""
    await _close(response.chunks, what)


async def _close(iterator: Any, what: dict[str, Any]) -> None:
    try:
        await closed(iterator)
    except BaseException as error:
        if torn_down(error):
            raise
        if not isinstance(error, asyncio.CancelledError):
            _log_failure(error, what)


def _log_failure(error: BaseException, what: dict[str, Any]) -> None:
    report(log.error, "answer_stream_failed", error_id=secrets.token_hex(8), exc_info=error, **what)
