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
from time import time
from typing import Any
from urllib.parse import unquote, urlencode

from ..protocol.end import EndReason
from ..protocol.errors import LinkdError, NotFoundError, PayloadTooLargeError, UnauthorizedError
from ..protocol.identity import Identity
from ..protocol.link_pb2 import CODEC_JSON, Event, Frame, HttpResponse, StreamChunk
from ..protocol.link_values import fill_identity
from ..protocol.routes import choose
from .actions import StreamActionHandler
from .memory_client import Client, Emitted
from .memory_gateway import MemoryGateway
from .memory_streams import StreamedAnswer
from .response import Response, decode_result
from .service import Service
from .validation import encode


class Gateway(MemoryGateway):
    """What a test does with the gateway in memory; made by ``run``."""

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
        client.admitted = True
        return client

    async def request(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str | Sequence[str]] | None = None,
        cookies: Mapping[str, str] | None = None,
        user: str | None = None,
        roles: Iterable[str] = (),
    ) -> Response:
        """Ask an action over HTTP; ``decode`` reads the answer's JSON. One that is streamed is read to its end.

        Args:
            method: Of the request.
            path: Without its query.
            body: Bytes go as they are, anything else as JSON; for an action with ``on_stream`` a list of chunks, too.
            query: The parameters of the query.
            headers: Of the request; a list of values is a header each.
            cookies: Of the own page, by name; the action sees those that it reads.
            user: Who asks; ``None``: nobody signed in.
            roles: The user's roles.

        Raises:
            LinkdError: If no route matches, the body is larger than the action's ``max_body``, or the action answers
                with an error.
            TypeError: If the answer is an event stream, which has no end: see ``stream``.
        """
        frame, chunks = self._question(method, path, body, query, headers, cookies, _identity(user, None, roles))
        answer = await self._ask(frame, chunks)
        streamed = self.streamed.get(frame.request_id)
        if streamed is not None:
            try:
                if streamed.headers.get("content-type") == "text/event-stream":
                    raise TypeError("these are events, which have no end: ask with gateway.stream()")
                answer.body = b"".join([chunk async for chunk in streamed])
            finally:
                del self.streamed[frame.request_id]
                streamed.close()
        return _returned(answer, head=method == "HEAD")

    @contextlib.asynccontextmanager
    async def stream(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str | Sequence[str]] | None = None,
        cookies: Mapping[str, str] | None = None,
        user: str | None = None,
        roles: Iterable[str] = (),
    ) -> AsyncIterator[StreamedAnswer]:
        """Ask an action that streams its answer, and read it piece by piece; leaving is closing the connection.

        Args and errors are those of ``request``.

        Raises:
            TypeError: If the answer is not streamed.
        """
        frame, chunks = self._question(method, path, body, query, headers, cookies, _identity(user, None, roles))
        await self._ask(frame, chunks)
        streamed = self.streamed.get(frame.request_id)
        if streamed is None:
            raise TypeError("the answer is not streamed")
        try:
            yield streamed
        finally:
            self.streamed.pop(frame.request_id, None)
            streamed.close()

    async def _ask(self, frame: Frame, chunks: Sequence[bytes]) -> HttpResponse:
        """Send a request, and the chunks of its body where that is streamed."""
        answer = asyncio.ensure_future(self.tell(frame))
        await asyncio.sleep(0)  # it is there
        if frame.http_request.streamed:
            for chunk in chunks:
                self.say(Frame(request_id=frame.request_id, stream_chunk=StreamChunk(data=chunk)))
            self.say(Frame(request_id=frame.request_id, stream_chunk=StreamChunk(last=True)))
        return (await answer).http_response

    def _question(
        self,
        method: str,
        path: str,
        body: Any,
        query: Mapping[str, str] | None,
        headers: Mapping[str, str | Sequence[str]] | None,
        cookies: Mapping[str, str] | None,
        identity: Identity | None,
    ) -> tuple[Frame, Sequence[bytes]]:
        routes = ((known.method, known.route, known) for known in self.service.action.handlers if known.route)
        found = choose(routes, method, [unquote(segment) for segment in path.split("/")])
        if found is None:
            raise NotFoundError()
        action, variables = found
        frame = Frame()
        request = frame.http_request
        request.action, request.method, request.path = action.name, method, path
        request.params.update(variables)
        request.query = urlencode(query or {})
        chunks: Sequence[bytes] = ()
        if isinstance(action, StreamActionHandler):
            request.streamed = True
            chunks = [body] if isinstance(body, bytes) else list(body or ())
        else:
            request.body = body if isinstance(body, bytes) else encode(body)
        if action.max_body is not None and len(request.body) > action.max_body:
            raise PayloadTooLargeError(details={"limit": action.max_body})
        for name, value in (headers or {}).items():
            for each in [value] if isinstance(value, str) else value:
                request.headers.add(name=name.lower(), value=each)
        request.cookies.update({name: value for name, value in (cookies or {}).items() if name in action.cookies})
        if identity is not None:
            fill_identity(request.identity, identity)
        return frame, chunks

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

    async def emit(self, type: str, data: Any = None, *, id: str = "") -> None:
        """Have another service emit an event, and wait until this one has handled it.

        Args:
            type: Of the event.
            data: Anything that JSON can carry.
            id: Of a durable event: it is stored when this returns, and then handled.
        """
        await self.tell(Frame(event=Event(type=type, data=encode(data), source="test", id=id)))

    def provide(self, service: str, action: str, answer: Callable[[Any], Awaitable[Any]]) -> None:
        """Answer ``ctx.call(service, action, params)`` with what ``answer(params)`` returns."""
        self._others[service, action] = answer


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


def _returned(answer: HttpResponse, *, head: bool) -> Response:
    """The answer as a client sees it."""
    headers: dict[str, list[str]] = {}
    for header in answer.headers:
        headers.setdefault(header.name, []).append(header.value)
    cookies = headers.pop("Set-Cookie", [])
    kind = headers.pop("Content-Type", [None])[0]
    sent = {name: values if len(values) > 1 else values[0] for name, values in headers.items()}
    content = b"" if head else answer.body
    return Response(content, status=answer.status, content_type=kind, headers=sent, cookies=cookies)


def _identity(user: str | None, name: str | None, roles: Iterable[str]) -> Identity | None:
    return None if user is None else Identity(user=user, name=name or user, roles=frozenset(roles))


__all__ = ["Client", "Emitted", "Gateway", "StreamedAnswer", "decode", "run"]
