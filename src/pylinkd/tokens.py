"""Tokens that a service issues to its own users, and its gateway believes (JWT, RFC 7519).

    from pylinkd.tokens import issue

    token = issue(user.id, name=user.name, lifetime=900)

docs/security.md says how a page gets one and renews it.
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Iterable, Mapping
from typing import Any

import jwt

from .protocol.errors import SetupError

__all__ = ["issue"]

SECRET_VARIABLE = "LINKD_JWT_SECRET"  # noqa: S105  a name
_LEAST_SECRET = 32  # bytes (RFC 7518 §3.2)
_SYMMETRIC = "HS256"
_RESERVED = frozenset({"sub", "name", "roles", "iat", "exp", "jti", "iss", "aud"})


def issue(
    user: str,
    *,
    name: str | None = None,
    roles: Iterable[str] = (),
    lifetime: float = 900.0,
    key: str | bytes | None = None,
    algorithm: str = _SYMMETRIC,
    key_id: str | None = None,
    issuer: str | None = None,
    audience: str | None = None,
    claims: Mapping[str, Any] | None = None,
) -> str:
    """A token.

    Args:
        user: The user's id, the same on all devices.
        name: What to call them; ``None``: the id.
        roles: What they may do.
        lifetime: Seconds until it ends, a quarter of an hour unless given. A page renews it within its connection, so
            that a short one costs nobody anything, and one that is stolen is soon worth nothing.
        key: What it is signed with; ``None``: the secret in ``LINKD_JWT_SECRET``, as the gateway has it. For a gateway
            with ``LINKD_ISSUERS`` a private key (PEM), whose public key is that issuer's.
        algorithm: HS256 with a secret; such as ES256, RS256 or EdDSA with a private key.
        key_id: What the issuer calls the key (``kid``).
        issuer: The ``iss`` of the gateway's list, with a private key.
        audience: The ``aud`` that is asked for there. A gateway with a secret takes none.
        claims: More of them, for services to read in ``ctx.identity.claims``.

    Raises:
        ValueError: If something cannot be in a token.
        SetupError: If there is no secret, or it is too short, or the key is none for the algorithm.
    """
    if not user:
        raise ValueError("user is the id by which services know the user, and must not be empty")
    if lifetime <= 0:
        raise ValueError(f"lifetime is a number of seconds, not {lifetime}")
    reserved = _RESERVED & (claims or {}).keys()
    if reserved:
        raise ValueError(f"the claims {', '.join(sorted(reserved))} have arguments of their own")
    now = time.time()
    body: dict[str, Any] = {
        **(claims or {}),
        "sub": user,
        "name": name or user,
        "roles": list(roles),
        "iat": int(now),
        "exp": int(now + lifetime),
        "jti": uuid.uuid4().hex,  # so that it can be revoked alone
    }
    if issuer is not None:
        body["iss"] = issuer
    if audience is not None:
        body["aud"] = audience
    headers = None if key_id is None else {"kid": key_id}
    try:
        return jwt.encode(body, _secret() if key is None else key, algorithm=algorithm, headers=headers)
    except (jwt.InvalidKeyError, NotImplementedError, TypeError, ValueError) as cause:
        raise SetupError(f"the key cannot sign with {algorithm}: {cause}") from cause


def _secret() -> str:
    secret = os.environ.get(SECRET_VARIABLE, "")
    if len(secret.encode()) < _LEAST_SECRET:
        raise SetupError(
            f"set {SECRET_VARIABLE} to the gateway's secret, {_LEAST_SECRET} bytes or more, to issue tokens"
        )
    return secret
