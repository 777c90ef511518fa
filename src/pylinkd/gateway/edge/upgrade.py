"""The change from HTTP to WebSocket on one transport: a refusal is a plain HTTP answer; for a client that may come in,
a session, its connection, and picows behind the transport.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from ...protocol.errors import InternalError, LinkdError, ServiceUnavailableError
from ...protocol.resume import read_offer
from ..core.delivery import Delivery
from ..core.format import PLAIN, Format, Formats
from ..core.outbox import Outbox
from ..core.path_limits import PathLimits
from ..core.session import Session
from ..guard.addresses import Proxies
from ..guard.credentials import Credentials
from ..guard.door import Admission, Approach, Door
from ..guard.hosts import Hosts
from ..guard.tokens import KeyMissingError
from ..guard.unfinished import Unfinished
from ..routing.resuming import Claim, Refusal, Resuming, Return
from .connection import Connection
from .connection_owner import ConnectionOwner
from .deflate import negotiate
from .framing import read_frames
from .handshake import Head, OpeningRequest, acceptance, visible_refusal
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
        resuming: Brings clients back to their sessions.
        delivery: The door to the clients of the sessions that result.
        make_outbox: Makes what keeps a client's frames.
        make_id: Makes the ids of sessions, which nobody may guess.
        clock: Unix time in seconds.
        hosts: The hosts that may be asked for.
        formats: How to compress.
        limits: Say what holds on a path.
    """

    def __init__(
        self,
        door: Door,
        proxies: Proxies,
        unfinished: Unfinished,
        owner: ConnectionOwner,
        resuming: Resuming,
        delivery: Delivery,
        make_outbox: Callable[[], Outbox],
        make_id: Callable[[], str],
        clock: Callable[[], float],
        hosts: Hosts,
        formats: Formats,
        limits: Callable[[str], PathLimits],
    ) -> None:
        self._door = door
        self._proxies = proxies
        self._unfinished = unfinished
        self._waiting: set[asyncio.Task[None]] = set()
        self._owner = owner
        self._resuming = resuming
        self._delivery = delivery
        self._make_outbox = make_outbox
        self._make_id = make_id
        self._clock = clock
        self._hosts = hosts
        self._formats = formats
        self._limits = limits

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
            self._admit(transport, request, approach)
        except LinkdError as error:
            self._refuse(transport, approach.address, error, request)
        except KeyMissingError as missing:
            self._wait(transport, request, approach, missing)

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

    def _refuse(
        self, transport: asyncio.Transport, address: str, error: LinkdError, request: OpeningRequest | None = None
    ) -> None:
        log.info("handshake_refused", code=error.code, type=error.type, remote_address=address)
        answer = None if request is None else visible_refusal(request, error)
        refuse(transport, error, self._owner.traffic, self._owner.close_timeout, answer)

    def _wait(
        self, transport: asyncio.Transport, request: OpeningRequest, approach: Approach, missing: KeyMissingError
    ) -> None:
        """Have a client wait for its token's key: it is not read from, and only its head is kept."""
        if not self._unfinished.enter(approach.address):
            self._refuse(transport, approach.address, ServiceUnavailableError(retry_after=1.0), request)
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
            self._admit(transport, request, approach, sought=True)
            transport.resume_reading()
        except LinkdError as error:
            self._refuse(transport, approach.address, error, request)
        except asyncio.CancelledError:
            if not transport.is_closing():
                stopping = ServiceUnavailableError("The gateway is stopping.", retry_after=1.0)
                self._refuse(transport, approach.address, stopping, request)
            raise
        except Exception:
            log.exception("handshake_failed", remote_address=approach.address)
            self._refuse(transport, approach.address, InternalError())
        finally:
            self._unfinished.leave(approach.address)

    def _admit(
        self, transport: asyncio.Transport, request: OpeningRequest, approach: Approach, *, sought: bool = False
    ) -> None:
        """Let a client in, to the session that it wants to go on with or to a new one.

        Raises:
            LinkdError: If it may not come in.
            KeyMissingError: If its token's key has to be waited for.
        """
        offer = read_offer(request.subprotocols) if request.subprotocols else None
        found = self._resuming.find(offer) if offer is not None and offer.token else None
        returning = isinstance(found, Claim) and found.session.identity is not None
        admission = self._door.admit(approach, sought=sought, returning=returning)
        format, extensions = self._negotiate(request, admission)
        answer = acceptance(request.key, admission.subprotocol, extensions)
        if admission.subprotocol is None:
            offer = None  # it would not learn what became of its session
        refusal = found if isinstance(found, Refusal) else None
        if isinstance(found, Claim) and offer is not None:
            refusal = self._resuming.check(found, request.path, admission.identity, admission.codec)
            if refusal is None:
                agent = _user_agent(request)
                back = Return(found, answer, format, admission.identity, approach.address, agent)
                self._begin(transport, found.session, format).resume(back)
                return
        if returning:  # what was overlooked for the old session is not for a new one
            admission = self._door.admit(approach, sought=True)
        session = self._new_session(request, approach.address, admission, format, resumable=offer is not None)
        self._begin(transport, session, format).begin(answer, refusal)

    def _begin(self, transport: asyncio.Transport, session: Session, format: Format) -> Connection:
        self._owner.traffic.handshakes["accepted"] += 1
        connection = Connection(self._owner, session, transport, format)
        read_frames(transport, connection, session.limits.max_message_size)
        return connection

    def _new_session(
        self, request: OpeningRequest, address: str, admission: Admission, format: Format, *, resumable: bool
    ) -> Session:
        limits = self._limits(request.path)
        return Session(
            id=self._make_id(),
            path=request.path,
            format=format,
            controls=admission.subprotocol is not None,
            identity=admission.identity,
            remote_address=address,
            user_agent=_user_agent(request),
            connected_at=self._clock(),
            metadata=request.metadata,
            delivery=self._delivery,
            outbox=self._make_outbox(),
            resumption=self._resuming.begin(limits) if resumable else None,
            limits=limits,
        )

    def _negotiate(self, request: OpeningRequest, admission: Admission) -> tuple[Format, str | None]:
        """The session's format, and what the answer says of extensions."""
        if self._limits(request.path).compression:
            agreement = negotiate(request.headers.get("sec-websocket-extensions", ""))
            if agreement is not None:
                return self._formats.get(admission.codec, agreement.window_bits), agreement.header
        return PLAIN[admission.codec], None


def _user_agent(request: OpeningRequest) -> str:
    return request.headers.get("user-agent", "")[:_MAX_USER_AGENT]
