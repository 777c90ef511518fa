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
    """All of one running service. Their number is that of the gateway's HTTP connections, which has a limit there."""

    def __init__(self) -> None:
        self._streams: dict[int, AnswerStream] = {}  # by their question: they are all of one link
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, link: Sender, request_id: int, response: StreamingResponse, what: dict[str, Any]) -> None:
        """Send a body, from the context of the handler that returned it.

        Args:
            link: The link that the request came by.
            request_id: Of the request, which was answered with the head.
            response: Whose body.
            what: What the log says of the handler.
        """

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
        while self._tasks:
            if clock() > deadline:
                return False
            await asyncio.sleep(_STEP)
        return True

    async def close(self, timeout: float) -> int:
        """Cancel all of them; how many had not ended after ``timeout`` seconds."""
        self.lost()
        if not self._tasks:
            return 0
        _, pending = await asyncio.wait(self._tasks, timeout=timeout)
        return len(pending)


class AnswerStream:
    """One of them.

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
        self._link = link
        self._request_id = request_id
        self._response = response
        self._what = what
        self._over = over
        self._untaken = 0
        self._room = asyncio.Event()
        self._room.set()
        self._wanted = True
        self._beats: asyncio.TimerHandle | None = None
        self.cancel: Callable[[], object] = lambda: None
        self.endless = isinstance(response, EventSourceResponse)

    async def run(self) -> None:
        """Send all of it, and say how it ended."""
        frame = Frame()
        iterator = aiter(self._response.chunks)
        self._await_silence()
        try:
            async for chunk in iterator:
                data = chunk.encode() if isinstance(chunk, str) else bytes(memoryview(chunk))
                for start in range(0, len(data), MAX_CHUNK_SIZE):
                    await self._room.wait()
                    self._send(data[start : start + MAX_CHUNK_SIZE])
            frame.stream_chunk.last = True
        except asyncio.CancelledError:
            pass  # whoever cancelled it has said how it ends
        except BaseException as error:
            if torn_down(error):
                raise
            frame.stream_aborted.reason = "failed"
            error_id = secrets.token_hex(8)
            report(log.error, "answer_stream_failed", error_id=error_id, exc_info=error, **self._what)
        finally:
            self._end(frame)
            await self._close(closed(iterator))

    async def _close(self, closing: Any) -> None:
        try:
            await closing
        except BaseException as error:
            if torn_down(error):
                raise
            report(log.error, "answer_stream_failed", exc_info=error, **self._what)

    def _end(self, frame: Frame) -> None:
        if self._beats is not None:
            self._beats.cancel()
        if self._wanted:
            self._wanted = False
            self._link.answer(self._request_id, frame)
            self._over()

    def _send(self, data: bytes) -> None:
        self._untaken += 1
        if self._untaken >= STREAM_WINDOW:
            self._room.clear()
        self._link.answer(self._request_id, Frame(stream_chunk=StreamChunk(data=data)))
        self._await_silence()

    def _await_silence(self) -> None:
        heartbeat = self._response.heartbeat
        if heartbeat != math.inf:
            if self._beats is not None:
                self._beats.cancel()
            self._beats = asyncio.get_running_loop().call_later(heartbeat, self._beat)

    def _beat(self) -> None:
        if self._wanted and self._room.is_set():
            self._send(self._response.beat)
        elif self._wanted:
            self._await_silence()  # the client has not read what there is

    def taken(self) -> None:
        """The gateway has sent a chunk on."""
        self._untaken -= 1
        self._room.set()

    def abort(self) -> None:
        """Nobody wants more of it."""
        self._wanted = False
        self.cancel()

    def finish(self) -> None:
        """Send no more, and end it in good order."""
        frame = Frame()
        frame.stream_chunk.last = True
        self._end(frame)
        self.cancel()
