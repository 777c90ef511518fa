"""Run a service's handlers with no socket: a gateway in memory that shows rooms, events and answers.

    async with run(service) as gateway:
        alice = await gateway.connect(user="alice")
        answer = await alice.send("chat.join", {"room": "lobby"})
        assert gateway.rooms["lobby"] == {alice.id}

The same jobs, contexts and frames are used as behind the real gateway; only the socket is missing.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from time import monotonic, time
from typing import Any
from urllib.parse import urlencode

import msgspec

from ..protocol.end import EndReason
from ..protocol.errors import (
    BadRequestError,
    InternalError,
    LinkdError,
    NotFoundError,
    RateLimitedError,
    UnauthorizedError,
    UnknownActionError,
    UnknownMessageTypeError,
)
from ..protocol.identity import Identity
from ..protocol.link import fill_failure, fill_identity
from ..protocol.link_pb2 import CODEC_JSON, Event, Frame, Publish, RoomCommand, StreamAborted, StreamChunk
from ..protocol.rate import Rate
from ..protocol.routes import match
from .jobs import done
from .response import Response, decode_result
from .runtime import Runtime
from .service import Service
from .validation import encode
from .websocket import MessageHandler

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
    """

    type: str
    data: Any
    sessions: frozenset[str]


class Client:
    """A connected session.

    Attributes:
        id: The session's id.
        identity: Who it is.
        events: What the service sent it, oldest first.
        closed: Code and reason, once the service disconnected it.
    """

    def __init__(self, gateway: Gateway, id: str, identity: Identity | None) -> None:
        self._gateway = gateway
        self._arrived = asyncio.Event()
        self._seen = 0
        self._paid: dict[MessageHandler, float] = {}  # protocol/rate.py
        self.id = id
        self.identity = identity
        self.events: list[Emitted] = []
        self.closed: tuple[int, str] | None = None

    async def send(self, type: str, data: Any = None) -> Any:
        """Send a message and return the answer's data, decoded.

        Raises:
            RateLimitedError: If it is more than the handler's ``rate`` allows; the service does not see it.
            LinkdError: If the service answers with an error. The ``__cause__`` of an InternalError is the exception
                that the handler raised.
        """
        handler = self._gateway.service.ws.find(type)
        if handler is None:
            protected = any(known.requirement.auth for known in self._gateway.service.ws.handlers)
            if self.identity is None and protected:
                raise UnauthorizedError  # who has not signed in does not learn which types there are
            raise UnknownMessageTypeError(details={"type": type})
        self._count(handler)
        frame = Frame()
        frame.inbound.session = self.id
        frame.inbound.type = type
        frame.inbound.data = encode(data)
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

    def receive(self, event: Emitted) -> None:
        """Take an event, as the gateway's outbox does."""
        self.events.append(event)
        self._arrived.set()


class Gateway:
    """A gateway in memory with one service behind it; made by ``run``.

    Attributes:
        service: The service.
        rooms: The ids of the sessions in each room; empty rooms vanish.
        emitted: Every event for clients, oldest first.
        service_events: Type and data of what the service emitted to other services.
    """

    def __init__(self, service: Service[Any], runtime: Runtime) -> None:
        self.service = service
        self.rooms: dict[str, set[str]] = {}
        self.emitted: list[Emitted] = []
        self.service_events: list[tuple[str, Any]] = []
        self.clients: dict[str, Client] = {}
        self._runtime = runtime
        self._asked: dict[int, asyncio.Future[Frame]] = {}
        self._last_id = 0
        self._connected = 0
        self._others: dict[tuple[str, str], Callable[[Any], Awaitable[Any]]] = {}
        self._calls: set[asyncio.Task[None]] = set()

    # for tests

    async def connect(
        self,
        user: str | None = None,
        *,
        name: str | None = None,
        roles: Iterable[str] = (),
        metadata: Mapping[str, str] | None = None,
    ) -> Client:
        """Open a session and wait until ``on_connect`` has run.

        Args:
            user: The user's id; ``None``: nobody signed in.
            name: The user's name; by default the id.
            roles: The user's roles.
            metadata: Query parameters of the opening handshake.

        Raises:
            UnauthorizedError: If the service wants to know who it is (``auth=True``), and there is no user.
            LinkdError: If ``on_connect`` refuses the session.
        """
        if self.service.auth and user is None:
            raise UnauthorizedError
        self._connected += 1
        client = Client(self, f"session-{self._connected}", _identity(user, name, roles))
        self.clients[client.id] = client
        frame = Frame()
        session = frame.session_opened.session
        session.id = client.id
        session.path = self.service.path or "/ws"
        session.codec = CODEC_JSON
        session.connected_at_ms = round(time() * 1000)
        session.metadata.update(metadata or {})
        if client.identity is not None:
            fill_identity(session.identity, client.identity)
        try:
            await self.tell(frame)
        except LinkdError as error:
            client.closed = (1008, error.message)
            await self.disconnect(client, EndReason.REFUSED)
            raise
        return client

    async def request(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        query: Mapping[str, str] | None = None,
        user: str | None = None,
        roles: Iterable[str] = (),
    ) -> Response:
        """Ask an action over HTTP; ``decode`` reads the answer's JSON.

        Raises:
            LinkdError: If no route matches, or the action answers with an error.
        """
        segments = path.split("/")
        allowed: set[str] = set()
        # The route with the fewest variables is the most specific one.
        for action in sorted(self.service.action.handlers, key=lambda action: action.route.count("{")):
            variables = match(action.route, segments) if action.route else None
            if variables is not None:
                if action.method != method:
                    allowed.add(action.method)
                    continue
                frame = Frame()
                request = frame.http_request
                request.action, request.method, request.path = action.name, method, path
                request.params.update(variables)
                request.query = urlencode(query or {})
                request.body = encode(body)
                identity = _identity(user, None, roles)
                if identity is not None:
                    fill_identity(request.identity, identity)
                answer = (await self.tell(frame)).http_response
                headers = {header.name: header.value for header in answer.headers if header.name != "Set-Cookie"}
                cookies = [header.value for header in answer.headers if header.name == "Set-Cookie"]
                kind = headers.pop("Content-Type", None)
                return Response(answer.body, status=answer.status, content_type=kind, headers=headers, cookies=cookies)
        if allowed:
            raise LinkdError(
                "This route does not take this method.",
                code=405,
                type="METHOD_NOT_ALLOWED",
                details={"allowed": sorted(allowed)},
            )
        raise NotFoundError()

    async def call(self, action: str, params: Any = None, *, user: str | None = None, roles: Iterable[str] = ()) -> Any:
        """Call an action as another service does, and return its result, decoded.

        Raises:
            LinkdError: If there is no such action, or it answers with an error.
        """
        frame = Frame()
        frame.call.service = self.service.name
        frame.call.action = action
        frame.call.params = encode(params)
        frame.call.caller = "test"
        identity = _identity(user, None, roles)
        if identity is not None:
            fill_identity(frame.call.identity, identity)
        return decode_result((await self.tell(frame)).call_result.data)

    async def emit(self, type: str, data: Any = None) -> None:
        """Have another service emit an event, and wait until this one has handled it."""
        await self.tell(Frame(event=Event(type=type, data=encode(data), source="test")))

    def provide(self, service: str, action: str, answer: Callable[[Any], Awaitable[Any]]) -> None:
        """Answer ``ctx.call(service, action, params)`` with what ``answer(params)`` returns."""
        self._others[service, action] = answer

    async def disconnect(self, client: Client, reason: str) -> None:
        """End a session and wait until ``on_disconnect`` has run."""
        if self.clients.pop(client.id, None) is None:
            return
        frame = Frame()
        closed = frame.session_closed
        closed.session.id = client.id
        closed.reason = reason
        for room in [room for room, members in self.rooms.items() if client.id in members]:
            closed.rooms.append(room)
            self._leave(room, client.id)
        await self.tell(frame)

    # the service's counterpart: what it gets

    def say(self, frame: Frame) -> None:
        """Send the service a frame that is not answered."""
        self._runtime.received(self, str(frame.WhichOneof("body")), frame)

    async def tell(self, frame: Frame) -> Frame:
        """Send the service a frame and return its answer.

        Raises:
            LinkdError: If it answers with an error.
        """
        self._last_id += 1
        frame.request_id = self._last_id
        future: asyncio.Future[Frame] = asyncio.get_running_loop().create_future()
        self._asked[self._last_id] = future
        kind = frame.WhichOneof("body")
        assert kind is not None
        self._runtime.received(self, kind, frame)
        return await future

    def answer(self, request_id: int, frame: Frame) -> None:
        """The service answers."""
        if frame.WhichOneof("body") == "stream_credit":
            return  # it has taken a chunk; here the chunks do not wait for that
        answer = Frame()
        answer.CopyFrom(frame)  # the service may use the frame again for its next answer
        self._asked.pop(request_id).set_result(answer)

    def fail(self, request_id: int, error: LinkdError) -> None:
        """The service answers with an error."""
        fill_failure(Frame().failure, error)  # one that cannot be encoded is a fault here too
        self._asked.pop(request_id).set_exception(error)

    # and what it asks

    def ask(self, frame: Frame) -> asyncio.Future[Frame]:
        """The service asks something."""
        future: asyncio.Future[Frame] = asyncio.get_running_loop().create_future()
        kind = frame.WhichOneof("body")
        if kind == "call":
            self._call(frame, future)
            return future
        try:
            future.set_result(self._carry_out(str(kind), frame))
        except LinkdError as error:
            future.set_exception(error)
        return future

    def _carry_out(self, kind: str, frame: Frame) -> Frame:
        answer = Frame()
        match kind:
            case "publish":
                answer.published.reached = self._publish(frame.publish)
            case "room_command":
                self._room_command(frame.room_command)
                return done()
            case "room_query" if frame.room_query.session:
                self._known(frame.room_query.session)
                answer.room_list.rooms.extend(
                    room for room, members in self.rooms.items() if frame.room_query.session in members
                )
            case "room_query":
                for id in sorted(self.rooms.get(frame.room_query.room, ())):
                    identity = self.clients[id].identity
                    answer.member_list.members.add(
                        session=id,
                        user="" if identity is None else identity.user,
                        name="" if identity is None else identity.name,
                    )
            case "session_command":
                self._close(frame)
                return done()
            case "event":
                answer.event_done.reached = self._event(frame.event)
        return answer

    def _publish(self, publish: Publish) -> int:
        meant = set(self.clients) if publish.everyone else set(publish.sessions)
        for room in publish.rooms:
            meant |= self.rooms.get(room, set())
        excepted = set(publish.except_sessions)
        for id, client in self.clients.items():
            user = None if client.identity is None else client.identity.user
            if user is not None and user in publish.users:
                meant.add(id)
            if user is not None and user in publish.except_users:
                excepted.add(id)
        reached = frozenset(meant & set(self.clients) - excepted)
        event = Emitted(publish.type, decode_result(publish.data), reached)
        self.emitted.append(event)
        for id in reached:
            self.clients[id].receive(event)
        return len(reached)

    def _room_command(self, command: RoomCommand) -> None:
        self._known(command.session)
        for room in command.rooms:
            if command.verb == RoomCommand.JOIN:
                self.rooms.setdefault(room, set()).add(command.session)
            else:
                self._leave(room, command.session)

    def _leave(self, room: str, id: str) -> None:
        members = self.rooms.get(room, set())
        members.discard(id)
        if not members:
            self.rooms.pop(room, None)

    def _event(self, event: Event) -> int:
        self.service_events.append((event.type, decode_result(event.data)))
        if not any(True for _ in self.service.events.matching(event.type)):
            return 0
        # The service hears its own events too.
        heard = Event()
        heard.CopyFrom(event)
        heard.source = self.service.name
        self._run(self.tell(Frame(event=heard)))
        return 1

    def _close(self, frame: Frame) -> None:
        command = frame.session_command
        if command.close_code != 1000 and not 3000 <= command.close_code <= 4999:
            raise BadRequestError(f"A service closes with 1000 or 3000 to 4999, not with {command.close_code}.")
        if command.session:
            self._known(command.session)
        for client in list(self.clients.values()):
            by_user = client.identity is not None and command.user and client.identity.user == command.user
            if by_user or client.id == command.session:
                client.closed = (command.close_code, command.reason)
                self._run(self.disconnect(client, EndReason.DISCONNECTED))

    def _call(self, frame: Frame, future: asyncio.Future[Frame]) -> None:
        key = (frame.call.service, frame.call.action)
        provided = self._others.get(key)
        own = key[0] == self.service.name and self.service.action.find(key[1]) is not None

        async def answer() -> None:
            try:
                if provided is not None:
                    result = Frame()
                    result.call_result.data = encode(await provided(decode_result(frame.call.params)))
                elif own:
                    frame.call.caller = self.service.name
                    result = await self.tell(Frame(call=frame.call))
                else:
                    raise UnknownActionError(f"No service offers the action {key[0]}.{key[1]}.")
                future.set_result(result)
            except LinkdError as error:
                future.set_exception(error)
            except Exception as cause:
                internal = InternalError()
                internal.__cause__ = cause
                future.set_exception(internal)

        self._run(answer())

    def _run(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._calls.add(task)
        task.add_done_callback(self._calls.discard)

    def _known(self, id: str) -> None:
        if id not in self.clients:
            raise NotFoundError("The session has ended.", type="SESSION_GONE")

    async def until_idle(self) -> None:
        """End every session and wait for what that sets off."""
        for client in list(self.clients.values()):
            await self.disconnect(client, EndReason.SHUTDOWN)
        await asyncio.gather(*self._calls, return_exceptions=True)


@contextlib.asynccontextmanager
async def run(service: Service[Any]) -> AsyncIterator[Gateway]:
    """Start a service with its database and hooks, and a gateway in memory before it.

    On leaving, sessions end, ``on_disconnect`` and ``before_stop`` run, and the database closes.
    """
    async with service.opened() as runtime:
        gateway = Gateway(service, runtime)
        runtime.link = gateway
        await service.run_hooks("after_start")
        try:
            yield gateway
        finally:
            await gateway.until_idle()


def decode(response: Response) -> Any:
    """The JSON in an action's answer."""
    return decode_result(response.body)


def _listed(events: Sequence[Emitted]) -> str:
    """The last of them, with what they carried."""
    shown = [f"{event.type} {event.data!r:.80}" for event in events[-_SHOWN:]]
    more = len(events) - len(shown)
    return ", ".join([f"{more} more"] * bool(more) + shown)


def _identity(user: str | None, name: str | None, roles: Iterable[str]) -> Identity | None:
    return None if user is None else Identity(user=user, name=name or user, roles=frozenset(roles))


__all__ = ["Client", "Emitted", "Gateway", "decode", "run"]
