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
        jti: the id of a token; or
        login: whose tokens of before are revoked since an issuer said so: issuer, ``sid`` or ``sub``, its value.
        at: Unix time in seconds when it was revoked.
        until: Unix time in seconds when every token that it concerns has ended, by the clock as it was when asked for.
    """

    user: str | None
    jti: str | None
    at: float
    until: float
    login: tuple[str, str, str] | None = None


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
        self._logins: dict[tuple[str, str, str], tuple[Revocation, float]] = {}

    def revoke(self, *, user: str | None = None, jti: str | None = None) -> Revocation:
        """Believe no token any longer that this user was given until now, or the one with this id.

        Raises:
            ValueError: Unless exactly one of the two is given.
            RevocationsFullError: If there are too many already. Nothing was revoked.
        """
        if (user is None) == (jti is None):
            raise ValueError("either a user or a token's id is revoked")
        self._make_room()
        now = self._clock()
        revocation = Revocation(user, jti, now, now + self._lifetime)
        forgotten_at = self._monotonic() + self._lifetime
        if user is not None:
            self._users[user] = revocation, forgotten_at
        elif jti is not None:
            self._tokens[jti] = revocation, forgotten_at
        return revocation

    def end_login(self, issuer: str, claim: str, value: str, at: float) -> Revocation:
        """Believe no token any longer that an issuer gave out until then for one sign-in, or one of its users.

        Args:
            issuer: The tokens' ``iss``.
            claim: ``sid`` or ``sub``.
            value: What the tokens say there.
            at: Unix time in seconds.

        Raises:
            RevocationsFullError: If there are too many already. Nothing was revoked.
        """
        self._make_room()
        key = (issuer, claim, value)
        known = self._logins.get(key)
        if known is not None:
            at = max(at, known[0].at)
        revocation = Revocation(None, None, at, self._clock() + self._lifetime, key)
        self._logins[key] = revocation, self._monotonic() + self._lifetime
        return revocation

    def _make_room(self) -> None:
        if len(self._users) + len(self._tokens) + len(self._logins) >= self._most:
            self._drop_ended()
            if len(self._users) + len(self._tokens) + len(self._logins) >= self._most:
                raise RevocationsFullError

    def covers(self, identity: Identity) -> bool:
        """Whether the token that an identity comes from was revoked."""
        if self._tokens:
            jti = identity.claims.get("jti")
            if isinstance(jti, str) and jti in self._tokens:
                return True
        if self._logins and any(self._ended_login(identity, claim) for claim in ("sid", "sub")):
            return True
        if not self._users or identity.user not in self._users:
            return False
        return _is_of_before(identity, self._users[identity.user][0])

    def _ended_login(self, identity: Identity, claim: str) -> bool:
        issuer, value = identity.claims.get("iss"), identity.claims.get(claim)
        if not isinstance(issuer, str) or not isinstance(value, str):
            return False
        found = self._logins.get((issuer, claim, value))
        return found is not None and _is_of_before(identity, found[0])

    def all(self) -> list[Revocation]:
        """Those that are remembered."""
        self._drop_ended()
        ahead = self._clock() - self._monotonic()
        return [
            msgspec.structs.replace(revocation, until=round(forgotten_at + ahead, 3))
            for revocation, forgotten_at in (*self._users.values(), *self._tokens.values(), *self._logins.values())
        ]

    def _drop_ended(self) -> None:
        now = self._monotonic()
        self._users = {key: one for key, one in self._users.items() if one[1] > now}
        self._tokens = {key: one for key, one in self._tokens.items() if one[1] > now}
        self._logins = {key: one for key, one in self._logins.items() if one[1] > now}


def _is_of_before(identity: Identity, revocation: Revocation) -> bool:
    """Whether a token was issued before this. One that does not say when may be. Seconds are all that a token says: one
    issued in the very second of the revocation is refused, too.
    """
    issued_at = identity.claims.get("iat")
    return not isinstance(issued_at, int | float) or issued_at <= revocation.at
