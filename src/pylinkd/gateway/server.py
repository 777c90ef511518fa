"""The gateway put together: what is built, in which order it starts, and in which it stops."""

from __future__ import annotations

import asyncio
import os
import secrets
import time
from collections.abc import Callable

import msgspec
import structlog

from ..collector import PauseWatch
from ..protocol.envelope import Message, MessageId
from ..protocol.errors import CloseCode, RateLimitedError, ServiceUnavailableError, SetupError, UnauthorizedError
from ..protocol.link_pb2 import Frame
from .admin.api import AdminApi
from .admin.app import admin_app
from .admin.metrics import Metrics
from .core.drain import Drain
from .core.expiry import Expiry
from .core.fanout import Fanout
from .core.format import Formats
from .core.heartbeat import Heartbeat, Verdict
from .core.ids import Ids
from .core.outbox import Outbox, Turn
from .core.registry import Registry
from .core.rooms import Rooms
from .core.session import EndReason, Session
from .core.traffic import Traffic
from .edge.arrival import Arrival
from .edge.bodies import Bodies
from .edge.connection import Connection
from .edge.framing import read_frames
from .edge.http import HttpApplication
from .edge.listener import AddressInUseError, Listener
from .edge.plain import HttpArrival
from .edge.receptions import Receptions
from .edge.serving import Serving
from .edge.stages import Deadlines
from .edge.tls import Certificate, Handshaking
from .edge.unread import Unread
from .edge.upgrade import Upgrade
from .guard.addresses import parse_networks
from .guard.guard import Guard
from .guard.hosts import Hosts
from .guard.issuers import LEEWAY, read_issuers
from .guard.origins import Origins
from .guard.peers import Peers
from .guard.unfinished import Unfinished
from .routing.actions import Actions
from .routing.commands import Commands
from .routing.connection_limit import ConnectionLimit
from .routing.inbound import ABORT, Inbound
from .routing.link import ServiceLink
from .routing.parking import Parking
from .routing.services import Services
from .routing.sessions import Sessions
from .routing.signin import AUTH, SignIn
from .routing.socket import LinkPort, LinkSocket, LinkSocketError
from .settings import Settings
from .supervision import Supervision

log = structlog.get_logger("linkd")

_PING_INTERVAL = 5.0  # seconds between signs of life asked of a service
_DRAIN_STEP = 0.02  # seconds between two looks at who may go
_PAUSE = 1.0  # seconds of the loop's delay from which on it counts as the gateway's own pause (SIGSTOP, a frozen VM)
_MOST_ADMIN_CONNECTIONS = 100
_STALL_FACTOR = 6  # a client may take so many times the head's time limit to read a part of an answer
_SILENCE_LIMIT = 20.0  # seconds after which a service that says nothing counts as hung


class AuditFileError(SetupError):
    """The audit's file cannot be written; the text says what to change."""


class Gateway:
    """One gateway process. Owns every part; a connection's Owner (edge/connection.py).

    Args:
        settings: What to listen on, and every limit.

    Attributes:
        failed: Set when the gateway cannot go on: it should be stopped, and its process end with status 1.
    """

    def __init__(self, settings: Settings) -> None:
        loop = asyncio.get_running_loop()
        self._settings = settings
        self._stopping = False
        self.failed = asyncio.Event()
        self._supervision = Supervision(self.failed.set)
        self.close_timeout = settings.close_timeout
        self.max_message_size = settings.max_message_size
        self.max_fragments = settings.max_fragments

        self.traffic = Traffic()
        self._pauses = PauseWatch(self.traffic.gc_pause.observe)
        self.congested: set[Session] = set()
        self.receptions: Receptions[Connection] = Receptions(
            settings.max_receptions,
            self._shrink,
            patience=settings.message_timeout,
        )
        self.now = loop.time()
        self._step = min(1.0, settings.heartbeat_interval / 8)
        self._heartbeat: Heartbeat[Connection] = Heartbeat(
            interval=settings.heartbeat_interval,
            idle_timeout=settings.idle_timeout,
            message_timeout=settings.message_timeout,
            step=self._step,
        )
        self._formats = (
            Formats(settings.compression_threshold, settings.compression_level) if settings.compression else None
        )
        self._turn = Turn(loop.call_soon)
        self._registry = Registry()
        self._rooms = Rooms(settings.max_rooms_per_session)
        self._services = Services(
            loop.time,
            grace=settings.service_grace,
            startup_grace=settings.startup_grace,
            schedule=loop.call_later,
            namespaces=settings.shared_namespaces,
        )
        self._guard = guard = _make_guard(settings, loop.time)
        self._sessions = Sessions(self._registry, self._rooms, self._services)
        self._limits = guard.limits
        self.count = guard.limits.message if guard.limits.on else None
        self._inbound = Inbound(self._services, guard.limits, settings.session_window, self._make_parking)
        self._actions = Actions(self._services)
        self._commands = Commands(
            gateway_instance=secrets.token_urlsafe(8),
            peers=Peers(settings.allowed_uids, settings.link_secret),
            registry=self._registry,
            rooms=self._rooms,
            services=self._services,
            inbound=self._inbound,
            actions=self._actions,
            limits=guard.limits,
            fanout=Fanout(self._turn, self.traffic),
        )
        self._link_socket = self._make_link_socket()
        door = guard.door(
            knows=self._services.knows,
            takes_sessions=self._services.takes_sessions,
            open=lambda: not self._stopping,
        )
        self._signin = SignIn(
            recognize=door.recognize,
            registry=self._registry,
            sessions=self._sessions,
            connection_limit=ConnectionLimit(
                self._registry,
                guard.audit,
                most=settings.max_connections_per_user,
                excess=settings.connections_excess,
                clock=loop.time,
                schedule=loop.call_later,
            ),
            services=self._services,
            expiry=Expiry(lead=settings.auth_expiring, leeway=LEEWAY),
            unfinished=guard.unfinished,
            audit=guard.audit,
            clock=time.time,
            monotonic=loop.time,
            timeout=settings.auth_timeout,
        )
        self._bodies = Bodies(settings.bodies_limit, settings.body_timeout / 2)
        self._http = HttpApplication(
            door=door,
            proxies=guard.proxies,
            router=self._actions,
            ready=self._ready,
            is_websocket=self._services.knows_path,
            max_body_size=settings.max_body_size,
            bodies=self._bodies,
            origins=guard.origins,
            cookies=bool(settings.token_cookie),
        )
        hosts = Hosts(settings.served_hosts)
        self._upgrade = upgrade = Upgrade(
            door,
            guard.proxies,
            guard.unfinished,
            self,
            self._turn,
            self._make_outbox,
            Ids(secrets.token_bytes),
            time.time,
            hosts,
            self._formats,
        )
        unread = Unread(settings.answers_limit, self.traffic)
        self._listener = self._make_listener(upgrade, hosts, unread)
        metrics = Metrics(
            traffic=self.traffic,
            registry=self._registry,
            rooms=self._rooms,
            services=self._services,
            parking=self._inbound.parking,
            congested=lambda: self.congested,
            receptions=lambda: {"arriving": len(self.receptions), "waiting": self.receptions.waiting},
            bodies=lambda: {"taken": self._bodies.taken, "waiting": self._bodies.waiting},
            guard=guard,
        )
        api = AdminApi(settings.admin_key, self._registry, guard) if settings.admin_key else None
        serving = Serving(
            admin_app(metrics, api),
            traffic=self.traffic,
            hosts=hosts,
            max_head_size=settings.max_head_size,
            deadlines=self._deadlines(),
            bound=Unfinished(_MOST_ADMIN_CONNECTIONS, _MOST_ADMIN_CONNECTIONS),
            unread=unread,
        )
        self._admin = Listener(
            lambda: HttpArrival(serving),
            serving,
            settings.admin_host,
            settings.chosen_admin_port,
            "LINKD_ADMIN_HOST and LINKD_ADMIN_PORT",
            watches_descriptors=False,
        )

    def _make_listener(self, upgrade: Upgrade, hosts: Hosts, unread: Unread) -> Listener:
        """The port for clients.

        Raises:
            AddressInUseError: If nobody can listen there.
            CertificateError: If certificate and key cannot be used.
        """
        settings, doorstep = self._settings, self._guard.doorstep
        serving = Serving(
            self._http,
            traffic=self.traffic,
            hosts=hosts,
            max_head_size=settings.max_head_size,
            deadlines=self._deadlines(),
            bound=Unfinished(settings.max_http_connections, settings.max_http_connections_per_address),
            unread=unread,
            upgrade=upgrade,
        )
        certificate = None if settings.certfile is None else Certificate(settings.certfile, settings.keyfile)

        def arrive(counted: str | None = None) -> Arrival:
            return Arrival(doorstep, upgrade, serving, counted)

        def shake() -> Handshaking:
            assert certificate is not None
            return Handshaking(certificate, doorstep, self.traffic, settings.head_timeout, arrive)

        return Listener(
            arrive if certificate is None else shake,
            serving,
            settings.host,
            settings.port,
            "LINKD_HOST and LINKD_PORT",
            certificate,
        )

    def _deadlines(self) -> Deadlines:
        settings = self._settings
        return Deadlines(
            head=settings.head_timeout,
            body=settings.body_timeout,
            answering=settings.answer_timeout,
            sending=settings.head_timeout * _STALL_FACTOR,
            idle=settings.keep_alive_timeout,
        )

    # starting and stopping

    async def start(self) -> None:
        """Listen for clients and for services.

        Raises:
            LinkSocketError: If the link's socket cannot be opened.
            AddressInUseError: If another process began to listen on a port meanwhile.
        """
        try:
            await self._link_socket.open()
        except LinkSocketError:
            await self._listener.close(0)
            await self._admin.close(0)
            raise
        try:
            await self._listener.open()
            await self._admin.open()
        except AddressInUseError:
            self._link_socket.close()
            await self._listener.close(0)
            await self._admin.close(0)
            raise
        self._supervision.keep("linkd-links", self._watch_links)
        self._supervision.keep("linkd-heartbeat", self._beat)
        if self._guard.tokens.remote:
            self._supervision.keep("linkd-keys", self._guard.tokens.keep_keys)
        self._pauses.start()
        log.info(
            "gateway_started",
            address=self.address,
            admin=self._admin.address,
            link=str(self._link_socket.address),
            env=self._settings.env,
        )

    @property
    def address(self) -> str:
        """Where clients connect, such as ``http://127.0.0.1:3000``."""
        return self._listener.address

    def renew(self) -> None:
        """Take files that were replaced: a renewed certificate, a rotated audit file."""
        self._listener.renew()
        self._guard.audit.reopen()

    async def stop(self, *, restart: bool = False) -> None:
        """Take nobody new, release the clients a few at a time, answer what is in flight, then close every link.

        Args:
            restart: Whether clients are told that another gateway takes over at once (1012), or not (1001).
        """
        self._stopping = True
        log.info("gateway_stopping", sessions=len(self._registry), restart=restart)
        deadline = asyncio.get_running_loop().time() + self._settings.shutdown_timeout
        await self._release(CloseCode.SERVICE_RESTART if restart else CloseCode.GOING_AWAY)
        self._supervision.stop()
        await self._admin.close(0)
        await self._listener.close(deadline - asyncio.get_running_loop().time())
        self._guard.audit.close()
        self._pauses.stop()
        self._link_socket.close()
        await self._end_links()
        log.info("gateway_stopped")

    async def _end_links(self) -> None:
        """Services get what was written to them; one that does not read is cut."""
        for link in list(self._commands.links):
            link.finish()
        while self._commands.links:
            await asyncio.sleep(_DRAIN_STEP)

    async def _release(self, code: CloseCode) -> None:
        """Release every client, and wait for the closing handshakes; cut who is not through in time."""
        clock, settings = asyncio.get_running_loop().time, self._settings
        within = max(settings.shutdown_timeout - self.close_timeout, settings.shutdown_timeout / 2)
        self._upgrade.stop()
        # Whoever is connected, signed in or not.
        sessions = [connection.session for connection in self._heartbeat]
        drain = Drain(sessions, clock(), within=within, rate=settings.drain_rate, spread=settings.drain_spread)
        answered_by = clock() + within
        while not drain.done:
            over = clock() >= answered_by
            if over:
                self._inbound.parking.abandon()
                for link in self._commands.links:
                    link.abandon()
            for session in drain.give_up() if over else drain.step(clock()):
                if session.connection is not None:
                    session.connection.close(code, "the gateway stops", EndReason.SHUTDOWN)
            await asyncio.sleep(_DRAIN_STEP)
        closed_by = clock() + self.close_timeout
        while len(self._heartbeat) and clock() < closed_by:
            await asyncio.sleep(_DRAIN_STEP)

    def _ready(self) -> bool:
        return not self._stopping and self._services.ready

    def _shrink(self, connection: Connection) -> None:
        """Read a connection's frames into a small buffer again."""
        transport = connection.transport
        if transport is not None and not transport.is_closing():
            read_frames(transport, connection, self.max_message_size)

    def _make_parking(self, give_up: Callable[[Session, Message], None]) -> Parking:
        loop, settings = asyncio.get_running_loop(), self._settings
        return Parking(
            loop.time,
            loop.call_later,
            give_up,
            timeout=settings.park_timeout,
            max_messages=settings.park_messages,
            max_bytes=settings.park_bytes,
        )

    def _make_link_socket(self) -> LinkSocket | LinkPort:
        settings = self._settings
        address, certfile, keyfile = settings.link, settings.link_certfile, settings.link_keyfile

        def factory() -> ServiceLink:
            return ServiceLink(self._commands, settings.link_window)

        if address.path is not None:
            others = settings.allowed_uids - {0, os.getuid()}
            return LinkSocket(address.path, factory, shared=bool(others))
        assert certfile is not None  # settings.py sees to both
        assert keyfile is not None
        return LinkPort(address, factory, certfile=certfile, keyfile=keyfile)

    def _make_outbox(self) -> Outbox:
        return Outbox(self._settings.outbox_limit, self._settings.outbox_policy)

    async def _watch_links(self) -> None:
        """Ask services for signs of life: one that hangs would leave its clients without answers."""
        clock = asyncio.get_running_loop().time
        while True:
            due = clock() + _PING_INTERVAL
            await asyncio.sleep(_PING_INTERVAL)
            late = clock() - due
            for link in list(self._commands.links):
                if late > _PAUSE:
                    link.heard_at += late  # what it said meanwhile is still to be read
                if not link.registered:
                    continue  # it has a time limit of its own, and may send nothing but its registration
                if clock() - link.heard_at > _SILENCE_LIMIT:
                    what = "did not read" if link.paused else "was silent"
                    link.close(f"it {what} for {_SILENCE_LIMIT:g} seconds")
                else:
                    frame = Frame()
                    frame.ping.SetInParent()
                    link.ask(frame, _SignOfLife())

    async def _beat(self) -> None:
        """Look after silent connections."""
        clock = asyncio.get_running_loop().time
        while True:
            due = clock() + self._step
            await asyncio.sleep(self._step)
            self.now = clock()
            late = max(0.0, self.now - due)
            self.traffic.loop_lag.observe(late)
            if late > _PAUSE:
                self._heartbeat.paused(late)
                self.receptions.paused(late)
                self._signin.paused(late)
            for connection in self.receptions.overdue(self.now):
                self._carry_out(connection, Verdict.STALLED)
            try:
                self._signin.sweep()
            except Exception:
                log.exception("sweep_failed")
            for connection, verdict in self._heartbeat.due(self.now):
                try:
                    self._carry_out(connection, verdict)
                except Exception:
                    log.exception("heartbeat_failed")  # of one connection; the others' goes on

    def _carry_out(self, connection: Connection, verdict: Verdict) -> None:
        if verdict is Verdict.PING:
            connection.ping()
        elif verdict is Verdict.DEAD:
            connection.cut()
        elif verdict is Verdict.STALLED:
            connection.close(CloseCode.POLICY_VIOLATION, "a message took too long", EndReason.LIMIT)
        else:
            connection.close(CloseCode.IDLE, "no message for too long", EndReason.IDLE)

    # edge.connection.Owner

    def opened(self, session: Session, connection: Connection) -> None:
        """See edge.connection.Owner."""
        self._heartbeat.add(connection)
        self._signin.opened(session, connection)
        if session.controls:
            welcome = {
                "session": session.id,
                "maxMessageSize": self.max_message_size,
                "window": self._settings.session_window,
            }
            session.notify("linkd.welcome", msgspec.json.encode(welcome))

    def receiving(self, session: Session) -> None:
        """See edge.connection.Owner."""
        self._inbound.receiving(session)

    def received(self, session: Session, message: Message) -> None:
        """See edge.connection.Owner."""
        if session.leaving is not None and message.type != ABORT:
            session.fail(message.id, ServiceUnavailableError("The gateway is stopping.", retry_after=session.leaving))
        elif message.type == AUTH:
            self._signin.received(session, message)
        elif self._signin.waiting and session in self._signin.waiting:
            session.fail(message.id, UnauthorizedError())
        else:
            self._inbound.route(session, message)

    def exceeded(self, session: Session, id: MessageId | None, retry_after: float) -> None:
        """See edge.connection.Owner."""
        self._limits.refuse(session, id, RateLimitedError(retry_after=retry_after))

    def pace(self, session: Session, pieces: int) -> float:
        """See edge.connection.Owner."""
        return self._limits.pace(session, pieces)

    def control(self, session: Session) -> bool:
        """See edge.connection.Owner."""
        return self._limits.control(session)

    def ended(self, session: Session, reason: EndReason) -> None:
        """See edge.connection.Owner."""
        assert isinstance(session.connection, Connection)
        self._heartbeat.discard(session.connection)
        self.traffic.ends[reason] += 1
        self._signin.ended(session)
        self._inbound.forget(session)
        self._sessions.end(session, reason)


def _make_guard(settings: Settings, monotonic: Callable[[], float]) -> Guard:
    """The guard, as the operator wants it.

    Raises:
        AuditFileError: If the audit's file cannot be written.
    """
    try:
        return Guard(
            secret=settings.jwt_secret,
            issuers=[] if settings.issuers is None else read_issuers(settings.issuers),
            max_token_size=settings.max_token_size,
            token_in_query=settings.token_in_query,
            token_cookie=settings.token_cookie,
            origins=Origins(settings.origins),
            allowed=parse_networks(settings.allowed_addresses),
            denied=parse_networks(settings.denied_addresses),
            exempt=parse_networks(settings.exempt_addresses),
            trusted_proxies=parse_networks(settings.trusted_proxies),
            forwarded_header=settings.forwarded_header,
            proxy_protocol=settings.proxy_protocol,
            limits=settings.limit_settings,
            max_unfinished=settings.max_unfinished,
            max_unfinished_each=settings.max_unfinished_per_address,
            token_lifetime=settings.token_lifetime,
            audit_file=settings.audit_file,
            clock=time.time,
            monotonic=monotonic,
        )
    except OSError as cause:
        raise AuditFileError(
            f"{settings.audit_file} cannot be written: set LINKD_AUDIT_FILE to a file that can"
        ) from cause


class _SignOfLife:
    """Any answer will do: the link notes when it last heard something."""

    __slots__ = ()

    def answered(self, frame: Frame) -> None:
        pass

    def failed(self, error: Exception) -> None:
        pass
