"""Who a caller is, and the one rule that decides whether a handler is open to them.

The gateway applies the rule at the door and the service applies it again: it trusts nobody.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from .errors import ForbiddenError, LinkdError, UnauthorizedError


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """A caller whose token was verified.

    Attributes:
        user: The user's id, the same on all devices.
        name: What to call the user; the id where the token has no name.
        roles: Role names as the token's issuer gave them.
        claims: All claims of the token.
        expires_at: Unix time in seconds when the token ends; ``None``: never.
    """

    user: str
    name: str
    roles: frozenset[str] = frozenset()
    claims: dict[str, Any] = {}
    expires_at: float | None = None


class Requirement(msgspec.Struct, frozen=True):
    """What a handler asks of its caller.

    Attributes:
        auth: The caller must have signed in.
        roles: The caller must have one of these; empty: any role, or none, will do. Roles imply ``auth``.
    """

    auth: bool = False
    roles: frozenset[str] = frozenset()

    @classmethod
    def of(cls, auth: bool, roles: Iterable[str]) -> Requirement:
        """The requirement for these options."""
        wanted = frozenset(roles)
        return cls(auth=auth or bool(wanted), roles=wanted)

    def refusal(self, identity: Identity | None) -> LinkdError | None:
        """The error that answers ``identity``, or ``None`` where it may pass."""
        if not self.auth:
            return None
        if identity is None:
            return UnauthorizedError()
        if self.roles and self.roles.isdisjoint(identity.roles):
            return ForbiddenError()
        return None


OPEN = Requirement()
"""Everybody may pass."""
