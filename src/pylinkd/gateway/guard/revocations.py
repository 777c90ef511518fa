"""Tokens and users that are believed no longer, though their tokens' time has not come."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from ...protocol.identity import Identity


class RevocationsFullError(Exception):
    """There are too many to remember another."""


class Revocation(msgspec.Struct, frozen=True):
    """One of them.

    Attributes:
        user: A user all of whose tokens of before are revoked; or
        jti: the id of a token.
        at: Unix time in seconds when it was revoked.
        until: Unix time in seconds when every token that it concerns has ended, by the clock as it was when asked for.
    """

    user: str | None
    jti: str | None
    at: float
    until: float


class Revocations:
    """What was revoked, for as long as tokens live.

    Args:
        clock: Unix time in seconds, which tokens are issued by.
        monotonic: Seconds that never go back, by which is counted how long a revocation is remembered.
        lifetime: Seconds that the longest-lived token is valid for: how long that is.
        most: How many are remembered.
    """

    def __init__(
        self, clock: Callable[[], float], monotonic: Callable[[], float], lifetime: float, most: int = 100_000
    ) -> None:
        self._clock = clock
        self._monotonic = monotonic
        self._lifetime = lifetime
        self._most = most
        # With when each is forgotten, by the monotonic clock.
        self._users: dict[str, tuple[Revocation, float]] = {}
        self._tokens: dict[str, tuple[Revocation, float]] = {}

    def revoke(self, *, user: str | None = None, jti: str | None = None) -> Revocation:
        """Believe no token any longer that this user was given until now, or the one with this id.

        Raises:
            ValueError: Unless exactly one of the two is given.
            RevocationsFullError: If there are too many already. Nothing was revoked.
        """
        if (user is None) == (jti is None):
            raise ValueError("either a user or a token's id is revoked")
        if len(self._users) + len(self._tokens) >= self._most:
            self._drop_ended()
            if len(self._users) + len(self._tokens) >= self._most:
                raise RevocationsFullError
        now = self._clock()
        revocation = Revocation(user, jti, now, now + self._lifetime)
        forgotten_at = self._monotonic() + self._lifetime
        if user is not None:
            self._users[user] = revocation, forgotten_at
        elif jti is not None:
            self._tokens[jti] = revocation, forgotten_at
        return revocation

    def covers(self, identity: Identity) -> bool:
        """Whether the token that an identity comes from was revoked."""
        if self._tokens:
            jti = identity.claims.get("jti")
            if isinstance(jti, str) and jti in self._tokens:
                return True
        if not self._users or identity.user not in self._users:
            return False
        issued_at = identity.claims.get("iat")
        # A token that does not say when it was issued may be one of before. Seconds are all that a token tells: one
        # issued in the very second of the revocation is refused, too.
        return not isinstance(issued_at, int | float) or issued_at <= self._users[identity.user][0].at

    def all(self) -> list[Revocation]:
        """Those that are remembered."""
        self._drop_ended()
        ahead = self._clock() - self._monotonic()
        return [
            msgspec.structs.replace(revocation, until=round(forgotten_at + ahead, 3))
            for revocation, forgotten_at in (*self._users.values(), *self._tokens.values())
        ]

    def _drop_ended(self) -> None:
        now = self._monotonic()
        self._users = {key: one for key, one in self._users.items() if one[1] > now}
        self._tokens = {key: one for key, one in self._tokens.items() if one[1] > now}
