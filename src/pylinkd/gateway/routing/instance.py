"""One process of a service, and what it offers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...protocol.identity import Requirement
from ...protocol.link_pb2 import Register
from ...protocol.patterns import Pattern
from ...protocol.rate import Rate
from ..core.path_limits import PathLimits
from .link import ServiceLink

if TYPE_CHECKING:
    from .service import Service


MOST_FAILING = 32
"""Names of health checks that are kept of one process."""


class Instance:
    """One process of a service, with what it registered.

    Args:
        link: To the process.
        service: The service.
        registration: What the process offers.
        limits: Of the sessions on the service's path, if this instance decides; ``None``: as the gateway has them.

    Attributes:
        failing: Names of its health checks that fail.
        passed_over: Whether what is new is another's: it drains, or it fails and another one does not.
    """

    def __init__(
        self, link: ServiceLink, service: Service, registration: Register, limits: PathLimits | None = None
    ) -> None:
        self.link = link
        self.service = service
        self.sessions = 0
        self.draining = registration.draining
        self.failing: tuple[str, ...] = ()
        self.passed_over = registration.draining
        self.update(registration, limits)

    def update(self, registration: Register, limits: PathLimits | None) -> None:
        """Take over what the process offers now, and wants of its sessions."""
        self.registration = registration
        self.limits = limits
        self.failing = tuple(registration.failing[:MOST_FAILING])
        self.handlers = {handler.type: Requirement.of(handler.auth, handler.roles) for handler in registration.handlers}
        self.streams = {handler.type for handler in registration.handlers if handler.stream}
        self.once = {handler.type for handler in registration.handlers if handler.once}
        self.unordered = {handler.type for handler in registration.handlers if handler.unordered}
        self.rates = {
            handler.type: Rate(handler.rate_count, handler.rate_period_ms / 1000)
            for handler in registration.handlers
            if handler.rate_count and handler.rate_period_ms
        }
        self.protected = any(requirement.auth for requirement in self.handlers.values())
        self.catch_all = registration.catch_all
        self.events = [Pattern(text) for text in registration.events]
        self.durable_events = [Pattern(text) for text in registration.durable_events]
        self.actions = {action.name: Requirement.of(action.auth, action.roles) for action in registration.actions}

    def wants(self, event: str) -> bool:
        """Whether it handles service events of this name."""
        return any(pattern.matches(event) for pattern in self.events)

    def stores(self, event: str) -> bool:
        """Whether it stores service events of this name, and handles them from there."""
        return any(pattern.matches(event) for pattern in self.durable_events)


def offers_of(registration: Register) -> set[str]:
    """The names of everything that a process handles."""
    names = {handler.type for handler in registration.handlers} | {action.name for action in registration.actions}
    names |= {f"durable {pattern}" for pattern in registration.durable_events}
    return names | set(registration.events) | ({"*"} if registration.catch_all else set())
