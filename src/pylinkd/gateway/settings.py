"""Every setting of the gateway, with its default, unit and reason. Read once, at start, from ``LINKD_…``."""

from __future__ import annotations

from collections.abc import Sized
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, ValidationInfo, field_validator, model_validator

from ..protocol.control import AckThresholds, Retry
from ..protocol.headers import is_cookie_name
from ..protocol.rate import Rate
from ..settings import ProcessSettings, is_service_link
from .clients import ClientSettings
from .core.drain import DrainSettings
from .core.outbox import Policy
from .core.path_limits import PathLimits
from .edge.stages import Deadlines
from .guard.addresses import parse_networks
from .guard.api_keys import parse_api_keys
from .guard.forwarded import X_FORWARDED_FOR, check_name
from .guard.guard import GuardSettings
from .guard.hosts import Hosts
from .guard.issuers import read_issuers
from .guard.jws import MAX_SIZE as MAX_TOKEN_SIZE
from .guard.limits import LimitSettings, Mode
from .guard.origins import Origins
from .routing.assembly import RoutingSettings
from .routing.connection_limit import ConnectionLimitSettings, Excess
from .routing.lifecycle import ResumptionSettings
from .routing.parking import ParkingSettings
from .routing.services import ServicesSettings
from .routing.signin import SignInSettings
from .routing.welcoming import WelcomeSettings

DEVELOPMENT_SECRET = "linkd-development-secret-never-use-it-in-production"  # noqa: S105  published on purpose
"""Signs tokens where nothing else is set and the environment is not production."""

_ADMIN_OFFSET = 10_000
_STALL_FACTOR = 6  # a client may take so many times the head's time limit to read a part of an answer


def parse_namespaces(text: str) -> list[tuple[str, str]]:
    """Pairs of service and namespace out of ``service:namespace,…``.

    Raises:
        ValueError: If an entry is no such pair.
    """
    pairs = []
    for entry in filter(None, (entry.strip() for entry in text.split(","))):
        service, colon, namespace = entry.partition(":")
        if not (service and colon and namespace):
            raise ValueError(f"{entry!r} is no pair of service and namespace such as games:lobby")
        pairs.append((service, namespace))
    return pairs


def _is_rate(text: str) -> str:
    Rate.parse(text)
    return text


def _are_networks(text: str) -> str:
    _check_list(text, parse_networks(text))
    return text


def _check_list(text: str, entries: Sized) -> None:
    """Refuse a list that was meant to hold something: an empty one means everybody.

    Raises:
        ValueError: If nothing is in it but commas.
    """
    if text.strip() and not entries:
        raise ValueError(f"{text!r} lists nothing: leave it out, or name at least one")


def _entries(text: str) -> list[str]:
    return [entry.strip() for entry in text.split(",") if entry.strip()]


def _are_hosts(text: str) -> str:
    entries = _entries(text)
    Hosts(entries)
    _check_list(text, entries)
    return text


def _are_api_keys(text: str) -> str:
    parse_api_keys(text)
    return text


Hostnames = Annotated[str, AfterValidator(_are_hosts)]
LimitRate = Annotated[str, AfterValidator(_is_rate)]
Networks = Annotated[str, AfterValidator(_are_networks)]


class Settings(ProcessSettings):
    """The gateway's settings. Durations are ``…_ms`` integers here and float seconds in the properties."""

    env: Literal["development", "production"] = "development"
    """In production development secrets stop the start."""

    host: str = "127.0.0.1"
    """Address to listen on. Loopback by default: being reachable from elsewhere is a decision."""

    port: Annotated[int, Field(ge=0, le=65535)] = 3000
    """Port for HTTP and WebSocket; 0 takes a free one, which the log names."""

    admin_host: str = "127.0.0.1"
    """Address of the metrics. Loopback by default: they are no client's business."""

    admin_port: Annotated[int | None, Field(ge=0, le=65535)] = None
    """Port of the metrics. By default 10,000 above the port (below, where there is none), so that several gateways
    on one machine do not meet; a free one, which the log names, where the port is 0."""

    jwt_secret: Annotated[str, Field(repr=False)] = DEVELOPMENT_SECRET
    """Secret of HS256 tokens, 32 bytes or more."""

    issuers: Path | None = None
    """TOML file of the issuers whose tokens are believed (docs/security.md); with it the secret is not used."""

    max_token_size: Annotated[int, Field(ge=256, le=64 * 1024)] = MAX_TOKEN_SIZE
    """Bytes of a token; a larger one is not valid. In a request it has to fit into ``max_head_size``, too."""

    token_in_query: bool = True
    """Whether ``?token=`` is accepted. Addresses end up in the logs of proxies: where clients can do without, turn it
    off."""

    token_cookie: str = ""
    """Name of a cookie that may hold the token, for pages whose origin may connect; empty: none may."""

    auth_timeout_ms: Annotated[int, Field(ge=100)] = 10_000
    """How long a client may take to sign in by ``linkd.auth``, where a service wants to know who it is; then 4401."""

    auth_expiring_ms: Annotated[int, Field(ge=0)] = 60_000
    """How long before its token's end a client gets ``linkd.auth.expiring``."""

    token_lifetime_ms: Annotated[int, Field(ge=1000)] = 86_400_000
    """How long the longest-lived token is valid: so long is a revocation remembered."""

    max_connections_per_user: Annotated[int, Field(ge=0)] = 5
    """Connections that one user may have; 0: any number."""

    connections_excess: Excess = Excess.REJECT
    """What happens to more. ``reject``: the new one is closed with 4429, once those that have been silent were asked
    and have answered within 2 s. ``evict_oldest``: the oldest, with 4409."""

    trusted_proxies: Networks = ""
    """Networks (CIDR) of proxies in front, parted by commas: from them alone ``forwarded_header`` is believed."""

    forwarded_header: Annotated[str, AfterValidator(check_name)] = X_FORWARDED_FOR
    """The one header in which these proxies say who is behind them: ``x-forwarded-for``, ``forwarded`` (RFC 7239), or
    one with a single address such as ``x-real-ip``. Every other is the client's word, and ignored."""

    proxy_protocol: bool = False
    """Whether these proxies pass bytes on and speak the PROXY protocol, version 2."""

    allowed_addresses: Networks = ""
    """Networks from which clients may connect; empty: all."""

    denied_addresses: Networks = ""
    """Networks from which they may not."""

    exempt_addresses: Networks = ""
    """Networks that are neither limited nor banned by themselves."""

    audit_file: Path | None = None
    """File to which security decisions are appended, a line of JSON each, beside the log."""

    admin_key: Annotated[str, Field(repr=False)] = ""
    """Key of the admin API, 32 bytes or more; empty: there is none, only metrics."""

    api_keys: Annotated[str, AfterValidator(_are_api_keys), Field(repr=False)] = ""
    """Keys of programs that publish over HTTP, parted by white space: ``name:secret``, or ``name:secret:ns1,ns2`` for
    these namespaces alone, secrets of 32 bytes or more; empty: there is no such API. Several may share a name while a
    secret is rotated."""

    api_rate: LimitRate = "1000/s"
    """Events that the keys of one name may publish over HTTP; for more they get 429. ``off``: any number."""

    limits: Mode = Mode.ENFORCE
    """``enforce``; ``observe``: what would be refused is counted and logged; ``off``."""

    handshake_rate: LimitRate = "300/10s"
    """Opening handshakes of one address (of IPv6, of 64 bits). A rate such as ``300/10s`` allows 300 at once, and then
    one after the other; ``off``: any number. Many people may share an address."""

    auth_failure_rate: LimitRate = "20/m"
    """Tokens of one address that are not valid; then 429, whatever the token."""

    message_rate: LimitRate = "100/s"
    """Messages of one connection; more are answered with 429."""

    byte_rate: LimitRate = "1048576/s"
    """Bytes of these messages."""

    control_rate: LimitRate = "50/s"
    """Pings and pongs of one connection; more are not answered, and count as refusals do (``strike_rate``)."""

    user_message_rate: LimitRate = "200/s"
    """Messages of one user over all connections, and HTTP requests; of these, without a user, of one address."""

    broadcast_rate: LimitRate = "50/s"
    """Events to others that one connection's messages set off."""

    room_broadcast_rate: LimitRate = "500/s"
    """Events to one room that clients' messages set off."""

    strike_rate: LimitRate = "50/10s"
    """Refusals of one connection: answers 429, and control frames beyond ``control_rate``; with more it is closed with
    4429."""

    offence_rate: LimitRate = "5/10m"
    """Connections of one address that were closed so, and failures beyond ``auth_failure_rate``; with more it is
    banned."""

    ban_time_ms: Annotated[int, Field(ge=1000)] = 600_000
    """How long such a ban lasts."""

    max_unfinished: Annotated[int, Field(ge=1)] = 5_000
    """Connections at once that have not completed their handshake, or have to sign in; more are cut."""

    max_unfinished_per_address: Annotated[int, Field(ge=1)] = 500
    """The same of one address."""

    allowed_origins: str = ""
    """Origins whose pages may connect beside those of the gateway's own host, parted by commas:
    ``https://app.example.com``, ``https://*.example.com``, or ``*``."""

    serve_client: bool = True
    """Serve the client for browsers at ``/linkd/client.js``. Off where pages have their own, or none may be served."""

    describe: bool = False
    """Serve documents about the services at ``/openapi.json``, ``/asyncapi.json`` and ``/linkd/docs``. Off by default:
    they name everything that the services take, to anybody."""

    certfile: Path | None = None
    """TLS certificate chain (PEM); with it the port speaks https and wss only."""

    keyfile: Path | None = None
    """Private key of the certificate (PEM), where the chain's file does not hold it."""

    link_certfile: Path | None = None
    """TLS certificate chain of the link (PEM), where that is a TCP port."""

    link_keyfile: Path | None = None
    """Private key of the link's certificate (PEM)."""

    hosts: Hostnames = ""
    """Hosts that requests may be for, parted by commas: ``api.example.com``, ``*.example.com``, and for probes
    addresses and networks such as ``10.0.0.0/8``; empty: any. On the admin port, too."""

    max_http_connections: Annotated[int, Field(ge=1)] = 5_000
    """Connections at once that speak HTTP and are not WebSockets. For one more an idle one is closed; where none is
    idle, it gets 503."""

    max_http_connections_per_address: Annotated[int, Field(ge=1)] = 500
    """The same of one address."""

    keep_alive_timeout_ms: Annotated[int, Field(ge=1)] = 5_000
    """How long an HTTP connection may be idle between two requests. Behind a proxy that keeps connections: longer than
    the proxy does, which else sends a request on a connection that closes."""

    answer_timeout_ms: Annotated[int, Field(ge=100)] = 300_000
    """How long an HTTP request may go unanswered; then 504. Longer than the timeout of the slowest action."""

    max_head_size: Annotated[int, Field(ge=1024)] = 16 * 1024
    """Bytes of a request's head; a larger one is answered with 431."""

    head_timeout_ms: Annotated[int, Field(ge=100)] = 5_000
    """How long a request's head may take to arrive, a new connection's first one included; then 408."""

    max_message_size: Annotated[int, Field(ge=128, le=8 * 2**20)] = 64 * 1024
    """Bytes of a client's message; a larger one closes the connection with 1009."""

    max_fragments: Annotated[int, Field(ge=1, le=2**20)] = 1024
    """Fragments of a client's message; more of them close the connection with 1008. Each costs an object, however
    empty, so that a limit in bytes alone would not do."""

    message_timeout_ms: Annotated[int, Field(ge=100)] = 30_000
    """How long a message may take from its first fragment to its last; then 1008."""

    reception_limit: Annotated[int, Field(ge=2**20)] = 128 * 2**20
    """Bytes that the buffers of large messages may take while they arrive, all clients together; further clients are
    not read from until there is room."""

    max_body_size: Annotated[int, Field(ge=0, le=8 * 2**20)] = 2**20
    """Bytes of an HTTP request's body; a larger one is answered with 413."""

    body_timeout_ms: Annotated[int, Field(ge=100)] = 30_000
    """How long an HTTP request's body may take to arrive; then 408."""

    bodies_limit: Annotated[int, Field(ge=2**20)] = 32 * 2**20
    """Bytes that bodies of HTTP requests over 16 KiB may take, all connections together, twice their size each, and one
    address a quarter; further requests wait unread for half of ``body_timeout``, and then get 503."""

    answers_limit: Annotated[int, Field(ge=2**20)] = 64 * 2**20
    """Bytes of HTTP answers that may wait for clients that do not read them, all together; beyond them the client that
    has not read for longest is cut, or, where each has read within a second, the one that came last."""

    outbox_limit: Annotated[int, Field(ge=4096)] = 2**20
    """Bytes that may wait for one client, what the transport holds included."""

    resume_window_ms: Annotated[int, Field(ge=0, le=600_000)] = 60_000
    """How long a session is kept for a client that can resume it and is away; 0: it ends with its connection."""

    retained_bytes: Annotated[int, Field(ge=4096)] = 2**20
    """Bytes that were sent to one such client and not acknowledged; with more its session cannot be resumed."""

    retained_messages: Annotated[int, Field(ge=16)] = 1000
    """The same in messages; also of those that wait for one that is away."""

    away_bytes: Annotated[int, Field(ge=4096)] = 256 * 1024
    """Bytes that may wait for a client that is away; for more ``outbox_policy`` holds, and ``disconnect`` ends the
    session. ``outbox_limit`` where that is less."""

    retention_limit: Annotated[int, Field(ge=2**20)] = 64 * 2**20
    """Bytes kept for all such clients together. Beyond it sessions are given up, those first that were away for
    longest. Of an event to many each is charged a part."""

    ack_messages: Annotated[int, Field(ge=1, le=1000)] = 64
    """Messages after which such a client is to acknowledge, and the gateway acknowledges its."""

    ack_bytes: Annotated[int, Field(ge=1024)] = 64 * 1024
    """Bytes of messages after which it is to."""

    ack_delay_ms: Annotated[int, Field(ge=10)] = 5_000
    """Time after which it is to, where neither came together."""

    ping_interval_ms: Annotated[int, Field(ge=100)] = 25_000
    """Silence after which such a client is to ask for a sign of life. Browsers show pages no pings."""

    reconnect_delay_ms: Annotated[int, Field(ge=1)] = 500
    """The delay before clients come back for the first time; it doubles with each failure."""

    reconnect_max_delay_ms: Annotated[int, Field(ge=1)] = 30_000
    """The longest delay before clients come back."""

    reconnect_jitter: Annotated[float, Field(ge=0, le=1)] = 0.5
    """The part of these delays that is random, so that not all come back at once."""

    reconnect_attempts: Annotated[int, Field(ge=0)] = 0
    """Failures in a row after which clients give up; 0: never."""

    outbox_policy: Policy = Policy.DISCONNECT
    """What becomes of a client whose outbox is full. ``disconnect``: closed with 1013. ``drop_oldest``: the oldest
    events that wait are dropped. ``drop_newest``: the new event is, once three quarters are full. Volatile events go
    first, answers never."""

    compression: bool = True
    """Whether permessage-deflate is offered (RFC 7692)."""

    compression_threshold: Annotated[int, Field(ge=0)] = 1024
    """Bytes below which a message is not compressed."""

    compression_level: Annotated[int, Field(ge=1, le=9)] = 3
    """zlib's level, 1 (fast) to 9 (small)."""

    heartbeat_interval_ms: Annotated[int, Field(ge=100)] = 30_000
    """Silence after which a client is pinged; after two of it without a sign of life its connection is cut."""

    idle_timeout_ms: Annotated[int, Field(ge=0)] = 0
    """Time without a message after which a client is closed with 4408; 0: never."""

    session_window: Annotated[int, Field(ge=1, le=10_000)] = 64
    """Messages of one session that may be unanswered before reading from its connection stops."""

    link_window: Annotated[int, Field(ge=1)] = 8192
    """Questions to one service process that may be unanswered before reading from its clients stops."""

    namespaces: str = ""
    """Services that may use the rooms of another, parted by commas: ``games:lobby,chat:lobby`` lets the services
    ``games`` and ``chat`` share the namespace ``lobby``. Each may use the one with its own name."""

    max_rooms_per_session: Annotated[int, Field(ge=1)] = 1000
    """Rooms that one session may be in."""

    history_limit: Annotated[int, Field(ge=2**20)] = 64 * 2**20
    """Bytes of the histories of all rooms that have one; beyond it those go that were not touched for longest."""

    service_grace_ms: Annotated[int, Field(ge=0)] = 30_000
    """How long new connections are still taken for a service whose last instance left."""

    startup_grace_ms: Annotated[int, Field(ge=0)] = 10_000
    """How long after the start a path that no service has claimed is answered with 503 (come back) and not with
    404 (never): services that lost another gateway may take so long to find this one."""

    close_timeout_ms: Annotated[int, Field(ge=1)] = 5_000
    """How long a client may take to answer a close frame before the connection is cut."""

    park_timeout_ms: Annotated[int, Field(ge=0)] = 10_000
    """How long a message waits for an instance of its service while that is restarted; then 503. 0: none waits."""

    park_messages: Annotated[int, Field(ge=0)] = 10_000
    """Messages that may wait so, all services together; what is more gets 503 at once."""

    park_bytes: Annotated[int, Field(ge=0)] = 16 * 2**20
    """Bytes of the messages that may wait so."""

    shutdown_timeout_ms: Annotated[int, Field(ge=0)] = 30_000
    """How long the gateway may take to release its clients and to answer what is in flight once it stops."""

    drain_rate: Annotated[float, Field(gt=0)] = 1000.0
    """Clients released per second by a gateway that stops; more where they would not be through in time."""

    drain_spread_ms: Annotated[int, Field(ge=0)] = 5_000
    """Time over which the released clients are asked to come back, each at its own moment."""

    # in the groups that the parts take

    @property
    def guard(self) -> GuardSettings:
        """Who may do what."""
        return GuardSettings(
            secret=self.jwt_secret,
            issuers=() if self.issuers is None else tuple(read_issuers(self.issuers)),
            max_token_size=self.max_token_size,
            token_in_query=self.token_in_query,
            token_cookie=self.token_cookie,
            origins=_entries(self.allowed_origins),
            allowed=parse_networks(self.allowed_addresses),
            denied=parse_networks(self.denied_addresses),
            exempt=parse_networks(self.exempt_addresses),
            trusted_proxies=parse_networks(self.trusted_proxies),
            forwarded_header=self.forwarded_header,
            proxy_protocol=self.proxy_protocol,
            limits=self._limits,
            max_unfinished=self.max_unfinished,
            max_unfinished_each=self.max_unfinished_per_address,
            token_lifetime=self.token_lifetime_ms / 1000,
            audit_file=self.audit_file,
        )

    @property
    def _limits(self) -> LimitSettings:
        return LimitSettings(
            mode=self.limits,
            handshakes=Rate.parse(self.handshake_rate),
            failures=Rate.parse(self.auth_failure_rate),
            messages=Rate.parse(self.message_rate),
            bytes=Rate.parse(self.byte_rate),
            controls=Rate.parse(self.control_rate),
            user_messages=Rate.parse(self.user_message_rate),
            broadcasts=Rate.parse(self.broadcast_rate),
            room_broadcasts=Rate.parse(self.room_broadcast_rate),
            strikes=Rate.parse(self.strike_rate),
            offences=Rate.parse(self.offence_rate),
            ban_time=self.ban_time_ms / 1000,
        )

    @property
    def routing(self) -> RoutingSettings:
        """How sessions and services are brought together."""
        return RoutingSettings(
            services=ServicesSettings(
                grace=self.service_grace_ms / 1000,
                startup_grace=self.startup_grace_ms / 1000,
                limits=self._path_limits,
                namespaces=tuple(parse_namespaces(self.namespaces)),
                token_cookie=self.token_cookie,
            ),
            parking=ParkingSettings(
                timeout=self.park_timeout_ms / 1000, max_messages=self.park_messages, max_bytes=self.park_bytes
            ),
            connection_limit=ConnectionLimitSettings(self.max_connections_per_user, self.connections_excess),
            signin=SignInSettings(timeout=self.auth_timeout_ms / 1000, expiring=self.auth_expiring_ms / 1000),
            resumption=ResumptionSettings(
                limit=self.retention_limit,
                session_bytes=self.retained_bytes,
                session_messages=self.retained_messages,
                away_bytes=min(self.away_bytes, self.outbox_limit),
                confirm_after=self.ack_messages,
            ),
            welcome=self._welcome,
            session_window=self.session_window,
            max_rooms_per_session=self.max_rooms_per_session,
            history_limit=self.history_limit,
            link_uids=self.allowed_uids,
            link_secret=self.link_secret,
        )

    @property
    def _path_limits(self) -> PathLimits:
        return PathLimits(
            max_message_size=self.max_message_size,
            heartbeat_interval=self.heartbeat_interval_ms / 1000,
            idle_timeout=self.idle_timeout_ms / 1000 if self.idle_timeout_ms else None,
            compression=self.compression,
            resume_window=self.resume_window_ms / 1000,
            message_rate=None if self.limits is Mode.OFF else Rate.parse(self.message_rate),
            retry=Retry(
                self.reconnect_delay_ms, self.reconnect_max_delay_ms, self.reconnect_jitter, self.reconnect_attempts
            ),
        )

    @property
    def _welcome(self) -> WelcomeSettings:
        return WelcomeSettings(
            ack=AckThresholds(self.ack_messages, self.ack_bytes, self.ack_delay_ms),
            ping=self.ping_interval_ms / 1000,
        )

    @property
    def clients(self) -> ClientSettings:
        """What clients may send."""
        return ClientSettings(
            close_timeout=self.close_timeout_ms / 1000,
            max_fragments=self.max_fragments,
            # A buffer has up to twice the size of the largest message.
            max_receptions=max(1, self.reception_limit // (2 * self.max_message_size)),
            message_timeout=self.message_timeout_ms / 1000,
            heartbeat_interval=self.heartbeat_interval_ms / 1000,
            drain=DrainSettings(self.drain_rate, self.drain_spread_ms / 1000),
        )

    @property
    def deadlines(self) -> Deadlines:
        """How long a connection may stay in each stage before it is a WebSocket."""
        return Deadlines(
            head=self.head_timeout,
            body=self.body_timeout,
            answering=self.answer_timeout_ms / 1000,
            sending=self.head_timeout * _STALL_FACTOR,
            idle=self.keep_alive_timeout_ms / 1000,
        )

    @property
    def served_hosts(self) -> list[str]:
        """``hosts``, one by one."""
        return _entries(self.hosts)

    @property
    def chosen_admin_port(self) -> int:
        """``admin_port``, or what follows from ``port``."""
        if self.admin_port is not None or not self.port:
            return self.admin_port or 0
        return self.port + _ADMIN_OFFSET if self.port + _ADMIN_OFFSET <= 65535 else self.port - _ADMIN_OFFSET

    @property
    def head_timeout(self) -> float:
        """``head_timeout_ms`` in seconds."""
        return self.head_timeout_ms / 1000

    @property
    def body_timeout(self) -> float:
        """``body_timeout_ms`` in seconds."""
        return self.body_timeout_ms / 1000

    @property
    def shutdown_timeout(self) -> float:
        """``shutdown_timeout_ms`` in seconds."""
        return self.shutdown_timeout_ms / 1000

    @field_validator("namespaces")
    @classmethod
    def _namespaces_are_pairs(cls, value: str) -> str:
        parse_namespaces(value)
        return value

    @field_validator("port", "admin_port", mode="before")
    @classmethod
    def _port_is_not_a_service_link(cls, value: object, info: ValidationInfo) -> object:
        """Kubernetes sets ``LINKD_PORT`` for a Service called linkd, and means something else."""
        name = info.field_name or ""
        return cls.model_fields[name].default if is_service_link(name, value) else value

    @field_validator("allowed_origins")
    @classmethod
    def _origins_are_well_formed(cls, value: str) -> str:
        Origins(_entries(value))
        return value

    @field_validator("link_certfile", "link_keyfile", mode="before")
    @classmethod
    def _empty_file_is_not_told(cls, value: object) -> object:
        return value or None

    @model_validator(mode="after")
    def _link_is_encrypted(self) -> Self:
        if self.link.path is None:
            for file in (self.link_certfile, self.link_keyfile):
                if file is None:
                    raise ValueError(
                        f"{self.link} is served over TLS only: "
                        "set LINKD_LINK_CERTFILE and LINKD_LINK_KEYFILE to PEM files"
                    )
                if not file.is_file():
                    raise ValueError(
                        f"there is no file {file}: set LINKD_LINK_CERTFILE and LINKD_LINK_KEYFILE to PEM files"
                    )
        return self

    @field_validator("issuers")
    @classmethod
    def _issuers_are_fit(cls, value: Path | None) -> Path | None:
        if value is not None:
            read_issuers(value)
        return value

    @model_validator(mode="after")
    def _secrets_are_fit(self) -> Settings:
        if self.env == "production" and self.jwt_secret == DEVELOPMENT_SECRET and self.issuers is None:
            raise ValueError(
                "LINKD_JWT_SECRET must be set to a secret of your own, or LINKD_ISSUERS to a file of issuers, when "
                "LINKD_ENV=production"
            )
        if "away_bytes" in self.model_fields_set and self.away_bytes > self.outbox_limit:
            raise ValueError("LINKD_AWAY_BYTES exceeds LINKD_OUTBOX_LIMIT: as much could never wait")
        if self.reconnect_delay_ms > self.reconnect_max_delay_ms:
            raise ValueError("LINKD_RECONNECT_DELAY_MS exceeds LINKD_RECONNECT_MAX_DELAY_MS")
        if self.admin_key and len(self.admin_key.encode()) < 32:
            raise ValueError("LINKD_ADMIN_KEY must have 32 bytes or more")
        if self.token_cookie and not is_cookie_name(self.token_cookie):
            raise ValueError("LINKD_TOKEN_COOKIE must be the name of a cookie: letters, digits, - and _")
        if "max_token_size" in self.model_fields_set and self.max_token_size > self.max_head_size:
            raise ValueError("LINKD_MAX_TOKEN_SIZE exceeds LINKD_MAX_HEAD_SIZE: no request could carry such a token")
        if self.token_cookie and "*" in _entries(self.allowed_origins):
            raise ValueError("LINKD_TOKEN_COOKIE and LINKD_ALLOWED_ORIGINS=* would let any page act for its visitors")
        if self.proxy_protocol and not self.trusted_proxies:
            raise ValueError("LINKD_PROXY_PROTOCOL needs LINKD_TRUSTED_PROXIES: from whom to believe it")
        if self.proxy_protocol and self.certfile is not None:
            raise ValueError("LINKD_PROXY_PROTOCOL and LINKD_CERTFILE exclude each other: let the proxy speak TLS")
        if self.keyfile is not None and self.certfile is None:
            raise ValueError("LINKD_KEYFILE is of no use without LINKD_CERTFILE")
        for file in (self.certfile, self.keyfile):
            if file is not None and not file.is_file():
                raise ValueError(f"there is no file {file}: set LINKD_CERTFILE and LINKD_KEYFILE to PEM files")
        if len(self.jwt_secret.encode()) < 32:
            raise ValueError("LINKD_JWT_SECRET must have 32 bytes or more")
        return self
