"""The gateway's end of the link to one service process: bytes ⇄ frames, questions ⇄ answers.

What a frame means is elsewhere: inbound.py (messages), attachments.py (sessions), actions.py (HTTP),
commands.py (what the service asks for).
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

import structlog

from ...link_endpoint import LinkEndpoint, read_rest
from ...protocol.errors import InternalError, LinkdError, ServiceUnavailableError, failure_class
from ...protocol.link import MAX_FIRST_FRAME_SIZE, MAX_FRAME_SIZE, LinkProtocolError, encode
from ...protocol.link_pb2 import Frame
from ...protocol.link_values import read_failure
from .peer import Peer, peer_of

if TYPE_CHECKING:
    from .streamed_bodies import AnswerBody

log = structlog.get_logger("linkd.link")

REGISTER_TIMEOUT = 5.0
"""Seconds that a process may take for its TLS handshake, and as many for its registration."""

_CLOSE_TIMEOUT = 1.0  # seconds that a process may take to read what was written before its link is cut

_ANSWERS = frozenset({"response", "done", "failure", "http_response", "call_result", "description"})


class LinkLostError(ServiceUnavailableError):
    """The service process died, or its link broke, before it answered."""


class Waiter(Protocol):
    """Waits for the answer to a question that a service was asked. Exactly one of the methods is called, once."""

    def answered(self, frame: Frame) -> None:
        """The service's answer is there; it is not a failure."""

    def failed(self, error: LinkdError) -> None:
        """The service answered with an error, or is gone."""


class _Unawaited:
    """A Waiter where nobody needs the answer, whatever it is."""

    __slots__ = ()

    def answered(self, frame: Frame) -> None:
        pass

    def failed(self, error: LinkdError) -> None:
        pass


UNAWAITED: Waiter = _Unawaited()
"""For questions whose answer nobody needs."""


class LinkHandler(Protocol):
    """Handles what a service says unasked."""

    def connected(self, link: ServiceLink) -> None:
        """A process connected; it has not said who it is."""

    def received(self, link: ServiceLink, kind: str, frame: Frame) -> None:
        """A frame came that is no answer. A LinkdError raised here becomes the answer to it."""

    def ready(self, link: ServiceLink) -> None:
        """The link, which was congested, takes more."""

    def lost(self, link: ServiceLink) -> None:
        """The process is gone; all its questions have failed already."""


class ServiceLink(LinkEndpoint):
    """One connected service process. Until it is registered it may send registrations, small and soon, nothing else.

    Args:
        handler: Of everything that is no answer.
        window: Unanswered questions from which on the link counts as congested.
        register_timeout: Seconds that the process may take to register.

    Attributes:
        peer: Whose process it is.
        registered: Whether it was taken as a service.
        failures: Its answers that are errors, by class; the service's, once it is registered.
        stored: What it last said of its database: dead letters and so on, by kind.
        answer_bodies: The bodies that it sends, by their question.
        ends_event_streams: Whether the gateway stops, and with it answers that have no end of their own.
        congested: Whether whoever asks more should first let the service catch up. ``LinkHandler.ready`` ends it.
        paused: Whether the service does not read what it is sent.
    """

    def __init__(self, handler: LinkHandler, window: int, register_timeout: float = REGISTER_TIMEOUT) -> None:
        super().__init__(MAX_FIRST_FRAME_SIZE)
        self._handler = handler
        self._window = window
        self._register_timeout = register_timeout
        self._questions: dict[int, Waiter] = {}
        # While the service does not read what it is sent, nothing more is taken from it: neither what was read of it
        # already nor anything else. A service of ours reads whatever it has to write, so that both go on.
        self._untaken: Iterator[Frame] | None = None
        self._unread: deque[bytes] = deque()
        self.paused = False
        self.congested = False
        self._closing = False
        self._overdue: asyncio.TimerHandle | None = None
        self.peer = Peer(None, "unknown")
        self.registered = False
        self.failures: Counter[str] = Counter()
        self.stored: dict[str, int] = {}
        self.answer_bodies: dict[int, AnswerBody] = {}
        self.ends_event_streams = False
        self.name = "unregistered"
        self.heard_at = self._loop.time()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        super().connection_made(transport)
        assert self._transport is not None
        self._transport.set_write_buffer_limits(high=2**20)
        self.peer = peer_of(transport)
        reason = f"no registration within {self._register_timeout:g} seconds"
        self._overdue = self._loop.call_later(self._register_timeout, self.close, reason)
        self._handler.connected(self)

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        self.heard_at = self._loop.time()
        if self._untaken is None:
            frames = self._reader.feed(data)
        elif self.paused:
            self._unread.append(data)  # it was under way when reading paused
            return
        else:
            frames, self._untaken = self._untaken, None  # _take_rest, which comes without data
        try:
            for frame in frames:
                if self._closing:
                    return  # what stands behind a fault is not believed
                self._handle(frame)
                if self.paused:
                    self._untaken = frames
                    return
        except LinkProtocolError as error:
            self.close(f"protocol error: {error}")

    def _take_rest(self) -> None:
        """Take what was read while the service did not read."""
        if self._untaken is not None:
            self.data_received(b"")
        while self._unread and not self.paused:
            self.data_received(self._unread.popleft())

    def _handle(self, frame: Frame) -> None:
        kind = frame.WhichOneof("body")
        if not self.registered and kind != "register":
            self.close(f"{kind or 'an unknown frame'} came before register")
            return
        # One frame's fault must not cost the service its link, nor the others their answers.
        if kind in _ANSWERS:
            try:
                self._answered(kind, frame)
            except Exception:
                log.exception("answer_failed", service=self.name, kind=kind)
            if self.congested:
                self._relieve()
        elif kind is not None:
            try:
                self._handler.received(self, kind, frame)
            except LinkdError as error:
                self.fail(frame.request_id, error)
            except Exception:
                log.exception("frame_failed", service=self.name, kind=kind)
                self.fail(frame.request_id, InternalError())

    def _answered(self, kind: str | None, frame: Frame) -> None:
        question = self._questions.pop(frame.request_id, None)
        if question is None:
            return  # nobody waits: the service answered twice
        if kind == "failure":
            self.failures[failure_class(frame.failure.code)] += 1
            question.failed(read_failure(frame.failure))
        else:
            question.answered(frame)

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        transport, self._transport = self._transport, None
        self.paused = False
        self._take_rest()
        if transport is not None and not self._closing:
            # What it answered before it ended counts.
            for data in read_rest(transport):
                self.data_received(data)
        self.congested = False
        self._stop_waiting()
        self.abandon()
        self._handler.lost(self)

    def pause_writing(self) -> None:
        """See asyncio.Protocol."""
        self.paused = self.congested = True
        if self._transport is not None:
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        """See asyncio.Protocol."""
        self.paused = False
        self._relieve()
        self._take_rest()
        if self._transport is not None and not self.paused:
            self._transport.resume_reading()

    # for the rest of routing

    def trust(self) -> None:
        """It was taken as a service: from now on it may send everything, at any time and in frames of any size."""
        self.registered = True
        self._reader.limit = MAX_FRAME_SIZE
        self._stop_waiting()

    def _stop_waiting(self) -> None:
        if self._overdue is not None:
            self._overdue.cancel()
            self._overdue = None

    @property
    def questions(self) -> int:
        """How many questions are unanswered."""
        return len(self._questions)

    def ask(self, frame: Frame, question: Waiter) -> int:
        """Send a question and return its number. It fails at once if the process is gone or the frame too large."""
        self._last_id = frame.request_id = self._last_id + 1
        if self._transport is None:
            question.failed(LinkLostError(retry_after=1.0))
            return self._last_id
        try:
            encoded = encode(frame)
        except LinkProtocolError as error:
            log.error("frame_too_large", service=self.name, error=str(error))
            question.failed(InternalError())
            return frame.request_id
        self._questions[self._last_id] = question
        if len(self._questions) >= self._window:
            self.congested = True
        self._write(encoded)
        return frame.request_id

    def question(self, request_id: int) -> Waiter | None:
        """The unanswered question with this number."""
        return self._questions.get(request_id)

    def answer(self, request_id: int, frame: Frame) -> None:
        """Answer the service's question ``request_id``; without one (0) nobody waits and nothing is sent."""
        if request_id:
            try:
                super().answer(request_id, frame)
            except LinkProtocolError as error:  # another service's result, or a room of very many members
                log.error("frame_too_large", service=self.name, error=str(error))
                self.fail(request_id, InternalError())

    def abandon(self) -> None:
        """Wait for no answer any more: every question fails now, and every body breaks off."""
        for body in list(self.answer_bodies.values()):
            body.fail(LinkLostError(retry_after=1.0))
        questions, self._questions = self._questions, {}
        for question in questions.values():
            try:
                question.failed(LinkLostError(retry_after=1.0))
            except Exception:
                log.exception("answer_failed", service=self.name)  # the others wait for theirs

    def end_event_streams(self) -> None:
        """End the answers that have no end of their own, those that come later, too; their clients ask again, and reach
        whoever is there then.
        """
        self.ends_event_streams = True
        for body in list(self.answer_bodies.values()):
            if body.endless:
                body.close()

    def close(self, reason: str) -> None:
        """Cut the link after what was written has left."""
        if self._transport is not None and not self._closing:
            log.warning("link_closed_by_gateway", service=self.name, reason=reason, peer=self.peer.name)
            self.finish()

    def finish(self) -> None:
        """End the link, which has served its purpose, after what was written has left."""
        if self._transport is not None and not self._closing:
            self._closing = True
            self._stop_waiting()
            self.flush()
            self._transport.close()
            # A process that hangs does not read either: closing waits for what was written, abort() does not.
            self._loop.call_later(_CLOSE_TIMEOUT, self.abort)

    def _relieve(self) -> None:
        # Half a window of slack: otherwise each answer would wake one client that fills the window again.
        if self.congested and not self.paused and len(self._questions) <= self._window // 2:
            self.congested = False
            self._handler.ready(self)
