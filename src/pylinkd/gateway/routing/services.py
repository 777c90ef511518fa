"""Who handles what: services, their instances, and which instance looks after which session.

A service is a name; an instance is a process of it. A session is attached to each service that its path
reaches, and pinned to one instance of it while that instance lives, so that its messages are handled in order.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator

import structlog

from ...protocol.envelope import MSGPACK
from ...protocol.errors import ConflictError, LinkdError, close_code_for
from ...protocol.identity import Requirement
from ...protocol.link import fill_identity
from ...protocol.link_pb2 import CODEC_JSON, CODEC_MSGPACK, Action, Frame, Register
from ...protocol.link_pb2 import Session as WireSession
from ...protocol.patterns import Pattern, check_name
from ..core.session import EndReason, Session
from ..guard.rates import Rate
from .adoption import Adoption
from .link import LinkLostError, ServiceLink

log = structlog.get_logger("linkd.services")

EVERY_SERVICE = "/ws"
"""The path that reaches all services."""

_OWN_PATHS = frozenset({EVERY_SERVICE, "/health", "/ready", "/live"})
_MAX_FAREWELLS = 10_000
_MOST_NAMED = 5  # of what differs, in a line of the log


class Instance:
    """One process of a service, with what it registered."""

    def __init__(self, link: ServiceLink, service: Service, registration: Register) -> None:
        self.link = link
        self.service = service
        self.sessions = 0
        self.draining = registration.draining
        self.update(registration)

    def update(self, registration: Register) -> None:
        """Take over what the process offers now."""
        self.registration = registration
        self.handlers = {handler.type: Requirement.of(handler.auth, handler.roles) for handler in registration.handlers}
        self.streams = {handler.type for handler in registration.handlers if handler.stream}
        self.unordered = {handler.type for handler in registration.handlers if handler.unordered}
        self.rates = {
            handler.type: Rate(handler.rate_count, handler.rate_period_ms / 1000)
            for handler in registration.handlers
            if handler.rate_count and handler.rate_period_ms
        }
        self.protected = any(requirement.auth for requirement in self.handlers.values())
        self.catch_all = registration.catch_all
        self.events = [Pattern(text) for text in registration.events]
        self.actions = {action.name: Requirement.of(action.auth, action.roles) for action in registration.actions}

    def wants(self, event: str) -> bool:
        """Whether it handles service events of this name."""
        return any(pattern.matches(event) for pattern in self.events)


class Attachment:
    """A session as one service sees it.

    Attributes:
        instance: Who looks after it; ``None``: nobody yet, or no longer.
        began: Some instance was told of it, and has not refused it: its ``on_connect`` may have run.
        opened: ``on_connect`` has succeeded.
        in_order: Messages that its instance has and that keep order, so that the next may not overtake them.
    """

    __slots__ = ("began", "in_order", "instance", "opened")

    def __init__(self) -> None:
        self.instance: Instance | None = None
        self.began = False
        self.opened = False
        self.in_order = 0


class Service:
    """Everything known under one service name. It stays known when its last instance leaves."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.path = ""
        self.namespace = name
        self.instances: list[Instance] = []
        self.last: Instance | None = None
        self.attachments: dict[Session, Attachment] = {}
        self.farewells: deque[Frame] = deque()
        self.left_at: float | None = None
        self._admitted: tuple[Session, ...] | None = None

    @property
    def admitted(self) -> tuple[Session, ...]:
        """The sessions that may hear of others: those whose ``on_connect`` has succeeded.

        The same object for as long as nobody comes or goes, as with a room.
        """
        if self._admitted is None:
            self._admitted = tuple(session for session, attachment in self.attachments.items() if attachment.opened)
        return self._admitted

    def admits(self, session: Session) -> bool:
        """Whether the session is one of them."""
        attachment = self.attachments.get(session)
        return attachment is not None and attachment.opened

    def opened(self, attachment: Attachment) -> None:
        """A session's ``on_connect`` has succeeded."""
        attachment.opened = True
        self._admitted = None

    def detach(self, session: Session) -> Attachment | None:
        """Forget a session; ``None``: it was not attached."""
        attachment = self.attachments.pop(session, None)
        if attachment is not None and attachment.opened:
            self._admitted = None
        return attachment

    @property
    def offers(self) -> list[Instance]:
        """Those whose handlers and actions count: while no instance is there, the last one's, so that what it
        handled is answered with 503 (come back) and not with 404 (never)."""
        if self.instances:
            return self.instances
        return [] if self.last is None else [self.last]

    @property
    def auth(self) -> bool:
        """Whether it wants to know who a session is before anything else."""
        return any(instance.registration.auth for instance in self.offers)

    def available(self) -> Instance | None:
        """The instance with the fewest sessions that takes new ones."""
        return min((i for i in self.instances if not i.draining), key=lambda i: i.sessions, default=None)

    def idlest(self, offers: Callable[[Instance], bool]) -> Instance | None:
        """Of the instances that offer something and take new questions, the one with the fewest unanswered.

        While a new version rolls out, not every instance offers the same.
        """
        able = (instance for instance in self.instances if not instance.draining and offers(instance))
        return min(able, key=lambda instance: instance.link.questions, default=None)


class Services:
    """All services, and the sessions attached to them.

    Args:
        now: The clock, in seconds; only differences matter.
        grace: Seconds for which a service without instance still takes new sessions.
        startup_grace: Seconds from now on in which services may be on their way back from another gateway.
        schedule: Runs a function after so many seconds; ``loop.call_later`` in the real gateway.
        namespaces: Those that services may use beside the one with their own name: pairs of service and namespace.
    """

    def __init__(
        self,
        now: Callable[[], float],
        *,
        grace: float,
        startup_grace: float,
        schedule: Callable[[float, Callable[[], None]], object],
        namespaces: Collection[tuple[str, str]] = (),
    ) -> None:
        self._now = now
        self._grace = grace
        self._complete_at = now() + startup_grace
        self._namespaces = frozenset(namespaces)
        self._adoption = Adoption(self.pin, schedule)
        self._services: dict[str, Service] = {}
        self._instances: dict[ServiceLink, Instance] = {}
        self._shared_path_sessions: set[Session] = set()
        self.by_path: dict[str, Service] = {}
        self.by_type: dict[str, Service] = {}
        self.catch_all: Service | None = None
        self.decoy: Service | None = None

    # instances

    def register(self, link: ServiceLink, registration: Register) -> Instance:
        """Take in a process, or what it offers now if it is known.

        Raises:
            ConflictError: If another service has the path or one of the message types.
        """
        self._check(link, registration)
        service = self._services.get(registration.service)
        if service is None:
            service = self._services[registration.service] = Service(registration.service)
            for session in self._shared_path_sessions:
                if session.identity is not None or not registration.auth:
                    service.attachments[session] = Attachment()
        instance = self._instances.get(link)
        if instance is not None:
            instance.update(registration)
        else:
            instance = self._instances[link] = Instance(link, service, registration)
            service.instances.append(instance)
            link.name = service.name
        service.path = registration.path
        service.namespace = registration.namespace or service.name
        service.left_at = None
        self._index()
        return instance

    def _check(self, link: ServiceLink, registration: Register) -> None:
        name, path = registration.service, registration.path
        present = self._instances.get(link)
        if present is not None and present.service.name != name:
            raise ConflictError(f"This process is an instance of {present.service.name!r} already.")
        try:
            check_name(name)
            for handler in registration.handlers:
                check_name(handler.type)
            for text in registration.events:
                Pattern(text)
        except ValueError as cause:
            raise ConflictError(str(cause), type="BAD_REGISTRATION") from cause
        if path and (path in _OWN_PATHS or not path.startswith("/") or path.endswith("/")):
            raise ConflictError(f"{path!r} is not a path that a service can claim, such as '/ws/{name}'.")
        namespace = registration.namespace or name
        if namespace != name and (name, namespace) not in self._namespaces:
            raise ConflictError(
                f"The service {name!r} may not use the rooms of {namespace!r}: have the operator of the gateway add "
                f"{name}:{namespace} to LINKD_NAMESPACES, or leave out namespace={namespace!r}.",
                type="NAMESPACE",
            )
        if present is None and not registration.draining:
            self._check_same_program(registration)
        owner = self.by_path.get(path)
        if owner is not None and owner.name != name and owner.instances:
            raise ConflictError(f"The path {path!r} belongs to the service {owner.name!r}.")
        for action in registration.actions:
            self._check_route(name, action)
        for handler in registration.handlers:
            other = self.by_type.get(handler.type)
            if other is not None and other.name != name and other.instances:
                raise ConflictError(f"Messages {handler.type!r} are handled by the service {other.name!r}.")

    def _check_same_program(self, registration: Register) -> None:
        """Two programs under one name would answer every second client with 404."""
        service = self._services.get(registration.service)
        for other in () if service is None else service.instances:
            if other.draining:
                continue
            mine, theirs = offers_of(registration), offers_of(other.registration)
            missing, new = sorted(theirs - mine), sorted(mine - theirs)
            if missing and new and registration.version == other.registration.version:
                raise ConflictError(
                    f"Another program is running as the service {registration.service!r} in the same version, "
                    f"{registration.version!r}: it has {missing[0]!r}, which this one has not, and not {new[0]!r}. "
                    "Give this one another name, or, if it is its next release, another version.",
                    type="OTHER_PROGRAM",
                )
            if missing or new:
                log.warning(
                    "offers_differ",
                    service=registration.service,
                    version=registration.version,
                    other_version=other.registration.version,
                    missing=missing[:_MOST_NAMED],
                    new=new[:_MOST_NAMED],
                )

    def _check_route(self, name: str, action: Action) -> None:
        if action.route in _OWN_PATHS:
            raise ConflictError(f"{action.route} is answered by the gateway itself.")
        for other in self:
            for instance in other.instances if other.name != name else ():
                for taken in instance.registration.actions:
                    if action.route and (taken.method, taken.route) == (action.method, action.route):
                        raise ConflictError(f"{action.method} {action.route} belongs to the service {other.name!r}.")

    def hand_out(self, service: Service) -> None:
        """Give an instance what waits for one: sessions without instance, and ends that no instance has handled."""
        instance = service.available()
        if instance is None:
            return
        farewells, service.farewells = service.farewells, deque()
        for frame in farewells:
            instance.link.ask(frame, _Farewell(service, frame))
        self._adoption.begin(service)

    def drain(self, link: ServiceLink) -> None:
        """The process wants nothing new; what it has it will finish."""
        instance = self._instances.get(link)
        if instance is not None:
            instance.draining = True

    def remove(self, link: ServiceLink) -> Instance | None:
        """Forget a process that is gone; its sessions stay and wait for another. ``None``: it never registered."""
        instance = self._instances.pop(link, None)
        if instance is None:
            return None
        service = instance.service
        service.instances.remove(instance)
        for attachment in service.attachments.values():
            if attachment.instance is instance:
                attachment.instance = None
        if not service.instances:
            service.last = instance
            service.left_at = self._now()
        self._index()
        return instance

    def _index(self) -> None:
        # Services that are there come last: they win over one that is away and had the same type.
        services = sorted(self, key=lambda service: bool(service.instances))
        self.by_path = {service.path: service for service in services if service.path}
        self.by_type = {
            type: service for service in services for instance in service.offers for type in instance.handlers
        }
        # Stands in, on /ws, for whoever does not handle what a client asks that has not signed in.
        guarded = (service for service in services if any(instance.protected for instance in service.offers))
        self.decoy = next(guarded, None)
        takers = [service for service in self if any(instance.catch_all for instance in service.offers)]
        # With two catch-alls nobody could say whose an unknown type is.
        self.catch_all = takers[0] if len(takers) == 1 else None

    def __iter__(self) -> Iterator[Service]:
        return iter(self._services.values())

    def get(self, name: str) -> Service | None:
        """The service with this name."""
        return self._services.get(name)

    def of(self, link: ServiceLink) -> Instance | None:
        """The instance behind a link, once it registered."""
        return self._instances.get(link)

    @property
    def ready(self) -> bool:
        """Whether any service can take messages."""
        return any(service.available() is not None for service in self)

    # sessions

    def knows(self, path: str) -> bool:
        """Whether the path reaches a service, present or past. Any may while services are on their way."""
        return self.knows_path(path) or self.settling

    @property
    def settling(self) -> bool:
        """Whether services may still be on their way, so that nothing can be said not to exist."""
        return not self._services or self._now() < self._complete_at

    def knows_path(self, path: str) -> bool:
        """Whether the path certainly reaches a service, present or past."""
        return path in self.by_path or path == EVERY_SERVICE

    def takes_sessions(self, path: str) -> bool:
        """Whether a new session on this path has, or will soon have, a service behind it."""
        return any(
            service.instances or (service.left_at is not None and self._now() - service.left_at < self._grace)
            for service in self._reached(path)
        )

    def _reached(self, path: str) -> Iterable[Service]:
        if path == EVERY_SERVICE:
            return self._services.values()
        service = self.by_path.get(path)
        return () if service is None else (service,)

    def wants_identity(self, path: str) -> bool:
        """Whether sessions on this path have to sign in before anything else."""
        service = self.by_path.get(path)
        return service is not None and service.auth

    def identified(self, session: Session) -> None:
        """A session signed in, or renewed its token: tell the services that know it."""
        assert session.identity is not None
        for service in self._reached(session.path):
            if session not in service.attachments:
                service.attachments[session] = Attachment()
                self.pin(session, service)
        for instance in self.looking_after(session):
            frame = Frame()
            frame.session_identified.session = session.id
            fill_identity(frame.session_identified.identity, session.identity)
            instance.link.ask(frame, _Told())

    def looking_after(self, session: Session) -> Iterator[Instance]:
        """The instances that the session is pinned to."""
        for service in self._reached(session.path):
            attachment = service.attachments.get(session)
            if attachment is not None and attachment.instance is not None:
                yield attachment.instance

    def attach(self, session: Session) -> None:
        """A session begins: tell the services on its path, but for those that want to know first who it is."""
        if session.path == EVERY_SERVICE:
            self._shared_path_sessions.add(session)
        for service in self._reached(session.path):
            if session.identity is not None or not service.auth:
                service.attachments[session] = Attachment()
                self.pin(session, service)

    def detach(self, session: Session, reason: EndReason, rooms: Callable[[Service], Iterable[str]]) -> None:
        """A session ended: tell the services that knew it, or keep it for their next instance."""
        self._shared_path_sessions.discard(session)
        for service in self:
            attachment = service.detach(session)
            if attachment is None or (attachment.instance is None and not attachment.began):
                continue
            frame = Frame()
            _describe(frame.session_closed.session, session)
            frame.session_closed.reason = reason
            frame.session_closed.rooms.extend(rooms(service))
            if attachment.instance is not None:
                attachment.instance.sessions -= 1
            told = attachment.instance or service.available()
            if told is not None:
                told.link.ask(frame, _Farewell(service, frame))
            else:
                _keep(service, frame)

    def pin(self, session: Session, service: Service) -> Instance | None:
        """Give the session to an instance, which is told of it; ``None``: there is none."""
        attachment = service.attachments[session]
        instance = service.available()
        if attachment.instance is not None:
            attachment.instance.sessions -= 1
        attachment.instance = instance
        attachment.in_order = 0  # what another instance still has of it is that one's
        if instance is not None:
            instance.sessions += 1
            attachment.began = True
            frame = Frame()
            _describe(frame.session_opened.session, session)
            frame.session_opened.adopted = attachment.opened
            instance.link.ask(frame, _Opening(session, service, attachment))
        return instance


class _Opening:
    """Waits for a service's on_connect."""

    __slots__ = ("_attachment", "_service", "_session")

    def __init__(self, session: Session, service: Service, attachment: Attachment) -> None:
        self._session = session
        self._service = service
        self._attachment = attachment

    def answered(self, frame: Frame) -> None:
        self._service.opened(self._attachment)

    def failed(self, error: LinkdError) -> None:
        # Where the process died instead of answering, the next instance runs on_connect (Services.hand_out).
        if isinstance(error, LinkLostError):
            return
        self._attachment.began = False
        connection = self._session.connection
        if connection is not None:
            self._session.fail(None, error)
            connection.close(close_code_for(error), error.message, EndReason.REFUSED)


class _Told:
    """A service was told something; what it answers does not matter."""

    __slots__ = ()

    def answered(self, frame: Frame) -> None:
        pass

    def failed(self, error: LinkdError) -> None:
        pass


class _Farewell:
    """Waits until a service has run on_disconnect; kept for its next instance if it dies first."""

    __slots__ = ("_frame", "_service")

    def __init__(self, service: Service, frame: Frame) -> None:
        self._service = service
        self._frame = frame

    def answered(self, frame: Frame) -> None:
        pass

    def failed(self, error: LinkdError) -> None:
        if isinstance(error, LinkLostError):
            _keep(self._service, self._frame)


def offers_of(registration: Register) -> set[str]:
    """The names of everything that a process handles."""
    names = {handler.type for handler in registration.handlers} | {action.name for action in registration.actions}
    return names | set(registration.events) | ({"*"} if registration.catch_all else set())


def _keep(service: Service, farewell: Frame) -> None:
    if len(service.farewells) >= _MAX_FAREWELLS:
        lost = service.farewells.popleft()
        log.error("disconnect_lost", service=service.name, session=lost.session_closed.session.id)
    service.farewells.append(farewell)


def _describe(wire: WireSession, session: Session) -> None:
    wire.id = session.id
    wire.path = session.path
    wire.codec = CODEC_MSGPACK if session.codec is MSGPACK else CODEC_JSON
    if session.identity is not None:
        fill_identity(wire.identity, session.identity)
    wire.remote_address = session.remote_address
    wire.user_agent = session.user_agent
    wire.connected_at_ms = round(session.connected_at * 1000)
    if session.metadata:
        wire.metadata.update(session.metadata)
