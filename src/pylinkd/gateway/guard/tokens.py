"""Bearer tokens: what is in them, and whether to believe it. HS256 with one secret."""

from __future__ import annotations

import jwt

from ...protocol.errors import UnauthorizedError
from ...protocol.identity import Identity

_LEEWAY = 5.0  # seconds by which the clocks of issuer and gateway may differ


class Tokens:
    """Verifies tokens.

    Args:
        secret: The HS256 secret that they must be signed with.
    """

    def __init__(self, secret: str) -> None:
        self._secret = secret

    def verify(self, token: str) -> Identity:
        """Who the token speaks of.

        Raises:
            UnauthorizedError: If it is not a valid token of ours. The caller is not told which part failed.
        """
        try:
            # The list of algorithms is ours: what the token's header asks for never widens it.
            claims = jwt.decode(
                token, self._secret, algorithms=["HS256"], leeway=_LEEWAY, options={"require": ["exp", "sub"]}
            )
        except jwt.InvalidTokenError as cause:
            raise UnauthorizedError("The token is not valid.") from cause
        user, name, roles = claims["sub"], claims.get("name"), claims.get("roles", [])
        try:
            expires_at = float(claims["exp"])
        except OverflowError:
            raise UnauthorizedError("The token is not valid.") from None
        if not user or not isinstance(roles, list) or not all(isinstance(role, str) for role in roles):
            raise UnauthorizedError("The token is not valid.")
        return Identity(
            user=user,
            name=name if isinstance(name, str) and name else user,
            roles=frozenset(roles),
            claims=claims,
            expires_at=expires_at,
        )
