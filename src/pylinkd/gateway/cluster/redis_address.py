"""Where Redis is, and who a gateway is to it."""

from __future__ import annotations

import ssl
from dataclasses import dataclass

from .server_address import ServerAddress


class RedisAddress(ServerAddress):
    """A server of Redis. A password without a user is that of ``default``."""

    __slots__ = ()

    kind = "Redis"
    schemes = ("redis", "rediss")
    default_port = 6379


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
