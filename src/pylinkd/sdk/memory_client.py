"""A client of the gateway in memory, as a test plays it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from time import monotonic
from typing import TYPE_CHECKING, Any

import msgspec

from ..protocol.end import EndReason
from ..protocol.envelope import MAX_TYPE_LENGTH
from ..protocol.errors import BadRequestError, RateLimitedError, UnauthorizedError, UnknownMessageTypeError
from ..protocol.identity import Identity
from ..protocol.link_pb2 import Frame, StreamAborted, StreamChunk
from ..protocol.patterns import RESERVED_PREFIX
from ..protocol.rate import Rate
from .response import decode_result
from .validation import encode
from .websocket import MessageHandler, StreamHandler

if TYPE_CHECKING:
    from .memory_gateway import MemoryGateway

DEFAULT_TIMEOUT = 5.0
"""Seconds after which something that a test waits for counts as missing."""

_LONGEST_WAIT = 3600.0  # seconds that a client is asked to wait
_SHOWN = 5  # events that a text about a missing one repeats


class Emitted(msgspec.Struct, frozen=True):
    """An event that the service emitted.

    Attributes:
        type: Its type.
        data: Its data, decoded.
        sessions: The ids of the sessions that it reached.
        offset: Its place in the history of its room; ``None``: it is in none.
    """

    type: str
    data: Any
    sessions: frozenset[str]
    offset: int | None = None


class Client:
    """A connected session.

    Attributes:
        id: The session's id.
        identity: Who it is.
        events: What the service sent it, oldest first.
        closed: Code and reason, once the service disconnected it.
        admitted: ``on_connect`` has succeeded.
        connected: It is there; else it was cut off and has not come back.
        answers: What it answers to events that want an answer, by type: a function of the data, which may raise a
            LinkdError. Without one it answers with ``None``, which says that it has the event.
        silent: It answers nothing.
    """

    def __init__(self, gateway: MemoryGateway, id: str, identity: Identity | None) -> None:
        self._gateway = gateway
        self._arrived = asyncio.Event()
        self._seen = 0
        self._missed: list[Emitted] = []
        self._paid: dict[MessageHandler, float] = {}  # protocol/rate.py
        self.id = id
        self.identity = identity
        self.events: list[Emitted] = []
        self.closed: tuple[int, str] | None = None
        self.admitted = False
        self.connected = True
        self.answers: dict[str, Callable[[Any], Any]] = {}
        self.silent = False

    async def send(self, type: str, data: Any = None, *, key: str = "") -> Any:
        """Send a message and return the answer's data, decoded.

        Args:
            type: Of the message.
            data: Anything that JSON can carry.
            key: By which a handler with ``once`` knows the message.

        Raises:
            RateLimitedError: If it is more than the handler's ``rate`` allows; the service does not see it.
            LinkdError: If the service answers with an error. The ``__cause__`` of an InternalError is the exception
                that the handler raised.
        """
        if not 1 <= len(type) <= MAX_TYPE_LENGTH:
            raise BadRequestError(f'"type" must be a string of 1 to {MAX_TYPE_LENGTH} characters.')
        reserved = type.startswith(RESERVED_PREFIX)  # no service's business, not even a catch-all's
        handler = None if reserved else self._gateway.service.ws.find(type)
        if handler is None:
            protected = any(known.requirement.auth for known in self._gateway.service.ws.handlers)
            if self.identity is None and protected:
                raise UnauthorizedError  # who has not signed in does not learn which types there are
            raise UnknownMessageTypeError(details={"type": type})
        if isinstance(handler, StreamHandler):
            raise BadRequestError('This type takes a stream: announce it with "stream": true.')
        self._count(handler)
        frame = Frame()
        frame.inbound.session = self.id
        frame.inbound.type = type
        frame.inbound.data = encode(data)
        if key and handler.once is not None:
            frame.inbound.key = f"k{key}"
        answer = (await self._gateway.tell(frame)).response.data
        return msgspec.json.decode(answer) if answer else None

    async def upload(self, type: str, chunks: Iterable[bytes], data: Any = None, *, abort: bool = False) -> Any:
        """Send a stream and return the answer's data, decoded.

        Args:
            type: Its type.
            chunks: What is sent.
            data: What it is announced with.
            abort: Give it up after the chunks, instead of ending it.

        Raises:
            LinkdError: If the service answers with an error.
        """
        frame = Frame()
        frame.stream_opened.session = self.id
        frame.stream_opened.type = type
        frame.stream_opened.data = encode(data)
        answer = asyncio.ensure_future(self._gateway.tell(frame))
        await asyncio.sleep(0)  # it is announced
        for chunk in chunks:
            self._gateway.say(Frame(request_id=frame.request_id, stream_chunk=StreamChunk(data=chunk)))
        if abort:
            self._gateway.say(Frame(request_id=frame.request_id, stream_aborted=StreamAborted(reason="aborted")))
        else:
            self._gateway.say(Frame(request_id=frame.request_id, stream_chunk=StreamChunk(last=True)))
        return decode_result((await answer).response.data)

    async def next_event(self, type: str | None = None) -> Emitted:
        """The next event that was not returned before, of this type if one is given; others are passed over.

        Raises:
            TimeoutError: If none comes within DEFAULT_TIMEOUT. The text says what came instead.
        """
        first = self._seen
        try:
            async with asyncio.timeout(DEFAULT_TIMEOUT):
                while True:
                    while self._seen < len(self.events):
                        event = self.events[self._seen]
                        self._seen += 1
                        if type is None or event.type == type:
                            return event
                    self._arrived.clear()
                    await self._arrived.wait()
        except TimeoutError:
            raise TimeoutError(self._missing(type, first)) from None

    def _missing(self, type: str | None, first: int) -> str:
        """What to say when no such event came, with those that did."""
        wanted = "no event" if type is None else f"no event {type!r}"
        passed, before = self.events[first:], self.events[:first]
        text = f"{wanted} came within {DEFAULT_TIMEOUT:g} s; "
        text += f"passed over: {_listed(passed)}" if passed else "nothing else came either"
        if before:
            text += f"; returned before: {_listed(before)}"
        if self.closed is not None:
            text += f"; the session was closed with {self.closed[0]} {self.closed[1]!r}"
        return text

    def _count(self, handler: MessageHandler) -> None:
        count, period = handler.rate
        if not count or handler.requirement.refusal(self.identity) is not None:
            return  # who may not ask at all is refused by the service, and not counted
        # A handler that was replaced has a rate of its own.
        self._paid[handler], wait = Rate(count, period).take(self._paid.get(handler, 0.0), monotonic())
        if wait:
            raise RateLimitedError(retry_after=min(wait, _LONGEST_WAIT))

    async def close(self, reason: str = EndReason.CLIENT_CLOSED) -> None:
        """End the session and wait until ``on_disconnect`` has run."""
        await self._gateway.disconnect(self, reason)

    async def cut(self) -> None:
        """Lose the connection, not the session: what is sent waits. Return when ``on_detach`` has run."""
        self.connected = False
        frame = Frame()
        frame.session_detached.session = self.id
        await self._gateway.tell(frame)

    async def resume(self) -> None:
        """Come back to the session, and get what was sent meanwhile. Return when ``on_resume`` has run."""
        self.connected = True
        frame = Frame()
        frame.session_resumed.session = self.id
        await self._gateway.tell(frame)
        missed, self._missed = self._missed, []
        for event in missed:
            self.receive(event)

    def receive(self, event: Emitted) -> None:
        """Take an event, as the gateway's outbox does."""
        if not self.connected:
            self._missed.append(event)
            return
        self.events.append(event)
        self._arrived.set()

    def answer_to(self, event: Emitted) -> Any:
        """What it answers to an event that wants an answer.

        Raises:
            LinkdError: If it answers with an error.
        """
        answer = self.answers.get(event.type)
        return None if answer is None else answer(event.data)


def _listed(events: Sequence[Emitted]) -> str:
    """The last of them, with what they carried."""
    shown = [f"{event.type} {event.data!r:.80}" for event in events[-_SHOWN:]]
    more = len(events) - len(shown)
    return ", ".join([f"{more} more"] * bool(more) + shown)
