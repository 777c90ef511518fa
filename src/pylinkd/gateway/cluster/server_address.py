"""Where a server of the bus is, and who a gateway is to it: URLs of NATS and of Redis alike."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Self
from urllib.parse import unquote, urlsplit


class ServerAddressError(ValueError):
    """An address or a key cannot be used; the text is one sentence that says what to change."""


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """A server; of which kind says the subclass.

    Attributes:
        host: Its name or address.
        port: Of TCP.
        tls: Whether it has to be spoken to over TLS.
        user: Whom the gateway signs in as; empty: nobody.
        password: Of the user; empty: none is asked for.
    """

    kind: ClassVar[str]
    schemes: ClassVar[tuple[str, str]]
    """Of TCP, and of TLS."""
    default_port: ClassVar[int]

    host: str
    port: int
    tls: bool = False
    user: str = ""
    password: str = field(default="", repr=False)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Out of ``scheme://user:password@host:port``; user, password and port may be left out.

        Raises:
            ServerAddressError: If it is none.
        """
        plain, secure = cls.schemes
        port = cls.default_port
        wrong = ServerAddressError(
            f"an address of {cls.kind} is written {plain}://host:{port} or {secure}://host:{port}"
        )
        try:
            parts = urlsplit(text)
            host, given = parts.hostname, parts.port
        except ValueError as cause:
            raise wrong from cause
        if parts.scheme not in cls.schemes or not host or parts.path.strip("/") or parts.query:
            raise wrong
        user, password = unquote(parts.username or ""), unquote(parts.password or "")
        return cls(host, given or port, parts.scheme == secure, user, password)
