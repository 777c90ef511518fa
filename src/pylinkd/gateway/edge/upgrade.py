"""The change from HTTP to WebSocket on one transport: a refusal is a plain HTTP answer; for a client that may come in,
a session, its connection, and picows behind the transport.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from ...protocol.errors import LinkdError
from ..core.format import PLAIN, Format, Formats
from ..core.outbox import Outbox, Turn
from ..core.session import Session
from ..guard.door import Admission, Door
from .connection import Connection, Owner
from .deflate import negotiate
from .framing import read_frames
from .handshake import Head, OpeningRequest, acceptance, refusal

log = structlog.get_logger("linkd.edge")

_MAX_USER_AGENT = 256


class Upgrade:
    """Decides opening handshakes.

    Args:
        door: Says who may come in.
        owner: Owns the connections that result.
        turn: Flushes what the sessions send.
        make_outbox: Makes what keeps a client's frames.
        make_id: Makes the ids of sessions, which nobody may guess.
        clock: Unix time in seconds.
        formats: How to compress; ``None``: compression is not offered.
    """

    def __init__(
        self,
        door: Door,
        owner: Owner,
        turn: Turn,
        make_outbox: Callable[[], Outbox],
        make_id: Callable[[], str],
        clock: Callable[[], float],
        formats: Formats | None = None,
    ) -> None:
        self._door = door
        self._owner = owner
        self._turn = turn
        self._make_outbox = make_outbox
        self._make_id = make_id
        self._clock = clock
        self._formats = formats

    def __call__(self, transport: asyncio.Transport, head: Head) -> None:
        """Answer the head of a request that asks for an upgrade; the transport has another protocol afterwards, or
        closes.
        """
        try:
            request = OpeningRequest.of(head)
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

    def _accept(self, transport: asyncio.Transport, request: OpeningRequest, admission: Admission) -> None:
        self._owner.traffic.handshakes["accepted"] += 1
        format, extensions = self._negotiate(request, admission)
        session = Session(
            id=self._make_id(),
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
        connection = Connection(self._owner, session, transport)
        read_frames(transport, connection, self._owner.max_message_size)
        connection.begin(acceptance(request.key, admission.subprotocol, extensions))

    def _negotiate(self, request: OpeningRequest, admission: Admission) -> tuple[Format, str | None]:
        """The session's format, and what the answer says of extensions."""
        if self._formats is not None:
            agreement = negotiate(request.headers.get("sec-websocket-extensions", ""))
            if agreement is not None:
                return self._formats.get(admission.codec, agreement.window_bits), agreement.header
        return PLAIN[admission.codec], None


def _address(transport: asyncio.Transport) -> str:
    peer = transport.get_extra_info("peername")
    return str(peer[0]) if isinstance(peer, tuple) else ""
