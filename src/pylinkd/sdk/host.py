"""What contexts need of the running service."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from .background import Background
from .dispatch import Dispatcher
from .link import Asker
from .validation import Schema

if TYPE_CHECKING:
    from .calls import Circuits
    from .once import KnownKeys
    from .persistence import Persistence


class Host(Protocol):
    """What a context needs of the running service (runtime.py).

    Attributes:
        link: Where its questions go.
        anything: Reads data without checking it against a type.
        dispatcher: What runs its handlers.
        circuits: Of what it calls.
        persistence: What it remembers in its database; ``None``: it has none.
        known_keys: Of what its handlers have handled.
        background: Tasks beside them.
    """

    link: Asker
    anything: Schema
    dispatcher: Dispatcher
    circuits: Circuits
    persistence: Persistence | None
    known_keys: KnownKeys
    background: Background

    @property
    def name(self) -> str:
        """The service's name."""

    @property
    def db(self) -> Any:
        """The service's database."""


class Unstarted:
    """The host of a service that does not run."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __getattr__(self, attribute: str) -> Any:
        raise RuntimeError(f"the service {self.name!r} does not run: use this in its hooks, handlers and tasks")


def persistence_of(host: Host) -> Persistence:
    """What a service remembers in its database.

    Raises:
        RuntimeError: If it has none.
    """
    if host.persistence is None:
        raise RuntimeError(f"this is stored, and the service {host.name!r} has no database: give Service(…) database=")
    return host.persistence
