"""Bearer tokens: whether to believe one, and whom it speaks of (JWT, RFC 7519)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ...protocol.errors import UnauthorizedError
from ...protocol.identity import Identity
from .issuers import LEEWAY, Issuer, check_times, make_identity
from .jws import MAX_SIZE, Jws
from .keys import Key, KeySet, Secret, read_pem
from .remote_keys import RemoteKeys

if TYPE_CHECKING:
    from .fetching import Fetching

_MAX_VERIFIED = 10_000  # tokens that are remembered as verified


class KeyMissingError(Exception):
    """A token cannot be judged yet: its key has to be fetched first.

    Attributes:
        wait: Waits for that; then the token may be verified again, once. See RemoteKeys.seek for what it raises.
    """

    def __init__(self, wait: Callable[[], Awaitable[None]]) -> None:
        super().__init__()
        self.wait = wait


class _Keys(Protocol):
    def find(self, kid: str | None, algorithm: str) -> Key | None:
        """The key that a token names."""


class Tokens:
    """Verifies tokens.

    Args:
        secret: The HS256 secret that they must be signed with, where there are no issuers.
        issuers: Who may sign tokens; with any, the secret is not used.
        clock: Unix time in seconds.
        max_size: Most bytes of a token.
    """

    def __init__(
        self,
        secret: str,
        issuers: Sequence[Issuer] = (),
        clock: Callable[[], float] = time.time,
        max_size: int = MAX_SIZE,
    ) -> None:
        self._secret = Secret(secret)
        self._clock = clock
        self._max_size = max_size
        self._issuers = {issuer.issuer: issuer for issuer in issuers}
        self._verified: dict[bytes, tuple[Identity, float]] = {}
        self._fetching: dict[Path | None, Fetching] = {}
        self._keys: dict[str, _Keys] = {issuer.issuer: self._keys_of(issuer) for issuer in issuers}

    def _keys_of(self, issuer: Issuer) -> KeySet | RemoteKeys:
        if issuer.public_key is not None:
            return read_pem(issuer.public_key.read_bytes(), issuer.algorithms)
        from .fetching import Fetching

        fetching = self._fetching.get(issuer.ca_file)
        if fetching is None:
            fetching = self._fetching[issuer.ca_file] = Fetching(issuer.ca_file)
        url = issuer.jwks_url

        async def fetch() -> KeySet:
            if url is None:
                return await fetching.discover(issuer.issuer, issuer.algorithms)
            return await fetching.keys(url, issuer.algorithms)

        return RemoteKeys(issuer.issuer, fetch, clock=time.monotonic, changed=self._verified.clear)

    @property
    def remote(self) -> list[RemoteKeys]:
        """The issuers whose keys are fetched."""
        return [keys for keys in self._keys.values() if isinstance(keys, RemoteKeys)]

    async def keep_keys(self) -> None:
        """Fetch the issuers' keys, and keep them fresh, until cancelled."""
        try:
            async with asyncio.TaskGroup() as tasks:
                for keys in self.remote:
                    tasks.create_task(keys.keep())
        finally:
            for fetching in self._fetching.values():
                await fetching.close()

    def verify(self, token: str, *, sought: bool = False) -> Identity:
        """Who the token speaks of.

        Args:
            token: The token.
            sought: Its key was waited for already: if it is missing still, the token is refused.

        Raises:
            UnauthorizedError: If it is not a valid token. ``__cause__`` says which part failed, which
                the caller does not learn.
            KeyMissingError: If its key has to be fetched.
        """
        try:
            return self._verify(token, sought)
        except ValueError as cause:
            raise UnauthorizedError("The token is not valid.") from cause

    def _verify(self, token: str, sought: bool) -> Identity:
        if not self._issuers:
            return self._verify_own(token)
        digest = sha256(token.encode()).digest()
        known = self._verified.get(digest)
        now = self._clock()
        if known is not None:
            identity, ends = known
            if ends <= now:
                del self._verified[digest]
                raise ValueError("exp")
            return identity
        jws, issuer = self.check_signature(token, sought=sought)
        identity = issuer.identify(jws.type, jws.claims, now)
        if len(self._verified) >= _MAX_VERIFIED:
            del self._verified[next(iter(self._verified))]
        assert identity.expires_at is not None
        self._verified[digest] = identity, identity.expires_at + issuer.leeway
        return identity

    def check_signature(self, token: str, *, sought: bool) -> tuple[Jws, Issuer]:
        """A token that is an issuer's, and that issuer. Nothing of what it says was looked at.

        Raises:
            ValueError: If it is nobody's; the text says which part failed.
            KeyMissingError: If its key has to be fetched.
        """
        jws = Jws.parse(token, self._max_size)
        name = jws.claims.get("iss")
        # Only looked up in the operator's list, so that nothing is fetched on a token's word.
        issuer = self._issuers.get(name) if isinstance(name, str) else None
        if issuer is None or jws.algorithm not in issuer.algorithms:
            raise ValueError("iss or alg")
        keys = self._keys[issuer.issuer]
        key = keys.find(jws.kid, jws.algorithm)
        if key is None and isinstance(keys, RemoteKeys) and not sought:
            raise KeyMissingError(keys.seek)
        if key is None or not key.verify(jws.algorithm, jws.signed, jws.signature):
            raise ValueError("key or signature")
        return jws, issuer

    def _verify_own(self, token: str) -> Identity:
        jws = Jws.parse(token, self._max_size)
        if not self._secret.verify(jws.algorithm, jws.signed, jws.signature):
            raise ValueError("signature")
        claims = jws.claims
        if "aud" in claims:
            raise ValueError("aud")  # it is for somebody else
        roles: Any = claims.get("roles", [])
        if not isinstance(roles, list) or not all(isinstance(role, str) for role in roles):
            raise ValueError("roles")
        expires_at = check_times(claims, self._clock(), LEEWAY)
        return make_identity(claims, claims.get("sub"), iter([claims.get("name")]), roles, expires_at)
