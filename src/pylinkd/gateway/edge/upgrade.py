"""From uvicorn to picows: the opening handshake, and the change of protocols on one transport.

uvicorn hands the request's head to this protocol; a refusal is a plain HTTP answer; for a client that may come in
picows takes over the transport. The only module that touches ``WSProtocol``, which picows does not document.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from typing import Any, cast

import structlog
from picows import WSAutoPingStrategy, WSUpgradeRequest, WSUpgradeResponse, WSUpgradeResponseWithListener
from picows.picows import WSProtocol  # type: ignore[attr-defined]

from ...protocol.errors import LinkdError
from ..core.format import PLAIN, Format, Formats
from ..core.outbox import Outbox, Turn
from ..core.session import Session
from ..guard.door import Admission, Door
from .connection import Connection, Owner
from .deflate import negotiate
from .handshake import OpeningRequest, canonical_head, refusal

log = structlog.get_logger("linkd.edge")

_READ_BUFFER = 2048  # bytes; picows's minimum, which it doubles for a client that sends more at once
_MAX_READ = 4 * 1024  # bytes; some sixty of the smallest messages
_LARGE = 8 * 1024  # bytes; what reads of this size never make a buffer grow to, unless for a single frame
_MAX_USER_AGENT = 256
_ANY_KEY = "AAAAAAAAAAAAAAAAAAAAAA=="


class _Quiet:
    """Stands in for a logger in picows: its lines about each connection would cost more than the connection."""

    def isEnabledFor(self, level: int) -> bool:
        return False

    def debug(self, *args: object, **options: object) -> None:
        pass

    info = warning = error = log = debug

    def exception(self, text: str, *args: object, **options: object) -> None:
        log.error("websocket_failed", reason=text % args if args else text, exc_info=True)  # noqa: LOG014  picows calls it in its handler


_QUIET = _Quiet()


class Upgrade(asyncio.Protocol):
    """Decides one opening handshake.

    Args:
        door: Says who may come in.
        owner: Owns the connection that results.
        turn: Flushes what the session sends.
        make_outbox: Makes what keeps the client's frames.
        clock: Unix time in seconds.
        formats: How to compress; ``None``: compression is not offered.
    """

    def __init__(
        self,
        door: Door,
        owner: Owner,
        turn: Turn,
        make_outbox: Callable[[], Outbox],
        clock: Callable[[], float],
        formats: Formats | None = None,
    ) -> None:
        self._door = door
        self._owner = owner
        self._turn = turn
        self._make_outbox = make_outbox
        self._clock = clock
        self._formats = formats
        self._transport: asyncio.Transport | None = None
        self._websocket: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """The head, as uvicorn hands it over: complete, in one piece. Then what comes before picows takes over."""
        transport = self._transport
        if transport is None:
            # Over TLS a quick client's first message arrives in the very turn in which it is accepted.
            if self._websocket is not None:
                feed(self._websocket, data)
            return  # after a refusal nobody reads
        self._transport = None
        try:
            request = OpeningRequest.parse(data)
            admission = self._door.admit(
                request.path,
                request.tokens,
                request.headers.get("authorization"),
                request.subprotocols,
                origin=request.headers.get("origin"),
                host=request.headers["host"],
            )
        except LinkdError as error:
            self._owner.traffic.handshakes[str(error.code)] += 1
            log.info("handshake_refused", code=error.code, type=error.type, remote_address=_address(transport))
            transport.write(refusal(error))
            transport.close()
            # Closing waits for a client that may not read.
            asyncio.get_running_loop().call_later(self._owner.close_timeout, transport.abort)
            return
        self._accept(transport, request, admission)

    def pause_writing(self) -> None:
        """See asyncio.Protocol."""
        if self._websocket is not None:
            self._websocket.pause_writing()

    def resume_writing(self) -> None:
        """See asyncio.Protocol."""
        if self._websocket is not None:
            self._websocket.resume_writing()

    def _accept(self, transport: asyncio.Transport, request: OpeningRequest, admission: Admission) -> None:
        self._owner.traffic.handshakes["accepted"] += 1
        format, extensions = self._negotiate(request, admission)
        session = Session(
            id=secrets.token_urlsafe(16),
            path=request.path,
            format=format,
            controls=admission.subprotocol is not None,
            identity=admission.identity,
            remote_address=_address(transport),
            user_agent=request.headers.get("user-agent", "")[:_MAX_USER_AGENT],
            connected_at=self._clock(),
            metadata=request.metadata,
            turn=self._turn,
            outbox=self._make_outbox(),
        )
        chosen = {"Sec-WebSocket-Protocol": admission.subprotocol, "Sec-WebSocket-Extensions": extensions}
        response = WSUpgradeResponse.create_101_response({name: value for name, value in chosen.items() if value})
        connection = Connection(self._owner, session)

        def listener(_: WSUpgradeRequest) -> WSUpgradeResponseWithListener:
            return WSUpgradeResponseWithListener(response, connection)

        self._websocket = websocket = make_protocol(listener, self._owner.max_message_size)
        websocket.connection_made(transport)
        feed(websocket, canonical_head(request.key))
        # picows keeps both for as long as the connection lives; nobody reads them again. 0.7 KiB a connection.
        for kept in (websocket.transport.request, websocket.transport.response):
            kept.headers = None
        # uvicorn makes this object the transport's protocol when this call returns; the change to picows comes
        # after it and before the loop reads again.
        asyncio.get_running_loop().call_soon(self._hand_over, transport)

    def _hand_over(self, transport: asyncio.Transport) -> None:
        websocket, self._websocket = self._websocket, None  # uvloop keeps this object as long as the transport
        if transport.is_closing():
            websocket.connection_lost(None)
        else:
            transport.set_protocol(websocket)

    def _negotiate(self, request: OpeningRequest, admission: Admission) -> tuple[Format, str | None]:
        """The session's format, and what the answer says of extensions."""
        if self._formats is not None:
            agreement = negotiate(request.headers.get("sec-websocket-extensions", ""))
            if agreement is not None:
                return self._formats.get(admission.codec, agreement.window_bits), agreement.header
        return PLAIN[admission.codec], None


class _Reading(WSProtocol):  # type: ignore[misc]
    """picows's protocol, reading no more at once than this.

    picows doubles its buffer whenever a read fills it, and delivers whatever was read although reading was paused
    meanwhile: without a bound a client that floods is handed thousands of messages past its window.
    """

    __slots__ = ("_large",)

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._large = False

    def get_buffer(self, size_hint: int) -> memoryview:
        buffer: memoryview = super().get_buffer(size_hint)
        size = len(buffer)
        if size <= _MAX_READ:
            return buffer
        self._large = size > _LARGE
        return buffer[:_MAX_READ]

    def buffer_updated(self, nbytes: int) -> None:
        if self._large and self.listener is not None:
            if self.transport.is_close_frame_sent:
                return  # picows has given the client up, and would keep what still comes until it cuts the connection
            # Now, not in the next turn: libuv reads up to 32 times before it lets the loop go on.
            self.listener.receives(nbytes)
        super().buffer_updated(nbytes)


def make_protocol(listener_factory: Any, max_frame_size: int) -> Any:
    """A picows protocol for the server's side that leaves pings, pongs and time limits to us."""
    return _Reading(
        None,  # host_port: a client's
        None,  # ws_path: a client's
        False,  # is_client_side
        listener_factory,
        _QUIET,
        True,  # disconnect_on_exception
        None,  # websocket_handshake_timeout: the head is complete already
        False,  # enable_auto_ping
        0,
        0,
        WSAutoPingStrategy.PING_WHEN_IDLE,
        False,  # enable_auto_pong
        max_frame_size,
        None,  # extra_headers: a client's
        _READ_BUFFER,
    )


def shrink(connection: Connection, max_frame_size: int) -> None:
    """Give a connection another picows protocol, whose buffer is small. Only between two frames.

    picows knows no other way to a protocol that reads frames than a handshake; the answer to this one goes nowhere.
    """
    transport = connection.transport
    if transport is None or transport.is_closing():
        return
    answer = WSUpgradeResponseWithListener(WSUpgradeResponse.create_101_response(), connection)
    websocket = make_protocol(lambda _: answer, max_frame_size)
    websocket.connection_made(_Nowhere(transport))
    feed(websocket, canonical_head(_ANY_KEY))
    websocket.connection_made(transport)
    connection.replace(websocket.transport)
    transport.set_protocol(websocket)


class _Nowhere(asyncio.Transport):
    """Stands in for a transport, and writes nothing."""

    def __init__(self, transport: asyncio.Transport) -> None:
        super().__init__()
        self._transport = transport

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._transport.get_extra_info(name, default)

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        pass


def feed(websocket: Any, data: bytes) -> None:
    """Give a picows protocol bytes as if they came from the socket."""
    while data:
        buffer = websocket.get_buffer(len(data))
        size = min(len(buffer), len(data))
        buffer[:size] = data[:size]
        websocket.buffer_updated(size)
        data = data[size:]


def _address(transport: asyncio.Transport) -> str:
    peer = transport.get_extra_info("peername")
    return str(peer[0]) if isinstance(peer, tuple) else ""
