"""A large message as its handler sees it: chunks, one after another, while the client sends them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import Protocol

from ..protocol.errors import LinkdError, PayloadTooLargeError
from ..protocol.link_pb2 import Frame

DEFAULT_MAX_SIZE = 64 * 2**20
"""Bytes of a stream by default."""

DEFAULT_IDLE_TIMEOUT = 30.0
"""Seconds that a handler waits for the next chunk by default."""


class StreamAbortedError(LinkdError):
    """The client gave the stream up, or is gone."""

    default_code = 499
    default_type = "STREAM_ABORTED"
    default_message = "The stream was given up before its end."


class StreamIdleError(LinkdError):
    """No chunk came for too long."""

    default_code = 408
    default_type = "TIMEOUT"
    default_message = "No part of the stream came for too long."


class Sender(Protocol):
    """Where the word that a chunk was taken goes."""

    def answer(self, request_id: int, frame: Frame) -> None:
        """Say something about the question with this number."""


class Places(Protocol):
    """Has the places of handlers (dispatch.Dispatcher)."""

    def wait_began(self) -> None:
        """A handler waits for its client, and needs no place."""

    def wait_ended(self) -> None:
        """It goes on."""


class Stream:
    """The chunks of one message; ``async for chunk in stream``, once.

    A chunk is what the client sent in one frame, at most the gateway's limit on messages. The client is read from only
    as fast as chunks are taken, so that a few of them are all that is ever kept. Safe to cancel.

    Args:
        sender: The link.
        request_id: The stream's number on it.
        places: Of handlers: this one needs none while it waits for a chunk.
        max_size: Most bytes altogether.
        idle_timeout: Seconds to wait for the next chunk.
    """

    def __init__(self, sender: Sender, request_id: int, places: Places, *, max_size: int, idle_timeout: float) -> None:
        self._sender = sender
        self._places = places
        self._request_id = request_id
        self._max_size = max_size
        self._idle_timeout = idle_timeout
        self._chunks: deque[bytes] = deque()
        self._ended = False
        self._aborted: str | None = None
        self._waiting: asyncio.Future[None] | None = None
        self.size = 0
        """Bytes taken so far."""

    # what the gateway says

    def feed(self, chunk: bytes, last: bool) -> None:
        """A chunk came, or the end."""
        if last:
            self._ended = True
        else:
            self._chunks.append(chunk)
        self._wake()

    def abort(self, reason: str) -> None:
        """Nothing more will come."""
        self._aborted = reason
        self._chunks.clear()
        self._wake()

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    # what the handler asks

    def __aiter__(self) -> AsyncIterator[bytes]:
        """The chunks."""
        return self

    async def __anext__(self) -> bytes:
        """The next chunk.

        Raises:
            StreamAbortedError: If the client gave up or is gone.
            StreamIdleError: If nothing came for too long.
            PayloadTooLargeError: If the stream is larger than the handler takes.
        """
        while not self._chunks:
            if self._aborted is not None:
                raise StreamAbortedError(details={"reason": self._aborted})
            if self._ended:
                raise StopAsyncIteration
            await self._wait()
        chunk = self._chunks.popleft()
        self.size += len(chunk)
        if self.size > self._max_size:
            raise PayloadTooLargeError(details={"limit": self._max_size})
        frame = Frame()
        frame.stream_credit.SetInParent()
        self._sender.answer(self._request_id, frame)
        return chunk

    async def _wait(self) -> None:
        self._waiting = asyncio.get_running_loop().create_future()
        self._places.wait_began()
        try:
            async with asyncio.timeout(self._idle_timeout):
                await self._waiting
        except TimeoutError:
            raise StreamIdleError() from None
        finally:
            self._places.wait_ended()
            self._waiting = None
