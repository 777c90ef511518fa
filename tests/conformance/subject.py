"""What the fuzzing feeds: picows's protocol and a Connection over a transport in memory, which owns it as well."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Sequence
from typing import Any

import structlog

from pylinkd.gateway.core.format import Formats
from pylinkd.gateway.core.path_limits import PathLimits
from pylinkd.gateway.edge.connection import Connection
from pylinkd.gateway.edge.framing import feed, read_frames
from pylinkd.gateway.edge.receptions import Receptions
from pylinkd.protocol.envelope import JSON, Codec
from tests.gateway.doubles import Turns, make_session
from tests.gateway.edge.owner import RecordingOwner
from tests.gateway.edge.sockets import SocketTransport

from .cases import CLOSE
from .peer import Parser, Received

LIMIT = 1024
FRAGMENTS = 16


class Subject(RecordingOwner):
    """A connection whose client may send anything.

    Attributes:
        failures: What was logged: exceptions that nobody expected.
    """

    max_fragments = FRAGMENTS

    def __init__(self, transport: SocketTransport, codec: Codec, window_bits: int | None) -> None:
        super().__init__()
        self.failures: list[object] = []
        self.receptions = Receptions(1, lambda connection: read_frames(transport, connection, LIMIT), patience=5.0)
        self.transport = transport
        self._turns = Turns()
        session = make_session(self._turns.delivery, codec=codec, connected=False)
        # What make_session does not offer; no message is too short to be compressed.
        session.format = Formats(0, 1).get(codec, window_bits)
        session.limits = PathLimits(max_message_size=LIMIT)
        self._window_bits = window_bits
        connection = Connection(self, session, transport, session.format)
        read_frames(transport, connection, LIMIT)
        connection.begin(b"")
        self._written = len(transport.written)

    # the client

    def say(self, pieces: Sequence[bytes]) -> None:
        """Send these pieces, each in a read of its own, while the transport reads."""
        with structlog.testing.capture_logs() as logs:
            for piece in pieces:
                if not self.transport.closing:
                    self._read(piece)
            self._turns.end()
        self.failures += logs

    def _read(self, piece: bytes) -> None:
        """As a socket gives it: each part to the protocol that the transport has by then."""
        while piece:
            protocol: Any = self.transport.get_protocol()
            size = min(len(protocol.get_buffer(len(piece))), len(piece))
            feed(protocol, piece[:size])
            piece = piece[size:]

    @property
    def heard(self) -> list[Received]:
        """The frames that it was sent. A write holds whole frames."""
        self._turns.end()
        written = self.transport.written[self._written :]
        return [frame for piece in written for frame in Parser(self._window_bits).feed(piece)]

    @property
    def closed(self) -> bool:
        """Whether it was sent a close frame."""
        return any(piece[0] == 0x80 | CLOSE for piece in self.transport.written[self._written :])

    @property
    def codes(self) -> list[int | None]:
        """Of the close frames that it was sent."""
        closes = [frame.payload for frame in self.heard if frame.opcode == CLOSE]
        return [int.from_bytes(payload[:2], "big") if payload else None for payload in closes]

    async def lose(self) -> None:
        """The connection breaks, if it does not end already."""
        if self.transport.closing:
            await asyncio.sleep(0)
        else:
            self.transport.closing = True
            self.transport.get_protocol().connection_lost(None)


@contextlib.asynccontextmanager
async def subject(codec: Codec = JSON, window_bits: int | None = None) -> AsyncIterator[Subject]:
    """A connection after its opening handshake."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as unused:
        yield Subject(SocketTransport(unused), codec, window_bits)
