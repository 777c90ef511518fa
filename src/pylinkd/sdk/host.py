"""What contexts need of the running service."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, cast

from .background import Background, Portal
from .dispatch import Dispatcher
from .link import Asker
from .text import TextPolicy
from .validation import Schema

if TYPE_CHECKING:
    from .answer_streams import AnswerStreams
    from .calls import Circuits
    from .once import KnownKeys
    from .persistence import Persistence


class CallPlaces(Protocol):
    """Gives the place of a handler that waits for a call to one that comes in (dispatch.Dispatcher)."""

    def call_began(self) -> None:
        """A handler waits from now on."""

    def call_ended(self) -> None:
        """It waits no more."""


class Sender(Protocol):
    """What is needed to send and to ask: of a running service, or of a program that is none (publisher.py).

    Attributes:
        link: Where its questions go.
    """

    link: Asker

    @property
    def name(self) -> str:
        """The service's name, or the program's."""

    @property
    def dispatcher(self) -> CallPlaces:
        """Has the places of its handlers."""

    @property
    def circuits(self) -> Circuits:
        """Of what it calls."""

    @property
    def persistence(self) -> Persistence | None:
        """What it remembers in its database; ``None``: it has none."""


class Host(Sender, Protocol):
    """What a context needs of the running service (runtime.py).

    Attributes:
        anything: Reads data without checking it against a type.
        dispatcher: What runs its handlers.
        known_keys: Of what its handlers have handled.
        background: Tasks beside them.
        portal: The way in for other threads.
        answer_streams: The bodies of its answers that are under way.
    """

    anything: Schema
    dispatcher: Dispatcher
    known_keys: KnownKeys
    background: Background
    portal: Portal
    answer_streams: AnswerStreams

    @property
    def db(self) -> Any:
        """The service's database."""

    @property
    def text(self) -> TextPolicy:
        """What the service's texts have to be."""


class _Unstarted:
    def __init__(self, name: str) -> None:
        self.name = name

    def __getattr__(self, attribute: str) -> Any:
        raise RuntimeError(f"the service {self.name!r} does not run: use this in its hooks, handlers and tasks")


def unstarted(name: str) -> Host:
    """The host of a service that does not run: whatever is asked of it raises RuntimeError."""
    return cast(Host, _Unstarted(name))


def persistence_of(host: Sender) -> Persistence:
    """What a service remembers in its database.

    Raises:
        RuntimeError: If it has none.
    """
    if host.persistence is None:
        raise RuntimeError(f"this is stored, and the service {host.name!r} has no database: give Service(…) database=")
    return host.persistence
