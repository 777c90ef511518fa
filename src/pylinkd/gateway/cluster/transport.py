"""A connection to the server between the gateways: bytes under subjects. Memory and NATS are such (memory.py, nats.py).

What gateways promise each other over it is bus.py's affair.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol


class TransportListener(Protocol):
    """Hears what a transport has to say. Its methods are called in the loop, and do not block."""

    def connected(self, server: str) -> None:
        """There is a connection, the first or a new one, with everything subscribed that was asked for.

        Args:
            server: The id of the server, of several that belong together.
        """

    def disconnected(self) -> None:
        """There is none any more; one is being made. What was on its way may be lost."""

    def received(self, subject: str, data: bytes) -> None:
        """A message came."""


class Transport(Protocol):
    """A connection that is made anew until it is closed.

    Messages of one transport under one subject arrive in the order in which they were published, none twice; between
    ``disconnected`` and ``connected`` they may be lost.
    """

    @property
    def largest(self) -> int:
        """Bytes of the largest message, as far as is known."""

    def open(self, listener: TransportListener) -> None:
        """Begin to connect."""

    async def close(self) -> None:
        """Write what waits, and end. Whatever state it is in, it ends soon."""

    def reconnect(self) -> None:
        """Drop the connection, which seems to be deaf, and make another."""

    def subscribe(self, subjects: Iterable[str], *, group: str = "") -> None:
        """Hear messages under these subjects, on every connection from now on. Repeating it does nothing.

        Args:
            subjects: Each made of tokens of letters, digits, ``-`` and ``_`` that are parted by dots.
            group: Of all that subscribe with the same group one gets each message; empty: everybody does.
        """

    def unsubscribe(self, subjects: Iterable[str]) -> None:
        """Hear them no more; what is on its way may still come."""

    def publish(self, subject: str, data: bytes) -> bool:
        """Send a message to all that have subscribed, but not to this transport itself. Written at the end of the loop
        turn. ``False``: there is no connection, or too much waits; nothing was sent.
        """

    async def flush(self) -> None:
        """Return when the server has carried out what was asked of it until now.

        Raises:
            ConnectionError: If the connection is lost meanwhile, or there is none.
        """
