"""Every part of a gateway, built from its settings and joined."""

from __future__ import annotations

import asyncio
import os
import secrets
import time
from collections.abc import Callable

from ..protocol.errors import SetupError
from ..protocol.rate import Rate
from .admin.api import AdminApi
from .admin.app import admin_app
from .admin.metrics import Metrics
from .admin.publish_api import PublishApi
from .admin.published_events import PublishedEvents
from .clients import Clients
from .core.delivery import Delivery
from .core.format import Formats
from .core.ids import Ids
from .core.outbox import Outbox
from .core.traffic import Traffic
from .edge.arrival import Arrival
from .edge.bodies import Bodies
from .edge.client_script import SCRIPT, ClientScript
from .edge.documentation import PAGE, Documentation
from .edge.http import HttpApplication
from .edge.listener import Listener
from .edge.logout import LogoutEndpoint
from .edge.plain import HttpArrival
from .edge.serving import Serving
from .edge.tls import Certificate, Handshaking
from .edge.unread import Unread
from .edge.upgrade import Upgrade
from .guard.api_keys import ApiKeys, parse_api_keys
from .guard.guard import Guard
from .guard.hosts import Hosts
from .guard.unfinished import Unfinished
from .routing.assembly import Routing
from .routing.link import ServiceLink
from .routing.revoked import RevokedSessions
from .routing.socket import LinkPort, LinkSocket
from .settings import Settings

_MOST_ADMIN_CONNECTIONS = 100


class AuditFileError(SetupError):
    """The audit's file cannot be written; the text says what to change."""


class Assembly:
    """The parts of one gateway; none of them runs yet.

    Args:
        settings: What to listen on, and every limit.
        open: Whether the gateway takes clients now.

    Attributes:
        traffic: What is counted.
        guard: Who may do what.
        routing: What lies between clients and services.
        clients: The WebSockets.
        upgrade: Opening handshakes.
        listener: The port for clients.
        admin: The port for operators.
        link_socket: Where services connect.

    Raises:
        SetupError: If a file or an address of the settings cannot be used.
    """

    def __init__(self, settings: Settings, open: Callable[[], bool]) -> None:
        loop = asyncio.get_running_loop()
        self._settings = settings
        self.traffic = Traffic()
        self.guard = _make_guard(settings, loop.time)
        delivery = Delivery(loop.call_soon, self.traffic)
        self.routing = Routing(
            settings.routing,
            guard=self.guard,
            delivery=delivery,
            traffic=self.traffic,
            gateway_instance=secrets.token_urlsafe(8),
            resume_key=secrets.token_bytes(32),
            open=open,
            clock=time.time,
            monotonic=loop.time,
            schedule=loop.call_later,
        )
        self.clients = Clients(self.routing, settings.clients, self.traffic)
        self.link_socket = self._make_link_socket()
        self._hosts = Hosts(settings.served_hosts)
        self._unread = Unread(settings.answers_limit, self.traffic, loop.time)
        self._bodies = Bodies(settings.bodies_limit, settings.body_timeout / 2)
        self.upgrade = Upgrade(
            self.routing.door,
            self.guard.proxies,
            self.guard.unfinished,
            self.clients,
            self.routing.resuming,
            delivery,
            lambda: Outbox(settings.outbox_limit, settings.outbox_policy),
            Ids(secrets.token_bytes),
            time.time,
            self._hosts,
            Formats(settings.compression_threshold, settings.compression_level),
            self.routing.services.limits,
        )
        self._revoked = RevokedSessions(self.routing.registry, self.routing.actions, self.guard.revocations)
        self.listener = self._make_listener(lambda: open() and self.routing.services.ready)
        self.admin = self._make_admin()

    def _make_listener(self, ready: Callable[[], bool]) -> Listener:
        settings, guard, routing = self._settings, self.guard, self.routing
        documentation = (
            Documentation(routing.descriptions.documents, PAGE.read_text("utf-8")) if settings.describe else None
        )
        application = HttpApplication(
            door=routing.door,
            proxies=guard.proxies,
            router=routing.actions,
            ready=ready,
            is_websocket=routing.services.knows_path,
            max_body_size=settings.max_body_size,
            bodies=self._bodies,
            # Half of the connections are for what is over soon, whoever listens for however long.
            streams=Unfinished(
                max(1, settings.max_http_connections // 2), max(1, settings.max_http_connections_per_address // 2)
            ),
            origins=guard.origins,
            cookies=bool(settings.token_cookie),
            script=ClientScript(SCRIPT.read_bytes()) if settings.serve_client else None,
            documentation=documentation,
            logout=LogoutEndpoint(routing.door, self._revoked.close) if guard.logouts else None,
        )
        serving = Serving(
            application,
            traffic=self.traffic,
            hosts=self._hosts,
            max_head_size=settings.max_head_size,
            deadlines=settings.deadlines,
            bound=Unfinished(settings.max_http_connections, settings.max_http_connections_per_address),
            unread=self._unread,
            upgrade=self.upgrade,
        )
        certificate = None if settings.certfile is None else Certificate(settings.certfile, settings.keyfile)

        def arrive(counted: str | None = None) -> Arrival:
            return Arrival(guard.doorstep, self.upgrade, serving, counted)

        def shake() -> Handshaking:
            assert certificate is not None
            return Handshaking(certificate, guard.doorstep, self.traffic, settings.head_timeout, arrive)

        return Listener(
            arrive if certificate is None else shake,
            serving,
            settings.host,
            settings.port,
            "LINKD_HOST and LINKD_PORT",
            certificate,
        )

    def _make_admin(self) -> Listener:
        settings, routing, clients = self._settings, self.routing, self.clients
        metrics = Metrics(
            traffic=self.traffic,
            registry=routing.registry,
            rooms=routing.rooms,
            services=routing.services,
            parking=routing.inbound.parking,
            lifecycle=routing.lifecycle,
            congested=lambda: clients.congested,
            receptions=lambda: {"arriving": len(clients.receptions), "waiting": clients.receptions.waiting},
            bodies=lambda: {"taken": self._bodies.taken, "waiting": self._bodies.waiting},
            guard=self.guard,
        )
        key = settings.admin_key
        api = AdminApi(key, routing.registry, routing.services, self.guard, self._revoked) if key else None
        serving = Serving(
            admin_app(metrics, api, self._make_publish_api()),
            traffic=self.traffic,
            hosts=self._hosts,
            max_head_size=settings.max_head_size,
            deadlines=settings.deadlines,
            bound=Unfinished(_MOST_ADMIN_CONNECTIONS, _MOST_ADMIN_CONNECTIONS),
            unread=self._unread,
        )
        return Listener(
            lambda: HttpArrival(serving),
            serving,
            settings.admin_host,
            settings.chosen_admin_port,
            "LINKD_ADMIN_HOST and LINKD_ADMIN_PORT",
            watches_descriptors=False,
        )

    def _make_publish_api(self) -> PublishApi | None:
        keys = parse_api_keys(self._settings.api_keys)
        if not keys:
            return None
        audit, routing = self.guard.audit, self.routing
        return PublishApi(
            ApiKeys(keys, Rate.parse(self._settings.api_rate)),
            PublishedEvents(routing.publishing, routing.services, audit),
            audit=audit,
            traffic=self.traffic,
            monotonic=asyncio.get_running_loop().time,
        )

    def _make_link_socket(self) -> LinkSocket | LinkPort:
        settings = self._settings
        address, certfile, keyfile = settings.link, settings.link_certfile, settings.link_keyfile

        def factory() -> ServiceLink:
            return ServiceLink(self.routing.commands, settings.link_window)

        if address.path is not None:
            others = settings.allowed_uids - {0, os.getuid()}
            return LinkSocket(address.path, factory, shared=bool(others))
        assert certfile is not None  # settings.py sees to both
        assert keyfile is not None
        return LinkPort(address, factory, certfile=certfile, keyfile=keyfile)


def _make_guard(settings: Settings, monotonic: Callable[[], float]) -> Guard:
    try:
        return Guard(settings.guard, time.time, monotonic)
    except OSError as cause:
        raise AuditFileError(
            f"{settings.audit_file} cannot be written: set LINKD_AUDIT_FILE to a file that can"
        ) from cause
