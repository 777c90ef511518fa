"""Sign-outs at an issuer, of which it tells with a signed token (OpenID Connect Back-Channel Logout 1.0)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from .issuers import Issuer, check_times, media_type
from .jws import Jws
from .tokens import Tokens

_EVENT = "http://schemas.openid.net/event/backchannel-logout"
_TYPES = {"application/logout+jwt", "application/jwt"}
_MOST_SEEN = 10_000  # ids of logout tokens; beyond it the oldest is forgotten
_LONGEST_CLAIM = 256  # characters


class Logout(msgspec.Struct, frozen=True):
    """Somebody has signed out.

    Attributes:
        issuer: Where.
        claim: What says whose tokens are meant: ``sid``, one sign-in of a user, or ``sub``, all of theirs.
        value: That claim of theirs.
        at: Unix time in seconds; later tokens are believed.
    """

    issuer: str
    claim: str
    value: str
    at: float


class Logouts:
    """Verifies logout tokens.

    Args:
        tokens: Has the issuers' keys.
        issuers: Those that may send them are those with ``logout_clients``.
        clock: Unix time in seconds.
    """

    def __init__(self, tokens: Tokens, issuers: Sequence[Issuer], clock: Callable[[], float]) -> None:
        self._tokens = tokens
        self._clients = {one.issuer: frozenset(one.logout_clients) for one in issuers if one.logout_clients}
        self._clock = clock
        self._seen: dict[tuple[str, str], float] = {}

    def __bool__(self) -> bool:
        return bool(self._clients)

    def verify(self, token: str, *, sought: bool = False) -> Logout:
        """Who has signed out.

        Args:
            token: The logout token.
            sought: Its key was waited for already.

        Raises:
            ValueError: If it is none that is to be believed; the text says which part of it is at fault.
            KeyMissingError: If its key has to be fetched.
        """
        jws, issuer = self._tokens.check_signature(token, sought=sought)
        claims, clients = jws.claims, self._clients.get(issuer.issuer)
        if clients is None:
            raise ValueError("iss")
        self._check(jws, claims, clients)
        now = self._clock()
        ends = check_times(claims, now, issuer.leeway)
        issued_at = float(claims["iat"])
        claim, value = _whose(claims)
        self._take_once(issuer.issuer, claims.get("jti"), now, ends + issuer.leeway)
        return Logout(issuer.issuer, claim, value, issued_at)

    def _check(self, jws: Jws, claims: dict[str, Any], clients: frozenset[str]) -> None:
        if jws.type is not None and media_type(jws.type) not in _TYPES:
            raise ValueError("typ")
        audience = claims.get("aud")
        if clients.isdisjoint(one for one in (audience if isinstance(audience, list) else [audience]) if one):
            raise ValueError("aud")
        if "iat" not in claims:
            raise ValueError("iat")
        events = claims.get("events")
        if not isinstance(events, dict) or not isinstance(events.get(_EVENT), dict):
            raise ValueError("events")
        if "nonce" in claims:  # an ID token, which is nobody's sign-out
            raise ValueError("nonce")

    def _take_once(self, issuer: str, id: object, now: float, until: float) -> None:
        if not isinstance(id, str) or not 1 <= len(id) <= _LONGEST_CLAIM:
            raise ValueError("jti")
        if self._seen.get((issuer, id), now) > now:
            raise ValueError("jti was used")
        if len(self._seen) >= _MOST_SEEN:
            del self._seen[next(iter(self._seen))]
        self._seen[issuer, id] = until


def _whose(claims: dict[str, Any]) -> tuple[str, str]:
    for name in ("sid", "sub"):  # with both it is that one sign-in
        value = claims.get(name)
        if value is not None:
            if not isinstance(value, str) or not 1 <= len(value) <= _LONGEST_CLAIM:
                raise ValueError(name)
            return name, value
    raise ValueError("sid or sub")
