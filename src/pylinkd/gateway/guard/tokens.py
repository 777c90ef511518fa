"""Bearer tokens: what is in them, and whether to believe it. JWTs (RFC 7519) signed with HS256 and one secret.

Written out, since every opening handshake pays for it: a general library takes a third of a handshake's time to look at
the kind of the key and to read the JSON twice.
"""

from __future__ import annotations

import hmac
import time
from binascii import Error as Base64Error
from binascii import a2b_base64
from collections.abc import Callable
from hashlib import sha256
from typing import Any, NoReturn

import msgspec

from ...protocol.errors import UnauthorizedError
from ...protocol.identity import Identity

_LEEWAY = 5.0  # seconds by which the clocks of issuer and gateway may differ
_MAX_SIZE = 8192  # bytes of a token
_URL_SAFE = bytes.maketrans(b"-_", b"+/")


class _Header(msgspec.Struct):
    """The only header that is believed: another algorithm, or an extension that has to be understood, is refused."""

    alg: str
    crit: msgspec.Raw = msgspec.Raw()


_read_header = msgspec.json.Decoder(_Header).decode
_read_claims = msgspec.json.Decoder(dict[str, Any]).decode


class Tokens:
    """Verifies tokens.

    Args:
        secret: The HS256 secret that they must be signed with.
        clock: Unix time in seconds.
    """

    def __init__(self, secret: str, clock: Callable[[], float] = time.time) -> None:
        self._keyed = hmac.new(secret.encode(), digestmod=sha256)
        self._clock = clock

    def verify(self, token: str) -> Identity:
        """Who the token speaks of.

        Raises:
            UnauthorizedError: If it is not a valid token of ours. The caller is not told which part failed.
        """
        try:
            claims = self._claims(token.encode("ascii"))
        except (ValueError, RecursionError, msgspec.DecodeError) as cause:
            # ValueError is the parent of what base64, ASCII and numbers out of range raise.
            raise UnauthorizedError("The token is not valid.") from cause
        user, name, roles = claims.get("sub"), claims.get("name"), claims.get("roles", [])
        if not isinstance(user, str) or not user:
            _refuse()
        if not isinstance(roles, list) or not all(isinstance(role, str) for role in roles):
            _refuse()
        return Identity(
            user=user,
            name=name if isinstance(name, str) and name else user,
            roles=frozenset(roles) if roles else _NO_ROLES,
            claims=claims,
            expires_at=self._check_times(claims),
        )

    def _claims(self, token: bytes) -> dict[str, Any]:
        signed, _, signature = token.rpartition(b".")
        header, _, payload = signed.partition(b".")
        if len(token) > _MAX_SIZE or b"." in payload:
            _refuse()
        # The algorithm is ours: what the token's header asks for never widens it.
        read = _read_header(_decode(header))
        if read.alg != "HS256" or read.crit:
            _refuse()
        if not hmac.compare_digest(self._sign(signed), _decode(signature)):
            _refuse()
        return _read_claims(_decode(payload))

    def _sign(self, signed: bytes) -> bytes:
        keyed = self._keyed.copy()  # what depends on the key alone is computed once
        keyed.update(signed)
        return keyed.digest()

    def _check_times(self, claims: dict[str, Any]) -> float:
        """When the token ends (RFC 7519 §4.1.4); it must have begun, and be for nobody in particular."""
        now = self._clock()
        expires_at = _number(claims.get("exp"))
        if expires_at <= now - _LEEWAY or "aud" in claims:
            _refuse()
        for begin in ("nbf", "iat"):
            if begin in claims and _number(claims[begin]) > now + _LEEWAY:
                _refuse()
        return expires_at


_NO_ROLES: frozenset[str] = frozenset()


def _decode(part: bytes) -> bytes:
    """Undo base64url without padding (RFC 7515 §2).

    Raises:
        ValueError: If it is something else.
    """
    try:
        return a2b_base64(part.translate(_URL_SAFE) + b"=" * (-len(part) % 4), strict_mode=True)
    except Base64Error as cause:
        raise ValueError("not base64url") from cause


def _number(value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        _refuse()
    try:
        return float(value)
    except OverflowError:
        _refuse()


def _refuse() -> NoReturn:
    raise UnauthorizedError("The token is not valid.")
