"""``linkd token``: tokens for development, signed with the gateway's own secret."""

from __future__ import annotations

import time
from collections.abc import Sequence

import jwt

from ..gateway.settings import Settings


def issue_token(settings: Settings, *, user: str, name: str | None, roles: Sequence[str], ttl: float) -> str:
    """A token that the gateway with these settings accepts for ``ttl`` seconds."""
    now = int(time.time())
    claims = {"sub": user, "name": name or user, "roles": list(roles), "iat": now, "exp": now + int(ttl)}
    return jwt.encode(claims, settings.jwt_secret, algorithm="HS256")
