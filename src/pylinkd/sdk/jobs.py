"""What the gateway asks of a service, as jobs for the dispatcher: run a handler, answer with what came of it."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from ..protocol.errors import HandlerTimeoutError, LinkdError
from ..protocol.identity import Identity
from ..protocol.link import Reused
from ..protocol.link_pb2 import Call, Event, Frame, HttpRequest
from ..protocol.link_values import read_identity
from .actions import ActionHandler, parse_query
from .answer_streams import close_unused
from .answered_job import Answerable as Answerable
from .answered_job import AnsweredJob
from .context import Context, EventContext, HttpContext, WsContext
from .dispatch import DEFAULT_TIMEOUT, Mailbox
from .events import EventHandler
from .host import Host, persistence_of
from .presence import PresenceChange
from .response import Response
from .socket import Socket
from .streaming import BODILESS, StreamingResponse
from .streams import Stream
from .validation import Function, encode
from .websocket import MessageHandler, StreamHandler

_reused = Reused()  # for the answers to messages: run() encodes one before anybody else can write the next


class MessageJob(AnsweredJob):
    """A client's message."""

    __slots__ = ("_data", "_handler", "_socket", "_type")

    def __init__(
        self,
        host: Host,
        link: Answerable,
        request_id: int,
        handler: MessageHandler,
        socket: Socket,
        type: str,
        data: bytes,
    ) -> None:
        # Written out, not by super(): this runs for every message.
        self.mailbox = socket._mailbox if handler.ordered else None
        self.timeout = handler.timeout
        self._host = host
        self._link = link
        self._request_id = request_id
        self._answered = False
        self._handler = handler
        self._socket = socket
        self._type = type
        self._data = data

    async def _handle(self) -> Frame:
        handler, socket = self._handler, self._socket
        refusal = socket._refusal or handler.requirement.refusal(socket.identity)
        if refusal is not None:
            raise refusal.with_traceback(None)  # the session's own would grow with each message
        result = await handler.call(self._context())
        data = encode(result, socket._msgpack)
        frame = _reused.frame
        frame.response.data = data
        _reused.used(len(data))
        return frame

    def _context(self) -> WsContext[Any]:
        return WsContext(self._host, self._type, self._socket, self._data)

    @property
    def _retry_on(self) -> tuple[type[BaseException], ...]:
        return self._handler.retry_on

    def _what(self) -> dict[str, Any]:
        return {"type": self._type, **_who(self._socket)}


class KeyedMessageJob(MessageJob):
    """A client's message with a key, by which its handler knows it."""

    __slots__ = ("key",)

    key: str

    def _context(self) -> WsContext[Any]:
        ctx = super()._context()
        ctx._key = self.key
        return ctx


class StreamJob(MessageJob):
    """A client's stream."""

    __slots__ = ("_over", "_stream")

    def __init__(
        self,
        host: Host,
        link: Answerable,
        request_id: int,
        handler: StreamHandler,
        socket: Socket,
        type: str,
        data: bytes,
        stream: Stream,
        over: Callable[[], None],
    ) -> None:
        super().__init__(host, link, request_id, handler, socket, type, data)
        self._stream = stream
        self._over = over

    def _context(self) -> WsContext[Any]:
        ctx = super()._context()
        ctx._stream = self._stream
        return ctx

    async def run(self) -> None:
        """See Job."""
        try:
            await super().run()
        finally:
            self._over()


class HookJob(AnsweredJob):
    """The beginning or the end of a session: its ``on_connect`` or ``on_disconnect`` handlers, one after another.

    Args:
        then: Called with the error that is the answer, or ``None``. Also where a handler ignores its cancellation: that
            may not leave the session half open.
    """

    __slots__ = ("_ctx", "_handlers", "_then")

    def __init__(
        self,
        host: Host,
        link: Answerable,
        request_id: int,
        handlers: Sequence[Function],
        ctx: WsContext[Any],
        then: Callable[[LinkdError | None], None],
    ) -> None:
        super().__init__(host, link, request_id)
        self.mailbox = ctx.socket._mailbox
        self.timeout = DEFAULT_TIMEOUT
        self._handlers = handlers
        self._ctx = ctx
        self._then = then

    @property
    def of_itself(self) -> bool:
        """Whether the service asked for it, and not the gateway."""
        return not self._request_id

    async def _handle(self) -> Frame:
        await self._run_handlers()
        if not self._answered:
            self._then(None)
        return done()

    def _fail(self, error: LinkdError) -> LinkdError:
        if self._answered:
            return error
        answer = error
        try:
            answer = super()._fail(error)
        finally:
            self._then(answer)
        return answer

    async def _run_handlers(self) -> None:
        ctx = self._ctx
        refusal = ctx.socket._refusal
        if ctx.end_reason is None:
            if refusal is not None:
                raise refusal.with_traceback(None)  # the gateway asks again: an earlier answer was lost with its link
            for handler in self._handlers:
                await handler(ctx)
        elif refusal is None:  # a session that was refused never began
            await self._run_all([partial(handler, ctx) for handler in self._handlers])

    def _what(self) -> dict[str, Any]:
        return {"type": self._ctx.name, **_who(self._ctx.socket)}


class NoticeJob(HookJob):
    """The client of a session is away, or back: its ``on_detach`` or ``on_resume`` handlers, each whatever the others
    come to.
    """

    __slots__ = ()

    async def _run_handlers(self) -> None:
        if self._ctx.socket._refusal is None:
            await self._run_all([partial(handler, self._ctx) for handler in self._handlers])


class ActionJob(AnsweredJob):
    """An action, asked over HTTP or called by another service."""

    __slots__ = ("_ctx", "_generation", "_handler", "_over", "_streaming")

    def __init__(
        self, host: Host, link: Answerable, request_id: int, handler: ActionHandler, ctx: HttpContext[Any]
    ) -> None:
        super().__init__(host, link, request_id)
        self.mailbox = None
        self.timeout = handler.timeout
        self._handler = handler
        self._ctx = ctx
        self._generation = host.answer_streams.generation
        self._over: Callable[[], None] | None = None
        self._streaming: StreamingResponse | None = None

    def take(self, stream: Stream, over: Callable[[], None]) -> None:
        """Have the body as a stream.

        Args:
            stream: The body.
            over: Called when the handler has ended.
        """
        self._ctx._stream = stream
        self._over = over

    async def run(self) -> None:
        """See Job."""
        try:
            await super().run()
            await self._begin_body()
        finally:
            if self._over is not None:
                self._over()

    def _fail(self, error: LinkdError) -> LinkdError:
        self._streaming = None
        return super()._fail(error)

    async def _begin_body(self) -> None:
        """Send the body of an answer that is streamed, behind its head."""
        if self._streaming is not None:
            link, number, what = self._link, self._request_id, self._what()
            await self._host.answer_streams.start(link, number, self._streaming, what, self._generation)

    @classmethod
    def of_request(
        cls, host: Host, link: Answerable, request_id: int, handler: ActionHandler, request: HttpRequest
    ) -> ActionJob:
        """The job for an HTTP request."""
        ctx: HttpContext[Any] = HttpContext(
            host,
            handler.name,
            _identity(request),
            method=request.method,
            path=request.path,
            params=dict(request.params),
            query=parse_query(request.query),
            header_list=[(header.name, header.value) for header in request.headers],
            cookies=dict(request.cookies),
            body=request.body,
            remote_address=request.remote_address,
        )
        return cls(host, link, request_id, handler, ctx)

    @classmethod
    def of_call(cls, host: Host, link: Answerable, request_id: int, handler: ActionHandler, call: Call) -> ActionJob:
        """The job for another service's call."""
        ctx: HttpContext[Any] = HttpContext(
            host,
            handler.name,
            _identity(call),
            header_list=[("traceparent", call.traceparent)] if call.traceparent else (),
            body=call.params,
            caller=call.caller,
            calls=call.depth,
        )
        job = CallJob(host, link, request_id, handler, ctx)
        if call.timeout_ms:
            job.timeout = min(call.timeout_ms / 1000, job.timeout or math.inf)
        return job

    async def _handle(self) -> Frame:
        handler, ctx = self._handler, self._ctx
        refusal = handler.requirement.refusal(ctx.identity)
        if refusal is not None:
            raise refusal
        result = await handler.call(ctx)
        frame = Frame()
        if ctx.caller is not None:
            if isinstance(result, StreamingResponse):
                await close_unused(result, self._what())
            frame.call_result.data = result.as_json() if isinstance(result, Response) else encode(result)
            frame.call_result.SetInParent()
            return frame
        response = Response.of(result).for_request(ctx.method, ctx.headers)
        if isinstance(result, StreamingResponse):
            bodiless = ctx.method == "HEAD" or response.status in BODILESS
            if bodiless or self._answered:
                await close_unused(result, self._what())
            else:
                frame.http_response.streamed = True
                self._streaming = result
        frame.http_response.status = response.status
        frame.http_response.body = response.body
        for name, value in response.header_list:
            frame.http_response.headers.add(name=name, value=value)
        return frame

    @property
    def _retry_on(self) -> tuple[type[BaseException], ...]:
        return self._handler.retry_on

    def _what(self) -> dict[str, Any]:
        user = None if self._ctx.identity is None else self._ctx.identity.user
        return {"action": self._handler.name, "user": user, "caller": self._ctx.caller}


class CallJob(ActionJob):
    """An action that another service called, or this one: a handler waits for it."""

    __slots__ = ()

    is_call = True


class EventJob(AnsweredJob):
    """An event of another service: every handler that matches, one after another."""

    __slots__ = ("_event", "_handlers")

    def __init__(
        self, host: Host, link: Answerable, request_id: int, handlers: Sequence[EventHandler], event: Event
    ) -> None:
        super().__init__(host, link, request_id)
        self.mailbox = None
        self.timeout = None  # each handler has its own
        self._handlers = handlers
        self._event = event

    async def _handle(self) -> Frame:
        event = self._event
        if event.id:
            durable = [handler for handler in self._handlers if handler.durable]
            await persistence_of(self._host).take(event, durable)
            return done()
        ctx: EventContext[Any] = EventContext(
            self._host, event.type, _identity(event), source=event.source, raw=event.data
        )
        heard = [handler for handler in self._handlers if not handler.durable]
        await self._run_all([partial(_timed, handler, ctx) for handler in heard])
        return done()

    def _what(self) -> dict[str, Any]:
        return {"type": self._event.type, "source": self._event.source}


class PresenceJob(AnsweredJob):
    """Members came to a room or left it: every handler, one after another, and one change after the other."""

    __slots__ = ("_change", "_handlers")

    def __init__(
        self,
        host: Host,
        link: Answerable,
        request_id: int,
        handlers: Sequence[Function],
        change: PresenceChange,
        mailbox: Mailbox,
    ) -> None:
        super().__init__(host, link, request_id)
        self.mailbox = mailbox
        self.timeout = DEFAULT_TIMEOUT
        self._handlers = handlers
        self._change = change

    async def _handle(self) -> Frame:
        ctx: Context[Any] = Context(self._host, "presence", None)
        await self._run_all([partial(handler, ctx, self._change) for handler in self._handlers])
        return done()

    def _what(self) -> dict[str, Any]:
        return {"type": "presence", "room": self._change.room}


async def _timed(handler: EventHandler, ctx: EventContext[Any]) -> None:
    refusal = handler.requirement.refusal(ctx.identity)
    if refusal is not None:
        raise refusal
    limit = asyncio.timeout(handler.timeout)
    try:
        async with limit:
            await handler.call(ctx)
    except TimeoutError as cause:
        if not limit.expired():
            raise  # the handler's own
        raise HandlerTimeoutError() from cause


def done() -> Frame:
    """The answer with nothing to tell."""
    frame = Frame()
    frame.done.SetInParent()
    return frame


def _identity(wire: HttpRequest | Call | Event) -> Identity | None:
    return read_identity(wire.identity) if wire.HasField("identity") else None


def _who(socket: Socket) -> dict[str, Any]:
    return {"session": socket.id, "user": None if socket.identity is None else socket.identity.user}
