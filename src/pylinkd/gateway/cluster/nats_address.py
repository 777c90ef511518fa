"""Where NATS is, and who a gateway is to it: addresses, passwords, tokens, and nkeys."""

from __future__ import annotations

import base64
import binascii
import ssl
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

_PORT = 4222
_SEED, _USER = 18 << 3, 20 << 3  # the letters S and U, with which seeds and keys of users begin


class NatsAddressError(ValueError):
    """An address or a key cannot be used; the text is one sentence that says what to change."""


@dataclass(frozen=True, slots=True)
class NatsAddress:
    """A server.

    Attributes:
        host: Its name or address.
        port: Of TCP.
        tls: Whether it has to be spoken to over TLS, whatever it says itself.
        user: Whom the gateway signs in as; with an empty password it is a token.
        password: Of the user.
    """

    host: str
    port: int
    tls: bool = False
    user: str = ""
    password: str = field(default="", repr=False)

    @classmethod
    def parse(cls, text: str) -> NatsAddress:
        """Out of ``nats://user:password@host:4222``, ``tls://…`` for TLS; user and port may be left out.

        Raises:
            NatsAddressError: If it is none.
        """
        try:
            parts = urlsplit(text if "://" in text else f"nats://{text}")
            host, port = parts.hostname, parts.port
        except ValueError as cause:
            raise NatsAddressError("an address of NATS is written nats://host:4222 or tls://host:4222") from cause
        if parts.scheme not in ("nats", "tls") or not host or parts.path.strip("/") or parts.query:
            raise NatsAddressError("an address of NATS is written nats://host:4222 or tls://host:4222")
        user, password = unquote(parts.username or ""), unquote(parts.password or "")
        return cls(host, port or _PORT, parts.scheme == "tls", user, password)


@dataclass(frozen=True, slots=True)
class NatsSettings:
    """How a gateway comes to NATS.

    Attributes:
        addresses: Servers, any of which will do; those that they name are added.
        name: What it is called in the server's monitoring.
        nkey: The seed of a key of a user (``SU…``), with which the gateway signs in; empty: it does not.
        tls: What it believes of the server's certificate, where TLS is spoken; ``None``: what the system believes.
    """

    addresses: tuple[NatsAddress, ...]
    name: str = "linkd"
    nkey: str = field(default="", repr=False)
    tls: ssl.SSLContext | None = None

    def options(self, address: NatsAddress, nonce: str) -> dict[str, Any]:
        """What the gateway says of itself to a server that has said ``nonce``."""
        options: dict[str, Any] = {
            "verbose": False, "pedantic": False, "echo": False, "headers": False, "no_responders": False,
            "protocol": 1, "lang": "python", "version": "1", "name": self.name,
        }  # fmt: skip
        if self.nkey:
            key = private_key(self.nkey)
            options["nkey"] = public_key(key)
            options["sig"] = base64.urlsafe_b64encode(key.sign(nonce.encode())).rstrip(b"=").decode()
        elif address.password:
            options["user"], options["pass"] = address.user, address.password
        elif address.user:
            options["auth_token"] = address.user
        return options


def private_key(seed: str) -> Ed25519PrivateKey:
    """The key that a seed stands for.

    Raises:
        NatsAddressError: If it is no seed of a user.
    """
    try:
        raw = base64.b32decode(seed + "=" * (-len(seed) % 8))
    except binascii.Error as cause:
        raise NatsAddressError("the nkey is no seed: it begins with SU and has 58 characters") from cause
    body, check = raw[:-2], int.from_bytes(raw[-2:], "little")
    kinds = (body[0] & 0b11111000, ((body[0] & 0b111) << 5) | (body[1] >> 3)) if len(body) == 34 else None
    if kinds != (_SEED, _USER) or binascii.crc_hqx(body, 0) != check:
        raise NatsAddressError("the nkey is no seed of a user: it begins with SU and has 58 characters")
    return Ed25519PrivateKey.from_private_bytes(body[2:])


def public_key(key: Ed25519PrivateKey) -> str:
    """The key of a user as servers know it: ``U…``."""
    body = bytes([_USER]) + key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return base64.b32encode(body + binascii.crc_hqx(body, 0).to_bytes(2, "little")).rstrip(b"=").decode()
