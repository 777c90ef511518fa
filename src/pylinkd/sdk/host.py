"""What contexts need of the running service."""

from __future__ import annotations

from typing import Any, Protocol

from .dispatch import Dispatcher
from .link import Asker
from .validation import Schema


class Host(Protocol):
    """What a context needs of the running service (runtime.py).

    Attributes:
        link: Where its questions go.
        anything: Reads data without checking it against a type.
        dispatcher: What runs its handlers.
    """

    link: Asker
    anything: Schema
    dispatcher: Dispatcher

    @property
    def name(self) -> str:
        """The service's name."""

    @property
    def db(self) -> Any:
        """The service's database."""
