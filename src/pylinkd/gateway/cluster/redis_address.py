"""Where Redis is, and who a gateway is to it."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

_PORT = 6379


class RedisAddressError(ValueError):
    """An address cannot be used; the text is one sentence that says what to change."""


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """A server.

    Attributes:
        host: Its name or address.
        port: Of TCP.
        tls: Whether it is spoken to over TLS.
        user: Of its access list; empty: ``default``.
        password: Of the user; empty: none is asked for.
    """

    host: str
    port: int
    tls: bool = False
    user: str = ""
    password: str = field(default="", repr=False)

    @classmethod
    def parse(cls, text: str) -> RedisAddress:
        """Out of ``redis://user:password@host:6379``, ``rediss://…`` for TLS; user, password and port may be left out.

        Raises:
            RedisAddressError: If it is none.
        """
        try:
            parts = urlsplit(text)
            host, port = parts.hostname, parts.port
        except ValueError as cause:
            raise RedisAddressError("an address of Redis is written redis://host:6379 or rediss://host:6379") from cause
        if parts.scheme not in ("redis", "rediss") or not host or parts.path.strip("/") or parts.query:
            raise RedisAddressError("an address of Redis is written redis://host:6379 or rediss://host:6379")
        user, password = unquote(parts.username or ""), unquote(parts.password or "")
        return cls(host, port or _PORT, parts.scheme == "rediss", user, password)


@dataclass(frozen=True, slots=True)
class RedisSettings:
    """How a gateway comes to Redis.

    Attributes:
        addresses: One server, or several of one Redis Cluster, which pass on to each other what is published. A replica
            passes nothing on.
        tls: What it believes of the server's certificate, where TLS is spoken; ``None``: what the system believes.
    """

    addresses: tuple[RedisAddress, ...]
    tls: ssl.SSLContext | None = None
