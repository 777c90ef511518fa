"""Where NATS is, and who a gateway is to it: addresses, passwords, tokens, and nkeys."""

from __future__ import annotations

import base64
import binascii
import ssl
from dataclasses import dataclass, field
from typing import Any, Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from .server_address import ServerAddress, ServerAddressError

_SEED, _USER = 18 << 3, 20 << 3  # the letters S and U, with which seeds and keys of users begin


class NatsAddress(ServerAddress):
    """A server of NATS. A user without a password is a token."""

    __slots__ = ()

    kind = "NATS"
    schemes = ("nats", "tls")
    default_port = 4222

    @classmethod
    def parse(cls, text: str) -> Self:
        """See ServerAddress; the scheme may be left out, as servers do that name others."""
        return super().parse(text if "://" in text else f"nats://{text}")


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
        ServerAddressError: If it is no seed of a user.
    """
    try:
        raw = base64.b32decode(seed + "=" * (-len(seed) % 8))
    except binascii.Error as cause:
        raise ServerAddressError("the nkey is no seed: it begins with SU and has 58 characters") from cause
    body, check = raw[:-2], int.from_bytes(raw[-2:], "little")
    kinds = (body[0] & 0b11111000, ((body[0] & 0b111) << 5) | (body[1] >> 3)) if len(body) == 34 else None
    if kinds != (_SEED, _USER) or binascii.crc_hqx(body, 0) != check:
        raise ServerAddressError("the nkey is no seed of a user: it begins with SU and has 58 characters")
    return Ed25519PrivateKey.from_private_bytes(body[2:])


def public_key(key: Ed25519PrivateKey) -> str:
    """The key of a user as servers know it: ``U…``."""
    body = bytes([_USER]) + key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return base64.b32encode(body + binascii.crc_hqx(body, 0).to_bytes(2, "little")).rstrip(b"=").decode()
