"""Streamed answers of a service behind a gateway in memory."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING

from ..protocol.errors import ServiceUnavailableError
from ..protocol.link_pb2 import Frame, HttpResponse

if TYPE_CHECKING:
    from .memory_gateway import MemoryGateway


class StreamedAnswer:
    """What a test gets of an answer that is streamed; ``async for chunk in answer``, once.

    A chunk is read from the service when the test takes it.

    Attributes:
        status: Of the answer.
        headers: By lower-case name; of one that is repeated, the last.
    """

    def __init__(self, gateway: MemoryGateway, request_id: int, head: HttpResponse) -> None:
        self._gateway = gateway
        self._request_id = request_id
        self._chunks: deque[bytes] = deque()
        self._news = asyncio.Event()
        self._ended = False
        self._failed = False
        self.status = head.status
        self.headers: Mapping[str, str] = {header.name.lower(): header.value for header in head.headers}

    def receive(self, frame: Frame) -> None:
        """Take what the service says."""
        if frame.HasField("stream_aborted"):
            self._failed = self._ended = True
        elif frame.stream_chunk.last:
            self._ended = True
        else:
            self._chunks.append(frame.stream_chunk.data)
        self._news.set()

    def close(self) -> None:
        """Leave, as a client that closes its connection."""
        if not self._ended:
            self._ended = True
            self._news.set()
            frame = Frame(request_id=self._request_id)
            frame.stream_aborted.reason = "gone"
            self._gateway.say(frame)

    def __aiter__(self) -> AsyncIterator[bytes]:
        """The chunks."""
        return self

    async def __anext__(self) -> bytes:
        """The next chunk.

        Raises:
            ServiceUnavailableError: If the service broke off; a client's connection is cut then.
        """
        while not self._chunks:
            if self._failed:
                raise ServiceUnavailableError("The answer broke off.")
            if self._ended:
                raise StopAsyncIteration
            self._news.clear()
            await self._news.wait()
        if not self._ended:
            frame = Frame(request_id=self._request_id)
            frame.stream_credit.SetInParent()
            self._gateway.say(frame)
        return self._chunks.popleft()
