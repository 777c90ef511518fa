"""``linkd token``: tokens for development, signed with the gateway's own secret."""

from __future__ import annotations

from collections.abc import Sequence

from ..gateway.settings import Settings
from ..protocol.errors import SetupError
from ..tokens import issue


class TokenError(SetupError):
    """There is no such token; the text says what to change."""


def issue_token(settings: Settings, *, user: str, name: str | None, roles: Sequence[str], ttl: float) -> str:
    """A token that the gateway with these settings accepts for ``ttl`` seconds.

    Raises:
        TokenError: If it accepts no such token.
    """
    if not user:
        raise TokenError("--user must not be empty: it is the id by which services know the user")
    if settings.issuers is not None:
        raise TokenError("the gateway believes the issuers in LINKD_ISSUERS alone: get a token from one of them")
    token = issue(user, name=name, roles=roles, lifetime=ttl, key=settings.jwt_secret)
    if len(token) > settings.max_token_size:
        raise TokenError(f"the token has {len(token)} bytes: set LINKD_MAX_TOKEN_SIZE to accept it")
    return token
