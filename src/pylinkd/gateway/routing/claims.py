"""What belongs to which service: paths, message types, routes of actions, namespaces."""

from __future__ import annotations

from collections.abc import Collection, Iterable

import structlog

from ...protocol.errors import ConflictError
from ...protocol.headers import check_cookie_name
from ...protocol.link_pb2 import Action, Register
from ...protocol.patterns import Pattern, check_name
from ...protocol.rooms import RoomPattern
from ...protocol.routes import shape
from .instance import Instance, offers_of
from .service import Service

log = structlog.get_logger("linkd.services")

EVERY_SERVICE = "/ws"
"""The path that reaches all services."""

_OWN_PATHS = frozenset({EVERY_SERVICE, "/health", "/ready", "/live"})
_OWN_PREFIX = "/linkd/"
_MOST_NAMED = 5  # of what differs, in a line of the log


class Claims:
    """What services have claimed.

    Args:
        namespaces: Those that services may use beside the one with their own name: pairs of service and namespace.
        token_cookie: The cookie that no action reads; empty: there is none.

    Attributes:
        by_path: Services by the path that is theirs alone.
        by_type: Services by the messages that they handle on the shared path.
        catch_all: Who takes every other message there; ``None``: nobody, or nobody knows which of several.
        decoy: A service with handlers for signed-in clients. On the shared path it answers what no service handles to a
            client that has not signed in, which then gets 401 and does not learn that the type does not exist.
    """

    def __init__(self, namespaces: Collection[tuple[str, str]] = (), token_cookie: str = "") -> None:
        self._namespaces = frozenset(namespaces)
        self._token_cookie = token_cookie
        self._services: Collection[Service] = ()
        self.by_path: dict[str, Service] = {}
        self.by_type: dict[str, Service] = {}
        self.catch_all: Service | None = None
        self.decoy: Service | None = None

    def take(self, services: Collection[Service]) -> None:
        """Take over what these services, all there are, offer now."""
        self._services = services
        # Services that are there come last: they win over one that is away and had the same type.
        ordered = sorted(services, key=lambda service: bool(service.instances))
        self.by_path = {service.path: service for service in ordered if service.path}
        self.by_type = {
            type: service for service in ordered for instance in service.offers for type in instance.handlers
        }
        guarded = (service for service in ordered if any(instance.protected for instance in service.offers))
        self.decoy = next(guarded, None)
        takers = [service for service in services if any(instance.catch_all for instance in service.offers)]
        self.catch_all = takers[0] if len(takers) == 1 else None

    def check(self, registration: Register, present: Instance | None) -> None:
        """Check a registration against what others have claimed.

        Args:
            registration: What a process offers.
            present: The process, if it has registered before.

        Raises:
            ConflictError: If something in it is not well formed, or is another service's.
        """
        name, path = registration.service, registration.path
        if present is not None and present.service.name != name:
            raise ConflictError(f"This process is an instance of {present.service.name!r} already.")
        _check_form(registration)
        self._check_namespace(registration)
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

    def check_publisher(self, registration: Register, present: Instance | None) -> None:
        """Check the registration of a program that only sends. It has the right to a namespace that a service has.

        Raises:
            ConflictError: If it has registered already, offers anything, or may not use the namespace.
        """
        if present is not None:
            raise ConflictError("This process has registered already.")
        _check_form(registration)
        if registration.path or registration.actions or registration.rooms or offers_of(registration):
            raise ConflictError("A publisher offers nothing: register a service.", type="BAD_REGISTRATION")
        self._check_namespace(registration)

    def _check_namespace(self, registration: Register) -> None:
        name = registration.service
        namespace = registration.namespace or name
        if namespace != name and (name, namespace) not in self._namespaces:
            raise ConflictError(
                f"The service {name!r} may not use the rooms of {namespace!r}: have the operator of the gateway add "
                f"{name}:{namespace} to LINKD_NAMESPACES, or leave out namespace={namespace!r}.",
                type="NAMESPACE",
            )

    def _check_same_program(self, registration: Register) -> None:
        """Two programs under one name would answer every second client with 404."""
        for other in self._others_under(registration.service):
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

    def _others_under(self, name: str) -> Iterable[Instance]:
        """The instances of this name that do not end."""
        found = (service.instances for service in self._services if service.name == name)
        return (instance for instances in found for instance in instances if not instance.draining)

    def _check_route(self, name: str, action: Action) -> None:
        if _is_own(action.route):
            raise ConflictError(f"{action.route} is answered by the gateway itself.")
        if self._token_cookie and self._token_cookie in action.cookies:
            raise ConflictError(
                f"The action {action.name!r} may not read the cookie {self._token_cookie!r}, which holds tokens "
                "(LINKD_TOKEN_COOKIE): take another name.",
                type="TOKEN_COOKIE",
            )
        for other in self._services:
            for instance in other.instances if other.name != name else ():
                for taken in instance.registration.actions:
                    same = taken.method == action.method and shape(taken.route) == shape(action.route)
                    if action.route and same:
                        raise ConflictError(f"{action.method} {action.route} belongs to the service {other.name!r}.")


def _is_own(path: str) -> bool:
    """Whether a path is the gateway's."""
    return path in _OWN_PATHS or f"{path}/".startswith(_OWN_PREFIX)


def _check_form(registration: Register) -> None:
    """Check names, patterns and path.

    Raises:
        ConflictError: If one is not well formed.
    """
    path = registration.path
    try:
        check_name(registration.service)
        for handler in registration.handlers:
            check_name(handler.type)
        for action in registration.actions:
            for cookie in action.cookies:
                check_cookie_name(cookie)
        for text in registration.events:
            Pattern(text)
        for rule in registration.rooms:
            RoomPattern(rule.pattern)
    except ValueError as cause:
        raise ConflictError(str(cause), type="BAD_REGISTRATION") from cause
    if path and (_is_own(path) or not path.startswith("/") or path.endswith("/")):
        raise ConflictError(f"{path!r} is not a path that a service can claim, such as '/ws/{registration.service}'.")
