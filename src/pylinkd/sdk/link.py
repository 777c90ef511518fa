"""The service's end of one link: questions ⇄ answers.

What the gateway asks is runtime.py's business, making the link anew connector.py's.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

import structlog

from ..link_endpoint import LinkEndpoint, read_rest
from ..protocol.errors import InternalError, PayloadTooLargeError, ServiceUnavailableError
from ..protocol.link import MAX_FRAME_SIZE, LinkProtocolError, encode
from ..protocol.link_pb2 import Frame, Registered
from ..protocol.link_values import read_failure

log = structlog.get_logger("linkd.link")

_ANSWERS = frozenset(
    {
        "answers",
        "call_result",
        "done",
        "event_done",
        "failure",
        "history_page",
        "member_list",
        "presence_list",
        "published",
        "room_joined",
        "room_list",
    }
)

_SLEPT = 15.0  # seconds without a turn of the loop; the gateway gives a process up that was silent for 20, and asks
# every 5, so that this one may have been given up already
_MOST_QUESTIONS = 10_000  # that wait for the gateway at once


class Asker(Protocol):
    """What contexts need of the link."""

    def ask(self, frame: Frame) -> asyncio.Future[Frame]:
        """Send a question; the future has its answer, or a LinkdError.

        Raises:
            PayloadTooLargeError: If it is larger than a frame of the link may be. Nothing was sent.
        """


class Offline:
    """Stands in for the link while there is none: every question fails at once."""

    def ask(self, frame: Frame) -> asyncio.Future[Frame]:
        """See Asker."""
        future: asyncio.Future[Frame] = asyncio.get_running_loop().create_future()
        future.set_exception(ServiceUnavailableError("The gateway is gone.", retry_after=1.0))
        return future


class LinkOwner(Protocol):
    """What the link needs of the runtime."""

    def registration(self) -> Frame:
        """The register frame for what the service offers now."""

    def registered(self, link: Link, answer: Registered) -> None:
        """The gateway has taken the service; questions may follow at once."""

    def received(self, link: Link, kind: str, frame: Frame) -> None:
        """The gateway asks something."""

    def paused(self) -> None:
        """The gateway does not read what it is sent: it should not become more."""

    def resumed(self) -> None:
        """It reads again."""

    def lost(self) -> None:
        """The link broke; it is being made anew unless the service stops."""


class Link(LinkEndpoint):
    """One connection to the gateway. A broken one is replaced by a new object."""

    def __init__(self, owner: LinkOwner) -> None:
        super().__init__()
        self._owner = owner
        self._questions: dict[int, asyncio.Future[Frame]] = {}
        self._given_up = self._registered = False
        self.heard_at = self.awake_at = self._loop.time()
        self.closed: asyncio.Future[None] = self._loop.create_future()

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        now = self._loop.time()
        if now - self.awake_at > _SLEPT:
            self.stay_awake()
        if self._given_up:
            return
        self.heard_at = self.awake_at = now
        try:
            for frame in self._reader.feed(data):
                kind = frame.WhichOneof("body")
                if kind in _ANSWERS:
                    self._answered(kind, frame)
                elif kind == "registered":
                    # Before the next frame, which may be the gateway's first question.
                    self._registered = True
                    self._owner.registered(self, frame.registered)
                    self._answered(kind, frame)
                elif kind is not None:
                    self._received(kind, frame)
        except LinkProtocolError as error:
            log.error("link_protocol_error", error=str(error))
            self.close()

    def stay_awake(self) -> None:
        """Give the link up if this process slept so long (SIGSTOP, a frozen VM, a handler that blocks) that the gateway
        may have given it up: what still waits in the socket was answered, and may be another instance's by now.
        """
        now = self._loop.time()
        slept = now - self.awake_at
        self.awake_at = now
        if slept > _SLEPT and not self._given_up:
            log.warning("link_given_up", slept=round(slept, 1))
            self._given_up = True
            self._lose()
            self.abort()

    def pause_writing(self) -> None:
        """See asyncio.Protocol."""
        self._owner.paused()

    def resume_writing(self) -> None:
        """See asyncio.Protocol."""
        self._owner.resumed()

    def _received(self, kind: str, frame: Frame) -> None:
        try:
            self._owner.received(self, kind, frame)
        except Exception:
            # One frame's fault must not cost the service its link.
            log.exception("frame_failed", kind=kind)
            self.fail(frame.request_id, InternalError())

    def _answered(self, kind: str | None, frame: Frame) -> None:
        future = self._questions.pop(frame.request_id, None)
        if future is None or future.done():
            return  # whoever asked was cancelled
        if kind == "failure":
            future.set_exception(read_failure(frame.failure))
        else:
            future.set_result(frame)

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        transport, self._transport = self._transport, None
        if transport is not None and not self._given_up:
            self._take_rest(transport)
        self._lose()
        questions, self._questions = self._questions, {}
        for future in questions.values():
            if not future.done():
                future.set_exception(ServiceUnavailableError("The gateway is gone.", retry_after=1.0))
                future.exception()  # an emit that nobody awaits any more is no news
        if not self.closed.done():
            self.closed.set_result(None)

    def _lose(self) -> None:
        """At once: no job may begin that the gateway has given to another instance."""
        if self._registered:
            self._registered = False
            self._owner.lost()

    def _take_rest(self, transport: asyncio.BaseTransport) -> None:
        """What the gateway answered before it ended counts. What it asked does not: nobody would read the answer."""
        try:
            for data in read_rest(transport):
                for frame in self._reader.feed(data):
                    kind = frame.WhichOneof("body")
                    if kind in _ANSWERS:
                        self._answered(kind, frame)
        except LinkProtocolError as error:
            log.error("link_protocol_error", error=str(error))

    def ask(self, frame: Frame) -> asyncio.Future[Frame]:
        """See Asker."""
        future: asyncio.Future[Frame] = self._loop.create_future()
        if len(self._questions) >= _MOST_QUESTIONS:
            future.set_exception(ServiceUnavailableError("Too many questions wait for the gateway.", retry_after=1.0))
            return future
        if self._transport is None:
            future.set_exception(ServiceUnavailableError("The gateway is gone.", retry_after=1.0))
            return future
        self._last_id = frame.request_id = self._last_id + 1
        try:
            encoded = encode(frame)
        except LinkProtocolError as cause:
            raise PayloadTooLargeError(details={"limit": MAX_FRAME_SIZE}) from cause
        self._questions[self._last_id] = future
        self._write(encoded)
        return future

    def close(self) -> None:
        """End the connection after what was written has left."""
        if self._transport is not None:
            self.flush()
            self._transport.close()
