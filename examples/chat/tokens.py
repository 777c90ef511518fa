"""Access tokens: what a window shows the gateway, for a quarter of an hour each."""

from __future__ import annotations

import os
import time
import uuid
from typing import NamedTuple

import jwt

from pylinkd import Identity, SetupError, UnauthorizedError
from pylinkd.gateway.settings import DEVELOPMENT_SECRET

from .models import SignIn
from .settings import DEVELOPMENT

LIFETIME = 15 * 60.0
"""Seconds. So long a token is good that was stolen, or whose user signed out of a window that nobody could reach."""

_SIGN_IN = "chat_sign_in"  # a claim of our own (RFC 7519 §4.3)


class AccessToken(NamedTuple):
    """A token that the gateway accepts.

    Attributes:
        token: The token.
        lifetime: Seconds for which it is good.
    """

    token: str
    lifetime: float


def issue(sign_in: SignIn) -> AccessToken:
    """A new token for whoever is signed in."""
    user, now = sign_in.user, int(time.time())
    claims = {"sub": user.id, "name": user.name, "iat": now, "exp": now + int(LIFETIME), _SIGN_IN: str(sign_in.id)}
    return AccessToken(jwt.encode(claims, _secret(), algorithm="HS256"), LIFETIME)


def sign_in_of(identity: Identity) -> uuid.UUID | None:
    """To which sign-in a token belongs; ``None``: somebody else issued it.

    Raises:
        UnauthorizedError: If it says so in a way that was never ours.
    """
    told = identity.claims.get(_SIGN_IN)
    if told is None:
        return None
    try:
        return uuid.UUID(str(told))
    except ValueError:
        raise UnauthorizedError("The token is not valid.") from None


def _secret() -> str:
    secret = os.environ.get("LINKD_JWT_SECRET", DEVELOPMENT_SECRET if DEVELOPMENT else "")
    if not secret:
        raise SetupError("LINKD_JWT_SECRET has to be the gateway's: the chat signs its users' tokens with it")
    return secret


_secret()  # rather than at the first sign-in
