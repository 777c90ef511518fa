"""Refusing a request with a plain HTTP answer, and the end of a connection whose last answer was written.

A connection that is closed while something unread is in its socket ends with a TCP reset, which takes an answer that
the client has not read yet away from it. So the gateway closes its own side first, and drops what still comes, for a
moment (RFC 9112 §9.6).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from ...protocol.errors import LinkdError
from ..core.traffic import Traffic
from .handshake import refusal
from .reading import BUFFER
from .sending import Sending
from .stages import Progress, Stage
from .tls import let_go

log = structlog.get_logger("linkd.edge")

CLOSING_SECONDS = 3.0
"""How long a connection is read from after its last answer."""

_MOST_CLOSING = 1000  # connections; more are closed at once, whatever is in their sockets
_MOST_DROPPED = 8 * 2**20  # bytes of one connection


def refuse(
    transport: asyncio.Transport, error: LinkdError, traffic: Traffic, timeout: float, answer: bytes | None = None
) -> None:
    """Answer, and close; who does not read the answer is cut after ``timeout`` seconds.

    Args:
        transport: To the client.
        error: Why it is refused.
        traffic: Counts that.
        timeout: Seconds.
        answer: Other than a plain HTTP answer.
    """
    traffic.handshakes[str(error.code)] += 1
    transport.write(refusal(error) if answer is None else answer)
    close_gently(transport, traffic, timeout)


def refuse_head(transport: asyncio.Transport, error: LinkdError, traffic: Traffic, peer: str, timeout: float) -> None:
    """Answer a head that cannot be taken, and close; who does not read the answer is cut after ``timeout`` seconds."""
    log.info("head_refused", code=error.code, remote_address=peer)
    refuse(transport, error, traffic, timeout)


def _nothing() -> None:
    """Nobody has to know."""


def close_gently(
    transport: asyncio.Transport,
    traffic: Traffic,
    timeout: float,
    on_end: Callable[[], None] = _nothing,
    *,
    linger: float = CLOSING_SECONDS,
) -> None:
    """Close the gateway's side at once, and the connection when the client has closed too.

    The transport has another protocol afterwards.

    Args:
        transport: On which everything was written that there is.
        traffic: Counts the connection.
        timeout: Seconds that the client may take to read what was written.
        on_end: Called once, when the connection is gone: until then it counts among those that there may be.
        linger: Seconds that the client may take to close, once it has read everything; 0: it has closed its side.
    """
    if transport.is_closing():
        on_end()
        return
    if traffic.http[Stage.CLOSING] >= _MOST_CLOSING:
        transport.close()
        asyncio.get_running_loop().call_later(timeout, transport.abort)
        on_end()
    else:
        transport.set_protocol(Closing(transport, traffic, timeout, on_end, min(timeout, linger)))
        transport.resume_reading()


class Closing(asyncio.BufferedProtocol):
    """Drops what a client still sends, and closes when it has closed. See close_gently."""

    def __init__(
        self,
        transport: asyncio.Transport,
        traffic: Traffic,
        timeout: float,
        on_end: Callable[[], None],
        linger: float,
    ) -> None:
        self._on_end = on_end
        self._transport = transport
        self._dropped = 0
        self._timeout = timeout
        self._linger = linger
        self._progress = Progress(traffic.http, self._expired)
        self._sending = Sending(transport)
        if transport.get_write_buffer_size():
            self._sending.begin()
            transport.set_write_buffer_limits(high=0)  # resume_writing comes when all of it is with the kernel
            self._progress.enter(Stage.SENDING, timeout)
        else:
            self._progress.enter(Stage.CLOSING, linger)
        if transport.can_write_eof():
            transport.write_eof()
        else:
            transport.close()  # TLS: says so to the client, and drops what comes until it says so too

    def get_buffer(self, sizehint: int) -> memoryview:
        """See asyncio.BufferedProtocol."""
        return BUFFER

    def buffer_updated(self, nbytes: int) -> None:
        """See asyncio.BufferedProtocol."""
        self._dropped += nbytes
        if self._dropped > _MOST_DROPPED:
            self._transport.abort()

    def resume_writing(self) -> None:
        """See asyncio.Protocol."""
        if self._progress.stage is Stage.SENDING:
            self._progress.enter(Stage.CLOSING, self._linger)

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        self._progress.end()
        self._on_end()
        let_go(self._transport)

    def _expired(self, stage: Stage) -> None:
        if stage is Stage.SENDING and self._sending.goes_on():
            self._progress.enter(Stage.SENDING, self._timeout)
        else:
            self._transport.abort()
