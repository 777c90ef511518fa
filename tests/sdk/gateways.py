"""A small gateway on a Unix socket: takes services, refuses them, hangs or goes, as a test says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from pylinkd.protocol.errors import LinkdError
from pylinkd.protocol.link import FrameReader, encode
from pylinkd.protocol.link_pb2 import Frame
from pylinkd.protocol.link_values import fill_failure


class SmallGateway:
    """Answers registrations, and whatever else it is told to.

    Attributes:
        refuses: Answers registrations with this error.
        silent: Answers nothing at all.
        cuts: Closes each link as soon as the service is registered.
        answer: Answers other questions; unless told, with done.
        connections: How many there have been.
        registrations: What services registered with, oldest first.
        received: Everything else that came.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.instance = "gateway-1"
        self.refuses: LinkdError | None = None
        self.silent = False
        self.cuts = False
        self.answer: Callable[[Frame], Frame | None] = lambda frame: None
        self.connections = 0
        self.registrations: list[Frame] = []
        self.received: list[Frame] = []
        self.heard = asyncio.Condition()
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._readers: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Listen."""
        self._server = await asyncio.start_unix_server(self._serve, str(self.path))

    async def close(self) -> None:
        """Go, as a gateway that dies."""
        if self._server is not None:
            self._server.close()
            self._server = None
            self.path.unlink()
        self.cut()
        await asyncio.gather(*self._readers)

    def cut(self) -> None:
        """Close every link."""
        for writer in self._writers:
            writer.close()
        self._writers.clear()

    def say(self, frame: Frame) -> None:
        """Send a frame to every service."""
        for writer in self._writers:
            writer.write(encode(frame))

    def say_bytes(self, data: bytes) -> None:
        """Send whatever it is to every service."""
        for writer in self._writers:
            writer.write(data)

    async def wait_until(self, true: Callable[[], bool]) -> None:
        """Wait until something that came makes this true."""
        async with asyncio.timeout(5), self.heard:
            await self.heard.wait_for(true)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._readers.add(task)
        self._writers.add(writer)
        frames = FrameReader()
        try:
            async with self.heard:
                self.connections += 1
                self.heard.notify_all()
            while data := await reader.read(65536):
                for frame in frames.feed(data):
                    self._handle(frame, writer)
                async with self.heard:
                    self.heard.notify_all()
        except ConnectionError:
            pass
        finally:
            self._writers.discard(writer)
            writer.close()
            self._readers.discard(task)

    def _handle(self, frame: Frame, writer: asyncio.StreamWriter) -> None:
        register = frame.WhichOneof("body") == "register"
        (self.registrations if register else self.received).append(frame)
        if self.silent:
            return
        if not register:
            answer = self.answer(frame) or Frame(done={})
        elif self.refuses is not None:
            answer = Frame()
            fill_failure(answer.failure, self.refuses)
        else:
            answer = Frame()
            answer.registered.gateway_instance = self.instance
        if frame.request_id:
            answer.request_id = frame.request_id
            writer.write(encode(answer))
        if (register and self.cuts) or frame.draining.finished:
            writer.close()


@asynccontextmanager
async def small_gateway(path: Path) -> AsyncIterator[SmallGateway]:
    """One that listens; closed afterwards."""
    gateway = SmallGateway(path)
    await gateway.open()
    try:
        yield gateway
    finally:
        await gateway.close()
