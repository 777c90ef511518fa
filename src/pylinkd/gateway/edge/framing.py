"""picows, which reads frames, as the edge uses it. The only module that touches ``WSProtocol``, which picows does not
document.

picows knows no other way to a protocol that reads frames than a handshake with its client. Ours has been answered
already (upgrade.py), so picows is given a formality, and its answer goes nowhere.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Any

import structlog
from picows import WSAutoPingStrategy, WSUpgradeResponseWithListener
from picows.picows import WSProtocol  # type: ignore[attr-defined]

from .connection import Connection

log = structlog.get_logger("linkd.edge")

_READ_BUFFER = 2048  # bytes; picows's minimum, which it doubles for a client that sends more at once
_MAX_READ = 4 * 1024  # bytes; some sixty of the smallest messages
_READ_WASTE = 64 * 1024  # bytes that are thrown away at once
_LARGE = 8 * 1024  # bytes; what reads of this size never make a buffer grow to, unless for a single frame

# uvloop keeps the last protocol that is not a buffered one for as long as the transport. This one is shared, where
# one for each would cost 0.5 KiB a connection.
_NOBODY = asyncio.Protocol()

_FORMALITY = (
    b"GET / HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)


def read_frames(transport: asyncio.Transport, connection: Connection, max_frame_size: int) -> None:
    """Have a connection's frames read from the transport, from now on. Again: with a small buffer, as at first.

    Only between two frames.
    """
    websocket = _Reading(
        connection,
        None,  # host_port: a client's
        None,  # ws_path: a client's
        False,  # is_client_side
        lambda _: WSUpgradeResponseWithListener(_ANSWER, connection),  # type: ignore[arg-type]
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
    websocket.connection_made(_Underlying(transport, connection))
    feed(websocket, _FORMALITY)
    # picows keeps it for as long as the connection lives; nobody reads it again. 0.5 KiB a connection.
    websocket.transport.request.headers = None
    transport.set_protocol(_NOBODY)
    transport.set_protocol(websocket)


def feed(websocket: Any, data: bytes) -> None:
    """Give a protocol bytes as if they came from the socket."""
    while data:
        buffer = websocket.get_buffer(len(data))
        size = min(len(buffer), len(data))
        buffer[:size] = data[:size]
        websocket.buffer_updated(size)
        data = data[size:]


class _Reading(WSProtocol):  # type: ignore[misc]
    """picows's protocol, reading no more at once than ``_MAX_READ``.

    picows doubles its buffer whenever a read fills it, and delivers whatever was read although reading was paused
    meanwhile: without a bound a client that floods is handed thousands of messages past its window.
    """

    __slots__ = ("_connection", "_large")

    def __init__(self, connection: Connection, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._connection = connection
        self._large = False

    def get_buffer(self, size_hint: int) -> memoryview:
        buffer: memoryview = super().get_buffer(size_hint)
        size = len(buffer)
        if size <= _MAX_READ:
            return buffer
        self._large = size > _LARGE
        return buffer[:_MAX_READ]

    def buffer_updated(self, nbytes: int) -> None:
        if self._large:
            # Now, not in the next turn: libuv reads up to 32 times before it lets the loop go on.
            self._connection.receives(nbytes)
        super().buffer_updated(nbytes)
        if self.transport.is_close_frame_sent:
            # picows found a frame that is wrong by itself, and reads nothing more.
            transport = self._connection.transport
            if transport is not None:
                transport.set_protocol(_Ignoring(self._connection, self))
            self._connection.unreadable()


class _Ignoring(asyncio.BufferedProtocol):
    """Follows picows on a connection whose frames cannot be parsed any more: what still comes is thrown away."""

    def __init__(self, connection: Connection, before: _Reading) -> None:
        self._connection = connection
        self._before = before

    def get_buffer(self, size_hint: int) -> bytearray:
        return _WASTE

    def buffer_updated(self, nbytes: int) -> None:
        self._connection.ignored(nbytes)

    def connection_lost(self, exc: Exception | None) -> None:
        self._before.connection_lost(exc)

    def pause_writing(self) -> None:
        self._connection.pause_writing()

    def resume_writing(self) -> None:
        self._connection.resume_writing()


class _Underlying:
    """What picows takes for the transport.

    What picows asks and sets of the socket cost more than the rest of a handshake, eight system calls and as many
    socket objects, and uvloop has set it already. What picows writes is a close frame, where a frame is wrong by
    itself. It reads one frame ahead of the one that it delivers, so what came before the wrong frame is delivered
    after that: the connection decides when the close frame leaves.
    """

    __slots__ = ("_connection", "_transport")

    def __init__(self, transport: asyncio.Transport, connection: Connection) -> None:
        self._transport = transport
        self._connection = connection

    def get_extra_info(self, name: str, default: object = None) -> object:
        # That of "ssl_object" being there keeps picows from writing to the socket itself, past the transport.
        return _SOCKET

    def write(self, data: bytes | bytearray) -> None:
        if data:  # not the answer to the formality
            self._connection.frame_refused(bytes(data))

    def get_write_buffer_size(self) -> int:
        return self._transport.get_write_buffer_size()

    def is_closing(self) -> bool:
        return self._transport.is_closing()

    def close(self) -> None:
        """picows closes a moment after its close frame; when that is, is the connection's affair too."""

    def abort(self) -> None:
        self._transport.abort()


class _Socket:
    """A socket that has no options."""

    def fileno(self) -> int:
        return -1

    def setsockopt(self, *option: object) -> None:
        pass

    def getsockopt(self, *option: object) -> int:
        return 0


class _Answer:
    """To the formality: nothing."""

    status = HTTPStatus.SWITCHING_PROTOCOLS

    def __init__(self) -> None:
        self.headers: dict[str, str] = {}

    def to_bytes(self) -> bytearray:
        return bytearray()


class _Quiet:
    """Stands in for a logger in picows: its lines about each connection would cost more than the connection."""

    def isEnabledFor(self, level: int) -> bool:
        return False

    def debug(self, *args: object, **options: object) -> None:
        pass

    info = warning = error = log = debug

    def exception(self, text: str, *args: object, **options: object) -> None:
        log.error("websocket_failed", reason=text % args if args else text, exc_info=True)  # noqa: LOG014  picows calls it in its handler


_WASTE = bytearray(_READ_WASTE)
_SOCKET = _Socket()
_ANSWER = _Answer()
_QUIET = _Quiet()
