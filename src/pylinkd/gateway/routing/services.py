"""All services, and the processes that run them.

A service is a name; an instance is a process of it. What belongs to whom is in claims.py, which sessions they know in
attachments.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import msgspec

from ...protocol.link_pb2 import Register
from ..core.path_limits import PathLimits
from .claims import EVERY_SERVICE, Claims
from .instance import Instance
from .link import ServiceLink
from .publisher import Publisher
from .room_rules import RoomRules
from .service import Service


class ServicesSettings(msgspec.Struct, frozen=True):
    """What becomes of services that are away, and what they may use.

    Attributes:
        grace: Seconds for which a service without instance still takes new sessions.
        startup_grace: Seconds from the start on in which services may be on their way back from another gateway.
        limits: Of sessions, where their service does not lower them.
        namespaces: Those that services may use beside the one with their own name: pairs of service and namespace.
        token_cookie: Name of the cookie that may hold a client's token, which no service reads; empty: there is none.
    """

    grace: float = 30.0
    startup_grace: float = 10.0
    limits: PathLimits = PathLimits()
    namespaces: tuple[tuple[str, str], ...] = ()
    token_cookie: str = ""


class Services:
    """The services of this gateway. One stays known when its last instance leaves.

    Args:
        now: The clock, in seconds; only differences matter.
        settings: What becomes of services that are away, and what they may use.

    Attributes:
        claims: What belongs to which of them.
        room_rules: What they want of their rooms.
        registrations: Counts processes that registered, registered anew or left.
    """

    def __init__(self, now: Callable[[], float], settings: ServicesSettings) -> None:
        self._now = now
        self._grace = settings.grace
        self._limits = settings.limits
        self._complete_at = now() + settings.startup_grace
        self._services: dict[str, Service] = {}
        self._instances: dict[ServiceLink, Instance] = {}
        self.claims = Claims(settings.namespaces, settings.token_cookie)
        self.room_rules = RoomRules()
        self.registrations = 0

    def register(self, link: ServiceLink, registration: Register) -> Instance:
        """Take in a process, or what it offers now if it is known.

        Raises:
            ConflictError: If another service has the path, a message type or a route.
        """
        instance = self._instances.get(link)
        self.claims.check(registration, instance)
        limits = self._limits.lowered(registration.limits) if registration.HasField("limits") else None
        service = self._services.get(registration.service)
        if service is None:
            service = self._services[registration.service] = Service(registration.service)
        if instance is not None:
            instance.update(registration, limits)
        else:
            instance = self._instances[link] = Instance(link, service, registration, limits)
            service.instances.append(instance)
            link.name = service.name
            link.failures = service.failures
        service.path = registration.path
        service.namespace = registration.namespace or service.name
        service.left_at = None
        service.review()
        self._take(service)
        return instance

    def register_publisher(self, link: ServiceLink, registration: Register) -> Instance:
        """Take in a program that only sends; it is no instance of a service.

        Raises:
            ConflictError: If it has registered already, offers anything, or may not use the namespace.
        """
        self.claims.check_publisher(registration, self._instances.get(link))
        name = registration.service
        publisher = Publisher(name, registration.namespace or name, self._services.values())
        instance = self._instances[link] = Instance(link, publisher, registration)
        link.name = name
        return instance

    def _take(self, service: Service) -> None:
        """Of what the instances of a service want, that of the latest release counts."""
        self.registrations += 1
        service.limits = service.offers[-1].limits
        self.claims.take(self._services.values())
        self.room_rules.take(self._services.values())

    def drain(self, link: ServiceLink) -> None:
        """The process wants nothing new; what it has it will finish."""
        instance = self._instances.get(link)
        if instance is not None:
            instance.draining = True
            instance.service.review()

    def remove(self, link: ServiceLink) -> Instance | None:
        """Forget a process that is gone; its sessions stay and wait for another. ``None``: it never registered."""
        instance = self._instances.pop(link, None)
        if instance is None:
            return None
        service = instance.service
        if isinstance(service, Publisher):
            return instance
        service.instances.remove(instance)
        service.review()
        for attachment in service.attachments.values():
            if attachment.instance is instance:
                attachment.instance = None
        if not service.instances:
            service.last = instance
            service.left_at = self._now()
        self._take(service)
        return instance

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
        return any(service.ready for service in self)

    @property
    def incomplete(self) -> bool:
        """Whether services may still be on their way, so that nothing can be said not to exist."""
        return not self._services or self._now() < self._complete_at

    # paths

    def knows(self, path: str) -> bool:
        """Whether the path reaches a service, present or past. Any may while services are on their way."""
        return self.knows_path(path) or self.incomplete

    def knows_path(self, path: str) -> bool:
        """Whether the path certainly reaches a service, present or past."""
        return path in self.claims.by_path or path == EVERY_SERVICE

    def takes_sessions(self, path: str) -> bool:
        """Whether a new session on this path has, or will soon have, a service behind it."""
        return any(
            service.instances or (service.left_at is not None and self._now() - service.left_at < self._grace)
            for service in self.reached(path)
        )

    def wants_identity(self, path: str) -> bool:
        """Whether sessions on this path have to sign in before anything else."""
        service = self.claims.by_path.get(path)
        return service is not None and service.auth

    def limits(self, path: str) -> PathLimits:
        """What holds for the sessions of a path."""
        service = self.claims.by_path.get(path)
        return self._limits if service is None or service.limits is None else service.limits

    def reached(self, path: str) -> Iterable[Service]:
        """The services behind a path."""
        if path == EVERY_SERVICE:
            return self._services.values()
        service = self.claims.by_path.get(path)
        return () if service is None else (service,)
