"""A client: what an application calls, and what it hears."""

from __future__ import annotations

import asyncio
import logging
import random
import secrets
import ssl
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Literal, Self, TypeVar, overload

import msgspec

from ..protocol.control import Auth, AuthExpiring, Presence, RoomNotice
from ..protocol.control import Gap as RoomGap
from ..protocol.envelope import JSON, MSGPACK, SUBPROTOCOLS, Received
from ..protocol.errors import (
    BadRequestError,
    InternalError,
    LinkdError,
    NotFoundError,
    PayloadTooLargeError,
    RateLimitedError,
)
from ..protocol.rooms import Position
from .callbacks import is_coroutine_function, run
from .connection import ENDED, Connections
from .errors import ConnectionLost, QueueFull, Timeout
from .events import Event, EventStream, Handlers
from .protocol import Outgoing, Session, Welcome, decode, encode
from .rooms import Join, Load, Room
from .state import Failure, Gap, State, StateChange
from .tokens import Tokens, TokenSource

log = logging.getLogger("pylinkd.client")

T = TypeVar("T")

_LATE = 1.0  # a timer that is late by so much was held up with everything else
_WAITING = 1000  # events, for a coroutine function
_ANSWERING = 256  # questions of the server's that are answered at a time


def connect(
    url: str,
    *,
    token: TokenSource = None,
    encoding: Literal["json", "msgpack"] = "json",
    headers: Mapping[str, str] | None = None,
    ssl: ssl.SSLContext | None = None,
    queue_messages: int = 256,
    queue_bytes: int = 256 * 1024,
) -> Client:
    """A client, which connects when it is entered, and keeps connected until it is left::

        async with connect("ws://127.0.0.1:3000/ws/hello") as client:
            print(await client.call("hello.greet", {"name": "Ada"}))

    Args:
        url: The gateway and the path; ``http`` and ``https`` stand for ``ws`` and ``wss``.
        token: Who the user is, or what returns that, called only when it is needed, and with the reason. It is sent in
            the header ``Authorization``.
        encoding: How messages are written.
        headers: More headers of the opening handshake.
        ssl: How to trust the server, for ``wss``; ``None``: as the system does.
        queue_messages: How many messages may wait while there is no connection.
        queue_bytes: And how many bytes.

    Raises:
        ValueError: If ``url`` is no address, or none for TLS while ``ssl`` is given; if ``token`` can be none.
    """
    return Client(
        url,
        token=token,
        encoding=encoding,
        headers=headers or {},
        ssl=ssl,
        queue_messages=queue_messages,
        queue_bytes=queue_bytes,
    )


class Client:
    """See ``connect``."""

    def __init__(
        self,
        url: str,
        *,
        token: TokenSource,
        encoding: str,
        headers: Mapping[str, str],
        ssl: ssl.SSLContext | None,
        queue_messages: int,
        queue_bytes: int,
    ) -> None:
        self._codec = MSGPACK if encoding == "msgpack" else JSON
        self._session = Session(
            self._codec,
            next(name for name, codec in SUBPROTOCOLS.items() if codec is self._codec),
            messages=queue_messages,
            bytes=queue_bytes,
            owner=_Owner(self),
            random=random.random,
        )
        self._tokens = Tokens(token)
        self._connections = Connections(
            url,
            session=self._session,
            binary=self._codec.binary,
            tokens=self._tokens,
            headers=headers,
            ssl=ssl,
            changed=self._state_changed,
            lost=self._connection_lost,
            report=self.report,
        )
        self._events: Handlers[Event] = Handlers(self.report)
        self._streams: set[EventStream] = set()
        self._answerers: dict[str, Callable[[Event], object]] = {}
        self._answering = 0
        self._renewing = False
        self._on_state: Handlers[StateChange] = Handlers(self.report)
        self._on_gap: Handlers[Gap] = Handlers(self.report)
        self._on_error: Handlers[Failure] = Handlers(_log_failure)
        self._rooms: dict[str, Room] = {}
        self._sessions = 0
        self._change = StateChange(State.IDLE)
        self._changed = asyncio.Event()
        self._runner: asyncio.Task[None] | None = None
        self._tasks: asyncio.TaskGroup | None = None
        self._early: list[
            tuple[Callable[..., Coroutine[Any, Any, None]], tuple[Any, ...]]
        ] = []  # for when it is entered

    # its life

    @property
    def state(self) -> State:
        """Whether there is a connection."""
        return self._connections.state

    @property
    def pending(self) -> int:
        """How many messages the server has not confirmed yet."""
        return self._session.pending

    async def __aenter__(self) -> Self:
        if self._runner is not None or self.state is State.CLOSED:
            raise RuntimeError("a client is entered once: call connect() for another")
        self._runner = asyncio.get_running_loop().create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """End the session, behind what was sent. What has no answer yet fails with ``ConnectionLost``."""
        try:
            await self._connections.drain()
        finally:
            if self._runner is not None:
                self._runner.cancel()
                await asyncio.wait([self._runner])
            self._end(ENDED, None)  # where that had not begun

    async def wait(self, state: State = State.OPEN) -> None:
        """Wait until the client is in a state.

        Raises:
            ConnectionLost: If it was closed meanwhile.
        """
        while self.state is not state:
            if self.state is State.CLOSED:
                raise ConnectionLost(self._change.reason, False)
            self._changed.clear()
            await self._changed.wait()

    def wake(self) -> None:
        """Find out whether the connection is alive, or connect at once. For programs that know of sleep or networks."""
        if self._tasks is not None:
            self._connections.wake()

    async def _run(self) -> None:
        reason, code = ENDED, None
        try:
            async with asyncio.TaskGroup() as self._tasks:
                for function, arguments in self._early:
                    self.start(function, *arguments)
                self._early.clear()
                reason, code = await self._connections.run(self._tasks)
                raise _Over
        except* _Over:
            pass
        except* Exception:
            reason = "the client failed"
            log.exception(reason)
        finally:
            self._tasks = None
            self._end(reason, code)

    def _end(self, reason: str, code: int | None) -> None:
        if self.state is not State.CLOSED:
            self._early.clear()
            self._connections.end(reason, code)
            for stream in list(self._streams):
                stream.close()

    def _state_changed(self, change: StateChange) -> None:
        self._change = change
        self._changed.set()
        self._on_state.call("state", change)

    def _connection_lost(self) -> None:
        for room in self._rooms.values():
            room.presence.lost()

    def _renew_token(self) -> None:
        if self._tokens.renewable and not self._renewing:
            self._renewing = True
            self.start(self._renew_token_now)

    async def _renew_token_now(self) -> None:
        try:
            token = await self._tokens.ask("expiring")
            if token is not None:
                await self.request(Auth.type, Auth(token=token))
                self._tokens.token = token
        except ConnectionLost:
            pass  # the next session begins with a token of its own
        except Exception as error:  # an application's
            self.report(error, "token")
        finally:
            self._renewing = False

    # messages

    @overload
    async def call(
        self, type: str, data: object = None, *, timeout: float | None = 30.0, idempotent: bool | str = False
    ) -> Any: ...
    @overload
    async def call(
        self,
        type: str,
        data: object = None,
        *,
        returns: type[T],
        timeout: float | None = 30.0,
        idempotent: bool | str = False,
    ) -> T: ...
    async def call(
        self,
        type: str,
        data: object = None,
        *,
        returns: Any = Any,
        timeout: float | None = 30.0,
        idempotent: bool | str = False,
    ) -> Any:
        """Send a message and return its answer. Cancelling it leaves the message sent, if it was.

        Args:
            type: Such as ``chat.send``.
            data: What msgspec encodes: plain values, dataclasses, structs, dates and so on.
            returns: The type of the answer.
            timeout: Seconds; ``None``: no limit.
            idempotent: It may come twice: where a session is lost and nobody knows whether the message came, it is sent
                again, with the same key. A handler with ``once`` handles it once; others have to bear a repetition. A
                text is the key; ``True`` makes one.

        Raises:
            LinkdError: What the server answered, of the class of its code.
            Timeout: If no answer came in time.
            ConnectionLost: If the session was lost, with whether the message had come.
            QueueFull: If there is no connection, and too much waits for one.
            ValueError: If ``type`` is a control message's.
            msgspec.DecodeError: If the answer cannot be read; ValidationError, which is one, if it is of another type.
        """
        self._check(type, control=False)
        id = self._session.next_id()
        answer: asyncio.Future[msgspec.Raw] = asyncio.get_running_loop().create_future()
        key = secrets.token_urlsafe(12) if idempotent is True else idempotent or None
        payload = self._codec.request(type, encode(self._codec, data), id, key=key)
        entry = Outgoing(payload, id, idempotent=bool(idempotent), settle=_settling(answer))
        self._session.enqueue(entry)
        self._connections.flush()
        return decode(self._codec, await self._await_answer(entry, answer, timeout), returns)

    async def send(self, type: str, data: object = None, *, volatile: bool = False) -> None:
        """Send a message that is not answered: now, or when there is a connection; one that is volatile now or never.

        Raises:
            QueueFull: If there is no connection, and too much waits for one.
            ConnectionLost: If the client was closed.
            ValueError: If ``type`` is a control message's.
        """
        self._check(type, control=False)
        entry = Outgoing(self._codec.request(type, encode(self._codec, data)))
        try:
            self._session.enqueue(entry)
        except QueueFull:
            if volatile:
                return
            raise
        self._connections.flush()
        if volatile:
            self._session.give_up(entry)

    async def request(self, type: str, data: object) -> Any:
        """Send a control message of the protocol, such as ``linkd.history``, and return its answer.

        Raises:
            LinkdError: What the server answered.
            ConnectionLost: If the session was lost, or the client closed.
            QueueFull: If too many wait already.
            ValueError: If ``type`` is none of a control message.
        """
        self._check(type, control=True)
        id = self._session.next_id()
        answer: asyncio.Future[msgspec.Raw] = asyncio.get_running_loop().create_future()
        payload = self._codec.request(type, encode(self._codec, data), id)
        entry = Outgoing(payload, id, control=True, settle=_settling(answer))
        self._session.request(entry)
        self._connections.flush()
        return decode(self._codec, await self._await_answer(entry, answer, None))

    def _check(self, type: str, *, control: bool) -> None:
        # Control messages are not counted: one in the place of the other, and the two sides count differently.
        if type.startswith("linkd.") is not control:
            right = "call() or send()" if control else "request()"
            raise ValueError(f"{type!r} is sent with {right}: control messages, linkd.*, are another kind than others")
        if self.state is State.CLOSED:
            raise ConnectionLost("closed", False)

    async def _await_answer(
        self, entry: Outgoing, answer: asyncio.Future[msgspec.Raw], timeout: float | None
    ) -> msgspec.Raw:
        loop = asyncio.get_running_loop()
        timer = (
            None if timeout is None else loop.call_later(timeout, self._expire, entry, answer, loop.time() + timeout)
        )
        try:
            return await answer
        finally:
            if timer is not None:
                timer.cancel()
            if entry.settle is not None:  # cancelled
                self._session.give_up(entry)
            elif answer.done() and not answer.cancelled():
                answer.exception()  # is looked at, also where the caller was cancelled in this moment

    def _expire(self, entry: Outgoing, answer: asyncio.Future[msgspec.Raw], due: float) -> None:
        # A timer that is late by far was held up with everything else: the answer may wait to be read.
        late = asyncio.get_running_loop().time() - due
        if answer.done():
            return
        if late > _LATE:
            asyncio.get_running_loop().call_later(_LATE, self._expire, entry, answer, float("inf"))
        else:
            answer.set_exception(Timeout(self._session.give_up(entry)))

    # what comes

    def on(self, type: str, handler: Callable[[Event], object]) -> Callable[[], None]:
        """Have a function called with each event of a type; ``chat.*`` stands for all that begin with ``chat.``.

        A plain function is called at once. A coroutine function runs in a task of its own, one event after the other;
        at most 1,000 events wait for it. Returns what ends that.
        """
        return self.listen(self._events, type, handler)

    def events(self, type: str = "*", *, limit: int = 1000) -> EventStream:
        """Events of a type, one after the other, until the client is closed.

        Args:
            type: Such as ``chat.message``, ``chat.*``, or ``*`` for all.
            limit: How many may wait. Beyond it the oldest is thrown away, and the next one says so (``dropped``).
        """
        return self.stream(self._events, type, limit)

    def on_request(self, type: str, handler: Callable[[Event], object]) -> Callable[[], None]:
        """Answer what the server asks, with what the function returns, or the LinkdError that it raises.

        One function a type. Returns what ends that.
        """
        self._answerers[type] = handler

        def remove() -> None:
            if self._answerers.get(type) is handler:
                del self._answerers[type]

        return remove

    def on_state(self, handler: Callable[[StateChange], object]) -> Callable[[], None]:
        """Have a function called with each change of the state. Returns what ends that."""
        return self._on_state.add("state", handler)

    def on_gap(self, handler: Callable[[Gap], object]) -> Callable[[], None]:
        """Have a function called where events were lost. Returns what ends that."""
        return self._on_gap.add("gap", handler)

    def on_error(self, handler: Callable[[Failure], object]) -> Callable[[], None]:
        """Have a function called with errors that nobody waits for. Without one they are logged."""
        return self._on_error.add("error", handler)

    def room(self, name: str, *, join: Join | None = None, load: Load | None = None) -> Room:
        """The room of this name, the same object each time.

        Args:
            name: As events of it have it.
            join: Asks the service to let the session join, from a position where one is known: usually a call. It is
                awaited when the client is connected, and for each new session. Without it the service has sessions
                join by itself.
            load: Reads the state of the room. It is awaited when the room was joined and after each gap; events that
                come meanwhile are handed over behind it, and may be part of what it read.
        """
        room = self._rooms.get(name)
        if room is None:
            room = self._rooms[name] = Room(name, self, self._forget_room)
        room.use(join, load)
        return room

    def _forget_room(self, name: str) -> None:
        self._rooms.pop(name, None)

    async def _consume(self, stream: EventStream, handler: Callable[[Event], object], type: str) -> None:
        async for event in stream:
            if event.dropped:
                self._on_gap.call("gap", Gap("dropped", event.dropped))
            try:
                await run(handler, event)
            except Exception as error:  # an application's
                self.report(error, type)

    def _dispatch(self, message: Received) -> None:
        try:
            event = Event(message.type, decode(self._codec, message.data), message.room, message.offset)
        except msgspec.DecodeError as error:  # such as a number that no float holds
            self.report(error, message.type)
            if message.id is not None:
                self._reply(self._codec.error(message.id, BadRequestError()), message)
            return
        room = self._rooms.get(message.room) if message.room is not None else None
        taken = self._events.call(event.type, event)
        if room is not None:
            taken = room.call(event) or taken
        if message.id is None:
            return
        answerer = self._answerers.get(message.type)
        if answerer is not None and self._answering < _ANSWERING:
            self._answering += 1
            self.start(self._answer, message, message.id, event, answerer, self._sessions)
        elif answerer is not None:
            self._reply(self._codec.error(message.id, RateLimitedError()), message)
        elif taken:
            self._reply(self._codec.response(message.id, b""), message)
        else:
            self._reply(self._codec.error(message.id, NotFoundError("Nobody listens to this.")), message)

    async def _answer(
        self, message: Received, id: int | str, event: Event, answerer: Callable[[Event], object], session: int
    ) -> None:
        try:
            payload = self._codec.response(id, encode(self._codec, await run(answerer, event)))
        except LinkdError as raised:
            payload = self._refusal(id, raised, message)
        except Exception as raised:  # an application's, or of what it returned
            self.report(raised, message.type)
            payload = self._codec.error(id, InternalError())
        finally:
            self._answering -= 1
        if session == self._sessions:
            self._reply(payload, message)

    def _refusal(self, id: int | str, error: LinkdError, message: Received) -> bytes:
        try:
            return self._codec.error(id, error)
        except (TypeError, ValueError, OverflowError, RecursionError) as unwritable:  # its details are
            self.report(unwritable, message.type)
            return self._codec.error(id, InternalError())

    def _reply(self, payload: bytes, message: Received) -> None:
        assert message.id is not None
        if len(payload) > self._session.largest:
            error = PayloadTooLargeError(
                "The answer is too large to be sent.", details={"limit": self._session.largest}
            )
            self.report(error, message.type)
            payload = self._codec.error(message.id, error)
        try:
            self._session.enqueue(Outgoing(payload, reply=True))
        except LinkdError as full:
            self.report(full, message.type)
        self._connections.flush()

    # for rooms

    @property
    def connected(self) -> bool:
        """Whether there is a connection."""
        return self.state is State.OPEN

    def start(self, function: Callable[..., Coroutine[Any, Any, None]], *arguments: Any) -> asyncio.Task[None] | None:
        """Run something in the background, until the client is closed. Returns its task, if it runs already."""
        if self._tasks is not None:
            coroutine = function(*arguments)
            try:
                return self._tasks.create_task(coroutine)
            except RuntimeError:  # the client is about to be closed
                coroutine.close()
        elif self.state is State.IDLE:
            self._early.append((function, arguments))
        return None

    def listen(self, handlers: Handlers[Event], type: str, handler: Callable[[Event], object]) -> Callable[[], None]:
        """Have a function called with each event of a type; see ``on``."""
        if not is_coroutine_function(handler):
            return handlers.add(type, handler)
        stream = self.stream(handlers, type, _WAITING)
        self.start(self._consume, stream, handler, type)
        return stream.end

    def stream(self, handlers: Handlers[Event], type: str, limit: int) -> EventStream:
        """Events of some handlers, one after the other, until the client is closed."""
        stream = EventStream(handlers, type, limit, self._streams.discard)
        self._streams.add(stream)
        if self.state is State.CLOSED:
            stream.close()
        return stream

    def report(self, error: Exception, source: str) -> None:
        """Something failed that nobody waits for."""
        if not self._on_error.call("error", Failure(error, source)):
            _log_failure(error, source)

    def missed(self, reason: str, room: str) -> None:
        """Events of a room were lost."""
        self._on_gap.call("gap", Gap(reason, room=room))

    def hand_over(self, message: Received) -> None:
        """Hand over an event that was held."""
        self._dispatch(message)


class _Owner:
    """What becomes of what a session has to say."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def welcome(self, welcome: Welcome) -> None:
        client = self._client
        client._sessions += not welcome.resumed
        for room in list(client._rooms.values()):
            room.welcome(welcome)
        client._connections.opened(welcome.resumed)

    def event(self, message: Received) -> None:
        room = self._client._rooms.get(message.room) if message.room is not None else None
        if room is None or room.admit(message):
            self._client._dispatch(message)

    def control(self, message: Received) -> None:
        client = self._client
        if message.type == AuthExpiring.type:
            client._renew_token()
            return
        try:
            data = decode(client._codec, message.data)
        except msgspec.DecodeError as error:
            client.report(error, message.type)
            return
        if not isinstance(data, dict) or not isinstance(name := data.get("room"), str):
            return
        room = client._rooms.get(name)
        if message.type == Presence.type:
            if room is not None:
                room.presence.receive(data)
            return
        try:
            position = msgspec.convert(data, Position)
        except msgspec.ValidationError:
            return
        if message.type == RoomNotice.type and room is not None:
            room.joined(position, data.get("recovered") is True)
        elif message.type == RoomGap.type:
            reason = str(data.get("reason"))
            if room is None:
                client.missed(reason, name)
            else:
                room.place(position, reason)

    def gap(self, reason: str, events: int | None) -> None:
        if events is None:
            for room in self._client._rooms.values():
                room.lost_session()
        self._client._on_gap.call("gap", Gap(reason, events))

    def failed(self, error: LinkdError) -> None:
        self._client.report(error, "send")

    def closing(self, retry_after: float) -> None:
        self._client._connections.closing(retry_after)

    def broken(self, reason: str, fault: bool) -> None:
        self._client._connections.broken(reason, fault)


class _Over(Exception):
    """The client is done: its other tasks end with it."""


def _settling(answer: asyncio.Future[msgspec.Raw]) -> Callable[[LinkdError | None, msgspec.Raw], None]:
    def settle(error: LinkdError | None, data: msgspec.Raw) -> None:
        if not answer.done():
            if error is None:
                answer.set_result(data)
            else:
                answer.set_exception(error)

    return settle


def _log_failure(error: Exception, source: str) -> None:
    log.error("%s failed", source, exc_info=error)
