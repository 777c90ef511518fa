"""The gateway put together: what is built, in which order it starts, and in which it stops."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import socket
import time
from collections.abc import Iterator

import msgspec
import structlog
import uvicorn

from ..protocol.envelope import Message
from ..protocol.errors import CloseCode, ServiceUnavailableError, SetupError
from ..protocol.link_pb2 import Frame
from .core.format import Formats
from .core.heartbeat import Heartbeat, Verdict
from .core.outbox import Outbox, Turn
from .core.registry import Registry
from .core.rooms import Rooms
from .core.session import EndReason, Session
from .edge.connection import Connection
from .edge.head import bounded_head
from .edge.http import HttpFace
from .edge.upgrade import Upgrade
from .guard.door import Door
from .guard.tokens import Tokens
from .routing.actions import Actions
from .routing.commands import Commands
from .routing.inbound import Inbound
from .routing.link import ServiceLink
from .routing.services import Services
from .routing.sessions import Sessions
from .routing.socket import LinkSocket, LinkSocketError
from .settings import Settings

log = structlog.get_logger("linkd")

_PING_INTERVAL = 5.0  # seconds between signs of life asked of a service
_SILENCE_LIMIT = 20.0  # seconds after which a service that says nothing counts as hung


class AddressInUseError(SetupError):
    """The port is taken; the text says what to change."""


class Gateway:
    """One gateway process. Owns every part; a connection's Owner (edge/connection.py).

    Args:
        settings: What to listen on, and every limit.
    """

    def __init__(self, settings: Settings) -> None:
        loop = asyncio.get_running_loop()
        self._settings = settings
        self._stopping = False
        self._listening: list[socket.socket] = []
        self._tasks: list[asyncio.Task[None]] = []
        self.close_timeout = settings.close_timeout
        self.max_message_size = settings.max_message_size
        self.max_fragments = settings.max_fragments

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
        self._services = Services(loop.time, grace=settings.service_grace, startup_grace=settings.startup_grace)
        self._sessions = Sessions(self._registry, self._rooms, self._services)
        self._inbound = Inbound(self._services, settings.session_window)
        self._actions = Actions(self._services)
        self._commands = Commands(
            gateway_instance=secrets.token_urlsafe(8),
            registry=self._registry,
            rooms=self._rooms,
            services=self._services,
            inbound=self._inbound,
            actions=self._actions,
        )
        self._link_socket = LinkSocket(settings.link, lambda: ServiceLink(self._commands, settings.link_window))
        self._door = Door(
            Tokens(settings.jwt_secret),
            knows=self._services.knows,
            takes_sessions=self._services.takes_sessions,
            open=lambda: not self._stopping,
        )
        self._http = HttpFace(
            door=self._door,
            act=self._actions.request,
            ready=self._ready,
            is_websocket=self._services.knows_path,
            max_body_size=settings.max_body_size,
            body_timeout=settings.body_timeout,
        )
        self._server = _Server(
            uvicorn.Config(
                self._http,
                http=bounded_head(settings.max_head_size, settings.head_timeout),  # type: ignore[arg-type]  # likewise
                ws=self._upgrade,  # type: ignore[arg-type]  # a factory serves where uvicorn asks for a class
                ssl_certfile=settings.certfile,
                ssl_keyfile=settings.keyfile,
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_graceful_shutdown=max(1, settings.shutdown_timeout_ms // 1000),
            )
        )

    # starting and stopping

    async def start(self) -> None:
        """Listen for clients and for services.

        Raises:
            LinkSocketError: If the link's socket cannot be opened.
            AddressInUseError: If host and port cannot be listened on.
        """
        self._listening = [_listen(self._settings.host, self._settings.port)]
        try:
            await self._link_socket.open()
        except LinkSocketError:
            self._listening.pop().close()
            raise
        self._tasks = [
            asyncio.create_task(self._server.serve(sockets=self._listening), name="linkd-http"),
            asyncio.create_task(self._watch_links(), name="linkd-links"),
            asyncio.create_task(self._beat(), name="linkd-heartbeat"),
        ]
        await self._server.listening.wait()
        log.info("gateway_started", address=self.address, link=str(self._settings.link), env=self._settings.env)

    @property
    def address(self) -> str:
        """Where clients connect, such as ``http://127.0.0.1:3000``."""
        scheme = "http" if self._settings.certfile is None else "https"
        host, port = self._listening[0].getsockname()[:2]
        return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"

    async def stop(self) -> None:
        """Take nothing new, let what is in flight finish for a while, close every connection, then every link."""
        self._stopping = True
        log.info("gateway_stopping", sessions=len(self._registry))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._settings.shutdown_timeout):
                while any(session.in_flight for session in self._registry):
                    await asyncio.sleep(0.02)
        for session in list(self._registry):
            if session.connection is not None:
                session.connection.close(CloseCode.GOING_AWAY, "the gateway stops", EndReason.SHUTDOWN)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._settings.close_timeout):
                while len(self._registry):
                    await asyncio.sleep(0.02)
        self._server.should_exit = True
        await self._tasks[0]
        for task in self._tasks[1:]:
            task.cancel()
        self._link_socket.close()
        for link in list(self._commands.links):
            link.flush()
            link.close("the gateway stops")
        log.info("gateway_stopped")

    def _ready(self) -> bool:
        return not self._stopping and self._services.ready

    def _upgrade(self, **_: object) -> Upgrade:
        return Upgrade(self._door, self, self._turn, self._make_outbox, time.time, self._formats)

    def _make_outbox(self) -> Outbox:
        return Outbox(self._settings.outbox_limit, self._settings.outbox_policy)

    async def _watch_links(self) -> None:
        """Ask services for signs of life: one that hangs would leave its clients without answers."""
        clock = asyncio.get_running_loop().time
        while True:
            await asyncio.sleep(_PING_INTERVAL)
            for link in list(self._commands.links):
                if clock() - link.heard_at > _SILENCE_LIMIT:
                    link.close(f"silent for {_SILENCE_LIMIT:g} seconds")
                else:
                    frame = Frame()
                    frame.ping.SetInParent()
                    link.ask(frame, _SignOfLife())

    async def _beat(self) -> None:
        """Look after silent connections."""
        clock = asyncio.get_running_loop().time
        while True:
            await asyncio.sleep(self._step)
            self.now = clock()
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
            connection.close(CloseCode.POLICY_VIOLATION, "a message took too long", EndReason.PROTOCOL_ERROR)
        else:
            connection.close(CloseCode.IDLE, "no message for too long", EndReason.IDLE)

    # edge.connection.Owner

    def opened(self, session: Session, connection: Connection) -> None:
        """See edge.connection.Owner."""
        self._heartbeat.add(connection)
        self._sessions.open(session, connection)
        if session.controls:
            welcome = {
                "session": session.id,
                "maxMessageSize": self.max_message_size,
                "window": self._settings.session_window,
            }
            session.notify("linkd.welcome", msgspec.json.encode(welcome))

    def received(self, session: Session, message: Message) -> None:
        """See edge.connection.Owner."""
        if self._stopping:
            session.fail(message.id, ServiceUnavailableError("The gateway is stopping.", retry_after=1.0))
        else:
            self._inbound.route(session, message)

    def ended(self, session: Session, reason: EndReason) -> None:
        """See edge.connection.Owner."""
        assert isinstance(session.connection, Connection)
        self._heartbeat.discard(session.connection)
        self._sessions.end(session, reason)


class _SignOfLife:
    """Any answer will do: the link notes when it last heard something."""

    __slots__ = ()

    def answered(self, frame: Frame) -> None:
        pass

    def failed(self, error: Exception) -> None:
        pass


class _Server(uvicorn.Server):
    """uvicorn, with the signals left to the command line and a word when it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listening = socket.socket(family, kind, protocol)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
    except OSError as cause:
        raise AddressInUseError(
            f"cannot listen on {host} port {port} ({cause.strerror}): set LINKD_HOST and LINKD_PORT to a free address"
        ) from cause
    listening.setblocking(False)
    return listening
