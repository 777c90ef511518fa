"""A connection that speaks HTTP/1.1 and is no WebSocket: one request after the other, and nothing without a limit.

h11 reads and writes; it refuses what is ambiguous (RFC 9112 §6.1, §3.2), keeps trailers apart from headers, and takes
the next request only when this one is answered. What it keeps is bounded here: a head, a chunk header and the trailers
by the head's limit, a body by the application, which takes it piece by piece. What comes behind a request that is not
answered yet stays in the socket but for a single read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from urllib.parse import unquote

import h11
from starlette.types import Scope

from ...protocol.errors import BadRequestError, LinkdError
from .exchange import Exchange
from .faults import AnswerTimeoutError, BodyTimeoutError, check_framing, protocol_error
from .handshake import Head, refusal
from .head import HeadTimeoutError, HeadTooLargeError, head_size, split_target, wants_websocket
from .reading import BUFFER, received
from .refuse import CLOSING_SECONDS, close_gently, log
from .sending import Sending
from .serving import Serving
from .stages import Progress, Stage
from .tcp import reset_on_close
from .tls import let_go

_KEPT = 16 * 1024  # bytes of a body that wait for the application before reading stops
_SKIPPED = 64 * 1024  # bytes of a body that nobody wants which are read so that the connection can go on
_PART = 16 * 1024  # bytes of a streamed body, for each of which there is as much time as else for a whole body
_CHUNK_FRAMING = 16  # bytes that a chunk's size and line breaks may take (RFC 9112 §7.1)


class HttpConnection(asyncio.BufferedProtocol):
    """One connection.

    Args:
        serving: What all connections of a port share.
        transport: Of the client.
        client: Its address and port, a PROXY header seen through; ``None``: it has none.
        on_end: Called once, when the connection is gone or has become a WebSocket.
    """

    def __init__(
        self,
        serving: Serving,
        transport: asyncio.Transport,
        client: tuple[str, int] | None,
        on_end: Callable[[], None] = lambda: None,
    ) -> None:
        self._serving = serving
        self._transport = transport
        self._client = client
        self._on_end = on_end
        self._conn = h11.Connection(h11.SERVER, serving.max_head_size)
        self._exchange: Exchange | None = None
        self._progress = Progress(serving.traffic.http, self._expired)
        self._sending = Sending(transport)
        self._pipelined = b""  # what came behind the request before, until it is this connection's turn
        self._blank = 0  # bytes of empty lines before a request
        self._came = 0  # bytes since the head
        self._allowed = 0  # of them: the body's content, and what may stand around it
        self._skipped = 0
        self._streamed = False  # the body is taken as a stream
        self._part = 0  # bytes of it since there was time for another part
        self._reading = True
        self._closing = False
        self._half_closed = False  # the client sends no more
        self._can_write = asyncio.Event()
        self._can_write.set()
        self._server = transport.get_extra_info("sockname")
        self._scheme = "http" if transport.get_extra_info("sslcontext") is None else "https"
        serving.connections.add(self)

    def begin(self, data: bytes) -> None:
        """Take over from whoever read the first bytes."""
        self._progress.enter(Stage.HEAD, self._serving.deadlines.head)
        self._received(data)

    # asyncio.BufferedProtocol

    def get_buffer(self, sizehint: int) -> memoryview:
        """See asyncio.BufferedProtocol."""
        return BUFFER

    def buffer_updated(self, nbytes: int) -> None:
        """See asyncio.BufferedProtocol."""
        self._received(received(nbytes))

    def eof_received(self) -> bool:
        """See asyncio.Protocol: the client sends no more, and gets the answer to what it asked (RFC 9112 §9.6).

        In the middle of an answer that is streamed it is taken for gone: there may be nothing to write for long, which
        would show whether it is.
        """
        if self._closing or self._exchange is None:
            return False
        if self._exchange.streaming:
            self.cut()
            return False
        self._half_closed = True
        self._conn.receive_data(b"")
        self._read_events()
        return not self._closing

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        self._end()
        self._serving.unread.release(self._transport)
        self._can_write.set()
        let_go(self._transport)

    def pause_writing(self) -> None:
        """See asyncio.Protocol: the client does not read."""
        self._can_write.clear()
        left = 0 if self._exchange is None else self._exchange.left
        # Each time anew: between two pauses the client has read something.
        self._serving.unread.hold(self._transport, self._transport.get_write_buffer_size() + left)
        if self._progress.stage is not Stage.SENDING:
            self._sending.begin(left)
            self._progress.enter(Stage.SENDING, self._serving.deadlines.sending)

    def resume_writing(self) -> None:
        """See asyncio.Protocol."""
        self._can_write.set()
        if not self._closing and self._exchange is not None and self._exchange.left:
            return  # the next piece of the answer follows
        self._serving.unread.release(self._transport)
        if self._closing:
            return
        if self._exchange is not None and self._exchange.answered:
            self.answered()
        else:
            self._progress.enter(Stage.ANSWERING, self._serving.deadlines.answering)

    @property
    def address(self) -> str:
        """Where the client is; empty: it has no address."""
        return self._client[0] if self._client else ""

    # what comes

    def _received(self, data: bytes) -> None:
        if self._closing:
            return
        if self._pipelined:
            self._pipelined += data  # TLS may deliver what it had decrypted before reading paused
            return
        if self._progress.stage in (Stage.IDLE, Stage.HEAD) and not self._conn.trailing_data[0]:
            data = self._after_blank(data)
            if not data:
                return
        if self._progress.stage is Stage.BODY:
            self._came += len(data)
        self._conn.receive_data(data)
        self._read_events()

    def _after_blank(self, data: bytes) -> bytes:
        """What follows the empty lines that may stand before a request (RFC 9112 §2.2)."""
        rest = data.lstrip(b"\r\n")
        self._blank += len(data) - len(rest)
        if self._blank > self._serving.max_head_size:
            self.refuse(HeadTooLargeError())
            return b""
        if rest and self._progress.stage is Stage.IDLE:
            self._serving.wake(self)
            self._progress.enter(Stage.HEAD, self._serving.deadlines.head)
        return rest

    def _read_events(self) -> None:
        while not self._closing:
            if self._conn.their_state is h11.MUST_CLOSE:
                # The request was the connection's last: what follows is not read, and no reason not to answer it
                # (RFC 9112 §9.6).
                if self._conn.trailing_data[0]:
                    self._pause()
                return
            try:
                event = self._conn.next_event()
            except h11.RemoteProtocolError as error:
                self.refuse(protocol_error(error))
                return
            if isinstance(event, h11.Request):
                try:
                    self._head_came(event)
                except LinkdError as error:
                    self.refuse(error)
            elif isinstance(event, h11.Data):
                self._body_came(event)
            elif isinstance(event, h11.EndOfMessage):
                self._request_complete(event)
            else:
                if event is h11.PAUSED and self._conn.trailing_data[0]:
                    self._pause()  # the next request waits until this one is answered
                elif self._progress.stage is Stage.BODY and self._came - self._allowed > self._serving.max_head_size:
                    self.refuse(HeadTooLargeError("There is too much around the request's body."))
                return

    def _head_came(self, event: h11.Request) -> None:
        fields = list(event.headers)
        if head_size(event.target, fields) > self._serving.max_head_size:
            raise HeadTooLargeError()
        check_framing(event, fields)
        authority, path, query = split_target(event.method, event.target)
        host = next((value for name, value in fields if name == b"host"), b"") if authority is None else authority
        self._serving.hosts.check(host.decode("latin-1"))
        if self._serving.upgrade is not None and wants_websocket(fields):
            self._become_websocket(event, fields)
            return
        if authority is not None:  # it counts instead of the Host header (RFC 9112 §3.2.2)
            fields = [(b"host", authority), *((name, value) for name, value in fields if name != b"host")]
        self._came = len(self._conn.trailing_data[0])
        self._allowed = self._skipped = self._part = 0
        self._streamed = False
        self._progress.enter(Stage.BODY, self._serving.deadlines.body)
        self._exchange = Exchange(
            self,
            self._scope(event, fields, path, query),
            self._serving.headers,
            expected=self._conn.they_are_waiting_for_100_continue,
        )
        self._serving.run(self._exchange)

    def _scope(self, event: h11.Request, fields: list[tuple[bytes, bytes]], path: bytes, query: bytes) -> Scope:
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": event.http_version.decode("ascii"),
            "server": self._server[:2] if isinstance(self._server, tuple) else None,
            "client": self._client,
            "scheme": self._scheme,
            "method": event.method.decode("ascii"),
            "root_path": "",
            "path": unquote(path.decode("latin-1")),
            "raw_path": path,
            "query_string": query,
            "headers": fields,
            "state": {},
        }

    def _become_websocket(self, event: h11.Request, fields: list[tuple[bytes, bytes]]) -> None:
        if self._conn.trailing_data[0]:
            raise BadRequestError("Nothing may follow an opening handshake before it is answered.")
        assert self._serving.upgrade is not None
        self._end()
        peer = self._client[0] if self._client else ""
        version = event.http_version.decode("ascii")
        self._serving.upgrade(self._transport, Head(event.method, event.target, fields, peer, version))

    def _body_came(self, event: h11.Data) -> None:
        exchange = self._exchange
        assert exchange is not None
        size = len(event.data)
        self._allowed += size + (_CHUNK_FRAMING if event.chunk_start else 0)
        if exchange.answered:
            self._skipped += size
            if self._skipped > _SKIPPED:
                self._close()
            return
        exchange.take(bytes(event.data))
        self._part += size
        if exchange.kept > _KEPT:
            self._pause()
            if self._streamed:
                self._progress.enter(Stage.BODY, self._serving.deadlines.answering)  # the service has to take some
        elif self._streamed and self._part >= _PART:
            self._await_part()

    def _await_part(self) -> None:
        self._part = 0
        self._progress.enter(Stage.BODY, self._serving.deadlines.body)

    def _request_complete(self, event: h11.EndOfMessage) -> None:
        exchange = self._exchange
        assert exchange is not None
        if exchange.answered:
            self._next()
        elif head_size(b"", list(event.headers)) > self._serving.max_head_size:
            self.refuse(HeadTooLargeError("The request's trailers are too large."))
        else:
            exchange.complete()
            if self._progress.stage is Stage.BODY:
                self._progress.enter(Stage.ANSWERING, self._serving.deadlines.answering)

    # what goes: exchange.Carrier

    def read_on(self) -> None:
        """See exchange.Carrier."""
        if not self._reading:
            self._reading = True
            self._transport.resume_reading()
            if self._streamed and self._progress.stage is Stage.BODY:
                self._await_part()

    def stream_body(self) -> None:
        """See exchange.Carrier."""
        self._streamed = True

    def _pause(self) -> None:
        if self._reading:
            self._reading = False
            self._transport.pause_reading()

    def write(self, *events: h11.Event) -> None:
        """See exchange.Carrier."""
        if events and isinstance(events[0], h11.Response) and not self._goes_on():
            head = events[0]
            headers = [*head.headers, (b"connection", b"close")]
            events = (h11.Response(status_code=head.status_code, headers=headers, reason=head.reason), *events[1:])
        data = b"".join(self._conn.send(event) or b"" for event in events)
        self._sending.written += len(data)
        self._transport.write(data)
        if self._conn.our_state is h11.SEND_BODY and self._progress.stage in (Stage.ANSWERING, Stage.BODY):
            if self._progress.stage is Stage.BODY:
                self._pause()  # the answer has begun: nobody reads what is left of the request
            self._progress.enter(Stage.ANSWERING, self._serving.deadlines.answering)  # for what comes next

    def _goes_on(self) -> bool:
        """Whether the connection can be used again once the request is answered as far as it has come."""
        if self._serving.closing or self._half_closed:
            return False
        if self._conn.their_state is not h11.SEND_BODY:
            return True
        assert self._exchange is not None
        fields = self._exchange.scope["headers"]
        length = int(next((value for name, value in fields if name == b"content-length"), _SKIPPED + 1))
        return not self._exchange.expected and length <= _SKIPPED

    async def writable(self) -> None:
        """See exchange.Carrier."""
        await self._can_write.wait()

    def answered(self) -> None:
        """See exchange.Carrier."""
        if self._can_write.is_set():
            self._serving.unread.release(self._transport)  # the client did not read at first, and caught up
        if self._closing:
            return
        if self._conn.our_state is not h11.DONE:
            self._close()
        elif not self._can_write.is_set():
            pass  # the next request is taken when the client has read this answer: resume_writing
        elif self._conn.their_state is h11.DONE:
            self._next()
        else:
            self._progress.enter(Stage.BODY, self._serving.deadlines.body)
            self.read_on()  # what is left of the body

    def _next(self) -> None:
        """Begin with the next request, when it is this connection's turn if the request is there already."""
        self._pipelined, _ = self._conn.trailing_data
        self._conn = h11.Connection(h11.SERVER, self._serving.max_head_size)
        self._exchange = None
        self._blank = 0
        self._progress.enter(Stage.IDLE, self._serving.deadlines.idle)
        self._serving.rest(self)
        if self._pipelined:
            self._pause()
            self._serving.line_up(self)
        else:
            self.read_on()

    def take_pipelined(self) -> None:
        """It is this connection's turn: take the request that came behind the one before."""
        if not self._closing:
            data, self._pipelined = self._pipelined, b""
            self.read_on()
            self._received(data)

    def refuse(self, error: LinkdError) -> None:
        """Answer a request that cannot be taken or completed, and close."""
        if self._closing:
            return
        if self._exchange is not None and self._exchange.started:
            log.warning("answer_broken_off", code=error.code, remote_address=self.address)
            self.cut()
            return
        log.info("head_refused", code=error.code, remote_address=self.address)
        self._serving.traffic.handshakes[str(error.code)] += 1
        self._transport.write(refusal(error))
        self._close()

    def cut(self) -> None:
        """See exchange.Carrier."""
        if self._closing:
            return
        exchange = self._exchange
        if exchange is not None and exchange.started and exchange.scope["http_version"] == "1.0":
            # There the end of the connection may be that of the answer: only a reset shows that a part is missing.
            reset_on_close(self._transport)
        self._end()
        self._transport.abort()

    # the end

    def shutdown(self) -> None:
        """The gateway stops: answer what was asked, and close."""
        if self._exchange is None:
            self._close()

    def close_idle(self) -> None:
        """Make room for others: an idle connection has read its answers, and counts no more from now on."""
        self._end()
        close_gently(self._transport, self._serving.traffic, self._serving.deadlines.sending)

    def _expired(self, stage: Stage) -> None:
        if stage is Stage.HEAD:
            self.refuse(HeadTimeoutError())
        elif stage is Stage.BODY:
            self.refuse(BodyTimeoutError() if self._reading else AnswerTimeoutError())
        elif stage is Stage.ANSWERING:
            self.refuse(AnswerTimeoutError())
        elif stage is not Stage.SENDING:
            self._close()
        elif self._sending.goes_on():
            self._progress.enter(Stage.SENDING, self._serving.deadlines.sending)
        else:
            log.info("answer_cut", remote_address=self.address)
            self.cut()

    def _close(self) -> None:
        if not self._closing:
            on_end, self._on_end = self._on_end, lambda: None
            self._end()

            def gone() -> None:
                self._serving.unread.release(self._transport)
                on_end()

            linger = 0.0 if self._half_closed else CLOSING_SECONDS
            close_gently(self._transport, self._serving.traffic, self._serving.deadlines.sending, gone, linger=linger)

    def _end(self) -> None:
        if self._closing:
            return
        self._closing = True
        self._progress.end()
        self._serving.wake(self)
        self._serving.connections.discard(self)
        exchange, self._exchange = self._exchange, None  # each holds the other
        if exchange is not None and not exchange.answered:
            exchange.abandon()
        self._on_end()
