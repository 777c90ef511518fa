"""The change from HTTP to WebSocket on one transport: a refusal is a plain HTTP answer; for a client that may come in,
a session, its connection, and picows behind the transport.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from ...protocol.errors import InternalError, LinkdError, ServiceUnavailableError
from ..core.delivery import Delivery
from ..core.format import PLAIN, Format, Formats
from ..core.outbox import Outbox
from ..core.session import Session
from ..guard.addresses import Proxies
from ..guard.credentials import Credentials
from ..guard.door import Admission, Approach, Door
from ..guard.hosts import Hosts
from ..guard.tokens import KeyMissingError
from ..guard.unfinished import Unfinished
from .connection import Connection
from .connection_owner import ConnectionOwner
from .deflate import negotiate
from .framing import read_frames
from .handshake import Head, OpeningRequest, acceptance
from .refuse import refuse

log = structlog.get_logger("linkd.edge")

_MAX_USER_AGENT = 256


class Upgrade:
    """Decides opening handshakes.

    Args:
        door: Says who may come in.
        proxies: Tell where a client comes from.
        unfinished: Counts those that wait for a key.
        owner: Owns the connections that result.
        delivery: The door to the clients of the sessions that result.
        make_outbox: Makes what keeps a client's frames.
        make_id: Makes the ids of sessions, which nobody may guess.
        clock: Unix time in seconds.
        hosts: The hosts that may be asked for.
        formats: How to compress; ``None``: compression is not offered.
    """

    def __init__(
        self,
        door: Door,
        proxies: Proxies,
        unfinished: Unfinished,
        owner: ConnectionOwner,
        delivery: Delivery,
        make_outbox: Callable[[], Outbox],
        make_id: Callable[[], str],
        clock: Callable[[], float],
        hosts: Hosts,
        formats: Formats | None = None,
    ) -> None:
        self._door = door
        self._proxies = proxies
        self._unfinished = unfinished
        self._waiting: set[asyncio.Task[None]] = set()
        self._owner = owner
        self._delivery = delivery
        self._make_outbox = make_outbox
        self._make_id = make_id
        self._clock = clock
        self._hosts = hosts
        self._formats = formats

    def __call__(self, transport: asyncio.Transport, head: Head) -> None:
        """Answer the head of a request that asks for an upgrade; the transport has another protocol afterwards, or
        closes.
        """
        try:
            request = OpeningRequest.of(head)
            self._hosts.check(request.headers["host"])
        except LinkdError as error:
            self._refuse(transport, head.peer, error)
            return
        approach = self._approach(request, head.peer)
        try:
            admission = self._door.admit(approach)
        except LinkdError as error:
            self._refuse(transport, approach.address, error)
        except KeyMissingError as missing:
            self._wait(transport, request, approach, missing)
        else:
            self._accept(transport, request, approach.address, admission)

    def _approach(self, request: OpeningRequest, peer: str) -> Approach:
        headers = request.headers
        address = self._proxies.client(peer, headers)
        origin, host = headers.get("origin"), headers["host"]
        credentials = Credentials(
            query=request.tokens,
            authorization=headers.get("authorization"),
            subprotocols=request.subprotocols,
            cookies=headers.get("cookie"),
            own_page="cookie" in headers and origin is not None and self._door.own_page(origin, host),
        )
        return Approach(path=request.path, address=address, host=host, origin=origin, credentials=credentials)

    def _refuse(self, transport: asyncio.Transport, address: str, error: LinkdError) -> None:
        log.info("handshake_refused", code=error.code, type=error.type, remote_address=address)
        refuse(transport, error, self._owner.traffic, self._owner.close_timeout)

    def _wait(
        self, transport: asyncio.Transport, request: OpeningRequest, approach: Approach, missing: KeyMissingError
    ) -> None:
        """Have a client wait for its token's key: it is not read from, and only its head is kept."""
        if not self._unfinished.enter(approach.address):
            self._refuse(transport, approach.address, ServiceUnavailableError(retry_after=1.0))
            return
        transport.pause_reading()
        task = asyncio.get_running_loop().create_task(self._admit_later(transport, request, approach, missing))
        self._waiting.add(task)
        task.add_done_callback(self._waiting.discard)

    def stop(self) -> None:
        """Refuse those who wait for a key, since the gateway stops."""
        for task in self._waiting:
            task.cancel()

    async def _admit_later(
        self, transport: asyncio.Transport, request: OpeningRequest, approach: Approach, missing: KeyMissingError
    ) -> None:
        try:
            await missing.wait()
            if transport.is_closing():
                return
            admission = self._door.admit(approach, sought=True)
        except LinkdError as error:
            self._refuse(transport, approach.address, error)
        except asyncio.CancelledError:
            if not transport.is_closing():
                self._refuse(
                    transport, approach.address, ServiceUnavailableError("The gateway is stopping.", retry_after=1.0)
                )
            raise
        except Exception:
            log.exception("handshake_failed", remote_address=approach.address)
            self._refuse(transport, approach.address, InternalError())
        else:
            self._accept(transport, request, approach.address, admission)
            transport.resume_reading()
        finally:
            self._unfinished.leave(approach.address)

    def _accept(
        self, transport: asyncio.Transport, request: OpeningRequest, address: str, admission: Admission
    ) -> None:
        self._owner.traffic.handshakes["accepted"] += 1
        format, extensions = self._negotiate(request, admission)
        session = Session(
            id=self._make_id(),
            path=request.path,
            format=format,
            controls=admission.subprotocol is not None,
            identity=admission.identity,
            remote_address=address,
            user_agent=request.headers.get("user-agent", "")[:_MAX_USER_AGENT],
            connected_at=self._clock(),
            metadata=request.metadata,
            delivery=self._delivery,
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
