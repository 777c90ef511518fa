"""A service while it runs: takes what the gateway says and makes jobs of it."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from time import monotonic
from typing import TYPE_CHECKING, Any, Protocol

import structlog

from ..protocol.end import EndReason
from ..protocol.errors import (
    InternalError,
    LinkdError,
    NotFoundError,
    PayloadTooLargeError,
    ServiceUnavailableError,
    UnknownActionError,
    UnknownMessageTypeError,
)
from ..protocol.link import PROTOCOL_VERSION
from ..protocol.link_pb2 import CODEC_MSGPACK, Frame, Registered
from ..protocol.link_pb2 import Session as WireSession
from ..protocol.link_values import read_identity
from .actions import Actions, StreamActionHandler
from .answer_streams import AnswerStreams
from .answered_job import AnsweredJob
from .background import Background, Portal
from .breaker import Breaker
from .calls import Circuits
from .context import WsContext
from .declared_events import CheckedLink
from .dispatch import Dispatcher, Job, Mailbox
from .events import Events
from .health import HealthChecks
from .jobs import (
    ActionJob,
    Answerable,
    EventJob,
    HookJob,
    KeyedMessageJob,
    MessageJob,
    NoticeJob,
    PresenceJob,
    StreamJob,
    done,
)
from .limits import Limits, Reconnect, fill_limits
from .link import Asker, Offline
from .once import KnownKeys
from .presence import read_change
from .remote_session import SESSION_GONE
from .rooms import Rooms
from .socket import Socket
from .streams import Stream
from .text import TextPolicy
from .validation import Function, Schema
from .websocket import StreamHandler, WebSocket

if TYPE_CHECKING:
    from .persistence import Persistence

log = structlog.get_logger("linkd.service")

_MOST_ENDED = 10_000  # sessions, for which a gateway keeps as many ends at most
_CANCEL_TIMEOUT = 2.0  # seconds that cancelled handlers may take to clean up

_Handle = Callable[[Answerable, Frame], None]


class Offer(Protocol):
    """What a service offers (service.py)."""

    name: str
    version: str
    path: str | None
    namespace: str
    auth: bool
    ws: WebSocket
    action: Actions
    events: Events
    room_rules: Rooms
    health: HealthChecks
    presence_handlers: list[Function]
    limits: Limits | None
    reconnect: Reconnect | None
    one_session_per_user: Any
    text: TextPolicy
    call_breaker: Breaker | None

    @property
    def db(self) -> Any:
        """Its database."""


class _Nobody:
    """Takes the answers to questions that this process asked itself."""

    def answer(self, request_id: int, frame: Frame) -> None:
        pass

    def fail(self, request_id: int, error: LinkdError) -> None:
        pass


class Runtime:
    """What is alive of a service: its sessions and its jobs. A LinkOwner (link.py), and the contexts' Host.

    Args:
        service: What the author wrote.
        max_concurrent: Most handlers suspended at once.

    Attributes:
        link: Where contexts send their questions.
        anything: See host.Host.
        sockets: The sessions that the gateway announced, by id.
        checks_events: Whether what is emitted is compared with what ``ws.event`` declares.
        leaving: Whether the service stops: where it registers once more, it gets nothing new.
        background: Tasks that are no handlers.
        portal: The way in for other threads.
        answer_streams: The bodies of its answers that are under way.
        circuits: Of what its handlers call.
        persistence: What it remembers in its database; ``None``: it has none.
        known_keys: Of what its handlers have handled.
    """

    def __init__(self, service: Offer, max_concurrent: int) -> None:
        self.service = service
        self.link: Asker = Offline()
        self._link: Asker = self.link  # itself, where what goes over it is checked
        self.checks_events = False
        self.anything = Schema(Any, service.text)
        self.sockets: dict[str, Socket] = {}
        self.leaving = False
        self.dispatcher = Dispatcher(max_concurrent)
        self.background = Background(self.dispatcher.context)
        self.portal = Portal(self.background)
        self.answer_streams = AnswerStreams()
        self.circuits = Circuits(service.call_breaker)
        self.persistence: Persistence | None = None
        self.known_keys = KnownKeys()
        self._streams: dict[int, Stream] = {}
        self._presence_mailbox = Mailbox()
        # Sessions whose handlers ran when the link broke: ours again only if the gateway says so.
        self._orphans: dict[str, Socket] = {}
        # Sessions whose on_disconnect has begun here, the latest: a gateway whose link broke meanwhile asks again.
        self._ended: dict[str, None] = {}
        self._instance = secrets.token_urlsafe(8)
        self._gateway_instance: str | None = None
        self._handle: dict[str, _Handle] = {
            "inbound": self._inbound,
            "stream_opened": self._stream_opened,
            "stream_chunk": self._stream_chunk,
            "stream_credit": self._stream_credit,
            "stream_aborted": self._stream_aborted,
            "session_opened": self._session_opened,
            "session_closed": self._session_closed,
            "session_identified": self._session_identified,
            "session_detached": self._session_detached,
            "session_resumed": self._session_resumed,
            "session_moved": self._session_moved,
            "http_request": self._http_request,
            "call": self._call,
            "event": self._event,
            "presence_changed": self._presence_changed,
            "ping": self._ping,
            "describe_query": self._describe_query,
            "subscribers_changed": self._subscribers_changed,
        }

    # host.Host

    @property
    def name(self) -> str:
        """See host.Host."""
        return self.service.name

    @property
    def db(self) -> Any:
        """See host.Host."""
        return self.service.db

    @property
    def text(self) -> TextPolicy:
        """See host.Host."""
        return self.service.text

    # link.LinkOwner

    def registration(self) -> Frame:
        """See link.LinkOwner."""
        service = self.service
        frame = Frame()
        register = frame.register
        register.protocol_version = PROTOCOL_VERSION
        register.service = service.name
        register.version = service.version
        register.instance = self._instance
        register.namespace = service.namespace
        register.path = service.path or ""
        register.auth = service.auth
        register.draining = self.leaving
        register.failing.extend(service.health.failing)
        for message in service.ws.handlers:
            register.handlers.add(
                type=message.name,
                auth=message.requirement.auth,
                roles=sorted(message.requirement.roles),
                description=message.description,
                stream=isinstance(message, StreamHandler),
                rate_count=message.rate[0],
                rate_period_ms=round(message.rate[1] * 1000),
                unordered=not message.ordered,
                once=message.once is not None,
            )
        register.catch_all = service.ws.catches_all
        for action in service.action.handlers:
            register.actions.add(
                name=action.name,
                method=action.method,
                route=action.route,
                auth=action.requirement.auth,
                roles=sorted(action.requirement.roles),
                description=action.description,
                cookies=action.cookies,
                max_body=action.max_body,
                stream=isinstance(action, StreamActionHandler),
            )
        register.events.extend(service.events.patterns)
        register.durable_events.extend(service.events.durable_patterns)
        service.room_rules.fill(register)
        register.presence = bool(service.presence_handlers)
        if service.limits or service.reconnect or service.one_session_per_user:
            fill_limits(register, service.limits, service.reconnect, service.one_session_per_user)
        return frame

    def registered(self, link: Asker, answer: Registered) -> None:
        """See link.LinkOwner."""
        if link is self._link:
            return  # the gateway has taken over a change
        self._link = link
        self.link = CheckedLink(link, self.service.ws.events) if self.checks_events else link
        if self._gateway_instance == answer.gateway_instance:
            # The sessions live on and may meanwhile be another instance's: the gateway says which are ours again. One
            # of which a handler still runs keeps its mailbox until then, so that nothing overtakes that handler.
            known = {**self._orphans, **self.sockets}  # a link may break again while a handler still runs
            self._orphans = {id: socket for id, socket in known.items() if socket._mailbox.busy}
            self.sockets = {}
        else:
            self.end_sessions()
        self._gateway_instance = answer.gateway_instance

    def end_sessions(self) -> None:
        """The gateway process is gone, and with it every session that is this instance's."""
        # Forgotten at once: yet another gateway may be found before their last handlers have ended.
        sockets, self.sockets = self.sockets, {}
        for socket in sockets.values():
            if socket.id not in self._ended:
                self._end(socket, _Nobody(), 0, EndReason.GATEWAY_LOST, ())

    async def stop_background(self) -> int:
        """Cancel the background tasks; how many ignored that. Later calls do nothing."""
        return await self.background.close(_CANCEL_TIMEOUT)

    async def stop(self, timeout: float) -> int:
        """Let what is being handled end within ``timeout`` seconds, then cancel it; how much ignored even that.

        What was cancelled is answered by the gateway when the link ends. Later calls do nothing.
        """
        if not await self.drain(timeout):
            log.error("handlers_cancelled", unfinished=self.dispatcher.unfinished)
        return await self.close()

    async def drain(self, timeout: float) -> bool:
        """Wait until nothing is being handled or sent; ``False``: not within ``timeout`` seconds."""
        deadline = monotonic() + timeout
        self.answer_streams.end_events()
        drained = await self.dispatcher.drain(timeout)
        self.answer_streams.end_events()
        return await self.answer_streams.drain(deadline - monotonic()) and drained

    async def close(self) -> int:
        """Cancel what is being handled or sent; how much ignored that. Later calls do nothing."""
        stuck = await self.dispatcher.close(_CANCEL_TIMEOUT) + await self.answer_streams.close(_CANCEL_TIMEOUT)
        if stuck:
            log.error("handlers_stuck", handlers=stuck)
        return stuck

    def paused(self) -> None:
        """See link.LinkOwner."""
        self.dispatcher.pause()

    def resumed(self) -> None:
        """See link.LinkOwner."""
        self.dispatcher.resume()

    def lost(self) -> None:
        """See LinkOwner. What had not begun is forgotten: the gateway has answered it, or asks another instance."""
        self.link = self._link = Offline()
        sockets = [*self.sockets.values(), *self._orphans.values()]
        mailboxes = [*(socket._mailbox for socket in sockets), self._presence_mailbox]
        self.dispatcher.discard(_is_the_gateways, mailboxes)
        self.dispatcher.resume()
        for socket in sockets:
            socket._early = None
            if not socket._ready and not socket._mailbox.busy:
                socket._opened = False  # its on_connect was among them
        # The numbers of streams are the link's.
        streams, self._streams = self._streams, {}
        for stream in streams.values():
            stream.abort(EndReason.GATEWAY_LOST)
        self.answer_streams.lost()

    def received(self, link: Answerable, kind: str, frame: Frame) -> None:
        """See link.LinkOwner."""
        handle = self._handle.get(kind)
        if handle is not None:
            handle(link, frame)
        else:
            log.warning("frame_unknown", kind=kind)
            link.fail(frame.request_id, NotFoundError(f"A service is not sent {kind} frames."))

    # what the gateway says

    def _inbound(self, link: Answerable, frame: Frame) -> None:
        inbound = frame.inbound
        request_id, type = frame.request_id, inbound.type
        socket = self.sockets.get(inbound.session)
        handler = self.service.ws.find(type)
        if socket is None:
            link.fail(request_id, ServiceUnavailableError("The session is not known here.", retry_after=1.0))
        elif handler is None or isinstance(handler, StreamHandler):
            link.fail(request_id, UnknownMessageTypeError(details={"type": type}))
        else:
            job: Job
            if handler.once is None:
                job = MessageJob(self, link, request_id, handler, socket, type, inbound.data)
            else:
                job = KeyedMessageJob(self, link, request_id, handler, socket, type, inbound.data)
                job.key = inbound.key
            if not handler.ordered and not socket._ready:
                socket._early = [*(socket._early or ()), job]
            else:
                self.dispatcher.add(job)

    def _stream_opened(self, link: Answerable, frame: Frame) -> None:
        opened, request_id = frame.stream_opened, frame.request_id
        socket = self.sockets.get(opened.session)
        handler = self.service.ws.find(opened.type)
        if socket is None:
            link.fail(request_id, ServiceUnavailableError("The session is not known here.", retry_after=1.0))
        elif not isinstance(handler, StreamHandler):
            link.fail(request_id, UnknownMessageTypeError(details={"type": opened.type}))
        else:
            stream = self._stream(link, request_id, handler)
            over = self._expect_chunks(request_id, stream)
            job: Job = StreamJob(self, link, request_id, handler, socket, opened.type, opened.data, stream, over)
            if not socket._ready:
                socket._early = [*(socket._early or ()), job]
            else:
                self.dispatcher.add(job)

    def _stream(self, link: Answerable, request_id: int, handler: StreamHandler | StreamActionHandler) -> Stream:
        size, timeout = handler.max_size, handler.idle_timeout
        return Stream(link, request_id, self.dispatcher, max_size=size, idle_timeout=timeout)

    def _expect_chunks(self, request_id: int, stream: Stream) -> Callable[[], None]:
        """Feed a stream with what comes for a question; what is returned ends that."""
        self._streams[request_id] = stream

        def over() -> None:
            if self._streams.get(request_id) is stream:
                del self._streams[request_id]
            stream.abort("answered")

        return over

    def _stream_chunk(self, link: Answerable, frame: Frame) -> None:
        stream = self._streams.get(frame.request_id)
        if stream is not None:  # else it was answered already
            stream.feed(frame.stream_chunk.data, frame.stream_chunk.last)

    def _stream_aborted(self, link: Answerable, frame: Frame) -> None:
        stream = self._streams.get(frame.request_id)
        if stream is not None:
            stream.abort(frame.stream_aborted.reason)
        else:
            self.answer_streams.abort(frame.request_id)

    def _stream_credit(self, link: Answerable, frame: Frame) -> None:
        self.answer_streams.taken(frame.request_id)

    def _session_opened(self, link: Answerable, frame: Frame) -> None:
        wire = frame.session_opened.session
        adopted = frame.session_opened.adopted
        socket = self.sockets.get(wire.id)
        if socket is None:
            socket = self.sockets[wire.id] = self._taken_back(wire, adopted)
        if socket._ready:
            # The gateway asks again, after its link broke: the answer is that of the handlers that ran already.
            if socket._refusal is None:
                link.answer(frame.request_id, done())
            else:
                link.fail(frame.request_id, socket._refusal)
            return
        # If they are running still, this question waits behind them in the mailbox.
        handlers = () if socket._opened else tuple(self.service.ws.connect_handlers)
        socket._opened = True
        ctx: WsContext[Any] = WsContext(self, "connect", socket)
        known = socket

        def connected(error: BaseException | None) -> None:
            known._ready = True
            # The session's messages may be waiting already: after a refusal none of them may be handled. That the
            # client has left meanwhile is no refusal: what on_connect had begun is for on_disconnect to end.
            left = known._closed and isinstance(error, LinkdError) and error.type == SESSION_GONE
            if error is not None and not left:
                known._refusal = error if isinstance(error, LinkdError) else InternalError()
            early, known._early = known._early or (), None
            for job in early:
                self.dispatcher.add(job)

        self.dispatcher.add(HookJob(self, link, frame.request_id, handlers, ctx, connected))

    def _taken_back(self, wire: WireSession, adopted: bool) -> Socket:
        """A session that this instance did not have, or had before its link broke: then it keeps its mailbox, so that
        what still runs of it is not overtaken.
        """
        orphan = self._orphans.pop(wire.id, None)
        socket = _socket(wire)  # as the gateway knows it now: its client may have signed in meanwhile
        if orphan is not None and not adopted:
            orphan.identity, orphan.connected = socket.identity, socket.connected
            return orphan  # its on_connect may be running
        socket._opened = socket._ready = adopted  # whatever an on_connect here comes to, another instance let it in
        if orphan is not None:
            socket._mailbox = orphan._mailbox
        return socket

    def _session_identified(self, link: Answerable, frame: Frame) -> None:
        socket = self.sockets.get(frame.session_identified.session)
        if socket is not None:
            socket.identity = read_identity(frame.session_identified.identity)
        link.answer(frame.request_id, done())

    def _session_detached(self, link: Answerable, frame: Frame) -> None:
        socket = self.sockets.get(frame.session_detached.session)
        if socket is not None:
            socket.connected = False
        self._notice(link, frame, socket, "detach", self.service.ws.detach_handlers)

    def _session_resumed(self, link: Answerable, frame: Frame) -> None:
        resumed = frame.session_resumed
        socket = self.sockets.get(resumed.session)
        if socket is not None:
            socket.connected = True
            socket.remote_address, socket.user_agent = resumed.remote_address, resumed.user_agent
        self._notice(link, frame, socket, "resume", self.service.ws.resume_handlers)

    def _session_moved(self, link: Answerable, frame: Frame) -> None:
        """Another instance looks after it. It has no ordered message here, and its end is that one's affair."""
        self.sockets.pop(frame.session_moved.session, None)
        link.answer(frame.request_id, done())

    def _notice(
        self, link: Answerable, frame: Frame, socket: Socket | None, name: str, handlers: Sequence[Function]
    ) -> None:
        if socket is None or not handlers:
            link.answer(frame.request_id, done())
            return
        ctx: WsContext[Any] = WsContext(self, name, socket)
        self.dispatcher.add(NoticeJob(self, link, frame.request_id, tuple(handlers), ctx, lambda error: None))

    def _session_closed(self, link: Answerable, frame: Frame) -> None:
        closed = frame.session_closed
        if closed.session.id in self._ended:
            link.answer(frame.request_id, done())
            return
        socket = self.sockets.get(closed.session.id) or self._orphans.pop(closed.session.id, None)
        if socket is None:
            # It ended while no instance was there; its beginning was announced to an earlier one.
            socket = _socket(closed.session)
        socket._closed = True
        self._end(socket, link, frame.request_id, closed.reason, tuple(closed.rooms))

    def _end(self, socket: Socket, link: Answerable, request_id: int, reason: str, rooms: tuple[str, ...]) -> None:
        ctx: WsContext[Any] = WsContext(self, "disconnect", socket, end_reason=reason, last_rooms=rooms)

        def forget(_: BaseException | None) -> None:
            self.sockets.pop(socket.id, None)

        async def begin(_: object) -> None:
            self._ended[socket.id] = None
            if len(self._ended) > _MOST_ENDED:
                del self._ended[next(iter(self._ended))]

        handlers = (begin, *self.service.ws.disconnect_handlers)
        self.dispatcher.add(HookJob(self, link, request_id, handlers, ctx, forget))

    def _http_request(self, link: Answerable, frame: Frame) -> None:
        request, request_id = frame.http_request, frame.request_id
        handler = self.service.action.find(request.action)
        if handler is None:
            link.fail(request_id, NotFoundError())
        elif request.streamed != isinstance(handler, StreamActionHandler):  # it was another one when the request came
            link.fail(request_id, ServiceUnavailableError(retry_after=1.0))
        else:
            job = ActionJob.of_request(self, link, request_id, handler, request)
            if isinstance(handler, StreamActionHandler):
                stream = self._stream(link, request_id, handler)
                job.take(stream, self._expect_chunks(request_id, stream))
            self.dispatcher.add(job)

    def _call(self, link: Answerable, frame: Frame) -> None:
        call = frame.call
        handler = self.service.action.find(call.action)
        if handler is None or isinstance(handler, StreamActionHandler):
            unknown = UnknownActionError(f"No service offers the action {call.service}.{call.action}.")
            link.fail(frame.request_id, unknown)
        else:
            self.dispatcher.add(ActionJob.of_call(self, link, frame.request_id, handler, call))

    def _event(self, link: Answerable, frame: Frame) -> None:
        handlers = list(self.service.events.matching(frame.event.type))
        self.dispatcher.add(EventJob(self, link, frame.request_id, handlers, frame.event))

    def _ping(self, link: Answerable, frame: Frame) -> None:
        answer = done()
        if self.persistence is not None:
            answer.done.stored.update(self.persistence.stored)
        link.answer(frame.request_id, answer)

    def _describe_query(self, link: Answerable, frame: Frame) -> None:
        from .describe.description import description  # a service that nobody asks does without these modules

        try:
            link.answer(frame.request_id, Frame(description=description(self.service)))
        except PayloadTooLargeError as error:
            log.error("description_too_large", error=error.message, details=error.details)
            link.fail(frame.request_id, error)

    def _subscribers_changed(self, link: Answerable, frame: Frame) -> None:
        if self.persistence is not None:
            self.persistence.subscribers_changed()
        link.answer(frame.request_id, done())

    def _presence_changed(self, link: Answerable, frame: Frame) -> None:
        change = read_change(frame.presence_changed)
        handlers = tuple(self.service.presence_handlers)
        self.dispatcher.add(PresenceJob(self, link, frame.request_id, handlers, change, self._presence_mailbox))


def _is_the_gateways(job: Job) -> bool:
    """Whether the gateway asked for the job. What this process asked of itself is its own affair."""
    return isinstance(job, AnsweredJob) and not (isinstance(job, HookJob) and job.of_itself)


def _socket(wire: WireSession) -> Socket:
    return Socket(
        id=wire.id,
        path=wire.path,
        msgpack=wire.codec == CODEC_MSGPACK,
        identity=read_identity(wire.identity) if wire.HasField("identity") else None,
        remote_address=wire.remote_address,
        user_agent=wire.user_agent,
        connected_at=wire.connected_at_ms / 1000,
        metadata=dict(wire.metadata),
        connected=not wire.detached,
    )
