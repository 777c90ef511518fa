"""A signed token as a text: its three parts, read strictly (RFC 7515, compact serialization). Nothing is verified here.

Written out, since every opening handshake pays for it: a general library takes a third of a handshake's time to read
the JSON twice.
"""

from __future__ import annotations

from binascii import Error as Base64Error
from binascii import a2b_base64
from typing import Any

import msgspec

MAX_SIZE = 8192
"""Bytes of a token, unless the operator set another limit."""

_MAX_KID = 256  # characters
_URL_SAFE = bytes.maketrans(b"-_", b"+/")


class _Header(msgspec.Struct):
    """What of a header is believed. Keys and addresses of keys that stand in it are not even read."""

    alg: str
    kid: str | None = None
    typ: str | None = None
    crit: msgspec.Raw = msgspec.Raw()


_read_header = msgspec.json.Decoder(_Header).decode
_read_claims = msgspec.json.Decoder(dict[str, Any]).decode


class Jws(msgspec.Struct, frozen=True, gc=False):
    """The parts of a token.

    Attributes:
        algorithm: What its header says it is signed with.
        kid: Which key its header says it is signed with; ``None``: it does not say.
        type: The media type that its header claims; ``None``: none.
        claims: Its payload.
        signed: The bytes that the signature is of.
        signature: The signature.
    """

    algorithm: str
    kid: str | None
    type: str | None
    claims: dict[str, Any]
    signed: bytes
    signature: bytes

    @classmethod
    def parse(cls, token: str, max_size: int = MAX_SIZE) -> Jws:
        """Take a token apart.

        Args:
            token: The token.
            max_size: Most bytes that it may have.

        Raises:
            ValueError: If it is none, or too large, or its header asks for an extension to be understood.
        """
        raw = token.encode("ascii")
        signed, _, signature = raw.rpartition(b".")
        header, _, payload = signed.partition(b".")
        if len(raw) > max_size or b"." in payload:
            raise ValueError("not a compact JWS of a size that is taken")
        try:
            read = _read_header(_decode(header))
            if read.crit or (read.kid is not None and len(read.kid) > _MAX_KID):
                raise ValueError("a header that is not understood")
            return cls(read.alg, read.kid, read.typ, _read_claims(_decode(payload)), signed, _decode(signature))
        except (RecursionError, msgspec.DecodeError) as cause:
            raise ValueError("not the JSON of a token") from cause


def _decode(part: bytes) -> bytes:
    """Undo base64url without padding (RFC 7515 §2).

    Raises:
        ValueError: If it is something else.
    """
    if b"=" in part:
        raise ValueError("padding")
    try:
        return a2b_base64(part.translate(_URL_SAFE) + b"=" * (-len(part) % 4), strict_mode=True)
    except Base64Error as cause:
        raise ValueError("not base64url") from cause
