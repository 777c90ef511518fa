"""The door: one decision for each opening handshake and each HTTP request, made before anything is allocated."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from ...protocol.envelope import JSON, SUBPROTOCOLS, Codec
from ...protocol.errors import (
    BadRequestError,
    ConflictError,
    ForbiddenError,
    LinkdError,
    NotFoundError,
    ServiceUnavailableError,
    UnauthorizedError,
)
from ...protocol.identity import Identity
from .addresses import Addresses
from .audit import Audit
from .credentials import Credentials, Places
from .limits import Limits
from .logouts import Logouts
from .origins import Origins
from .revocations import Revocations, RevocationsFullError
from .tokens import KeyMissingError, Tokens


class Approach(msgspec.Struct, frozen=True, kw_only=True):
    """A client before the door.

    Attributes:
        path: Where it wants to go.
        address: Where it comes from, proxies seen through.
        host: The ``Host`` header.
        origin: The ``Origin`` header: whose page it is; ``None``: it is no page.
        credentials: What it shows.
    """

    path: str
    address: str
    host: str
    origin: str | None
    credentials: Credentials


class Admission(msgspec.Struct, frozen=True):
    """What the door found out about a client that may come in.

    Attributes:
        identity: Who it is; ``None``: nobody signed in.
        codec: What its messages are written in.
        subprotocol: The one chosen from its list; ``None``: none was.
    """

    identity: Identity | None
    codec: Codec
    subprotocol: str | None


class Door:
    """Decides who may come in.

    Args:
        tokens: Verifies who they say they are.
        places: Finds their tokens.
        revocations: Tokens that are believed no longer.
        logouts: Verifies what issuers say of sign-outs.
        origins: The pages that may open a WebSocket.
        addresses: Where one may come from.
        limits: How often one may try.
        audit: Told of decisions.
        knows: Whether a path reaches a service at all.
        takes_sessions: Whether a new session on the path has a service behind it.
        open: Whether the gateway takes new connections; not while it stops.
    """

    def __init__(
        self,
        *,
        tokens: Tokens,
        places: Places,
        revocations: Revocations,
        logouts: Logouts,
        origins: Origins,
        addresses: Addresses,
        limits: Limits,
        audit: Audit,
        knows: Callable[[str], bool],
        takes_sessions: Callable[[str], bool],
        open: Callable[[], bool],
    ) -> None:
        self._tokens = tokens
        self._places = places
        self._revocations = revocations
        self._logouts = logouts
        self._origins = origins
        self._addresses = addresses
        self._limits = limits
        self._audit = audit
        self._knows = knows
        self._takes_sessions = takes_sessions
        self._open = open

    def admit(self, approach: Approach, *, sought: bool = False, returning: bool = False) -> Admission:
        """Let a WebSocket in, or raise what it is refused with.

        Args:
            approach: The client.
            sought: It was here before, and had to wait for its token's key.
            returning: It goes on with a session of a user. Neither a token that has ended nor a service that is away
                keeps it from that.

        Raises:
            LinkdError: 403 for a foreign page or a banned address, 404 for an unknown path, 401 for a bad token, 429
                for too many attempts, 503 while no service is there.
            KeyMissingError: If a key has to be waited for; then ask again.
        """
        if not self._open():
            raise ServiceUnavailableError("The gateway is stopping.", retry_after=1.0)
        self._check_address(approach.address)
        if not sought:
            self._limits.handshake(approach.address)
        if not self._origins.allow(approach.origin, approach.host):
            self._audit.record("origin_refused", address=approach.address, origin=approach.origin)
            raise ForbiddenError("Pages of this origin may not connect.", type="FORBIDDEN_ORIGIN")
        if not self._knows(approach.path):
            raise NotFoundError("No service has claimed this path.")
        try:
            identity = self._identify(approach.credentials, approach.address, sought)
        except UnauthorizedError:
            if not returning:
                raise
            identity = None
        if not returning and not self._takes_sessions(approach.path):
            raise ServiceUnavailableError("No instance of the service is running.", retry_after=1.0)
        offered = approach.credentials.subprotocols
        chosen = next((name for name in SUBPROTOCOLS if name in offered), None)
        codec = JSON if chosen is None else SUBPROTOCOLS[chosen]
        return Admission(identity=identity, codec=codec, subprotocol=chosen)

    def own_page(self, origin: str | None, host: str, fetch_site: str | None = None) -> bool:
        """Whether a request surely comes from a page that may connect, so that cookies count."""
        if origin is None:
            return fetch_site == "same-origin"
        return not self._origins.any and self._origins.allow(origin, host)

    async def identify(self, credentials: Credentials, address: str) -> Identity | None:
        """Who asks for an HTTP resource; ``None``: nobody signed in.

        Raises:
            LinkdError: 401 for a bad token, or two that disagree; 403 for a banned address; 429 for too many attempts
                or requests; 503 if the issuer's keys are not to be had.
        """
        self._check_address(address)
        try:
            identity = self._identify(credentials, address, sought=False)
        except KeyMissingError as missing:
            await missing.wait()
            identity = self._identify(credentials, address, sought=True)
        self._limits.request(address, identity)
        return identity

    def count(self, address: str) -> None:
        """Count a request that needs no identity, such as one for the gateway's health.

        Raises:
            RateLimitedError: If the address has asked too often.
        """
        self._limits.request(address, None)

    async def sign_out(self, token: str, address: str) -> None:
        """Believe no token any longer of a sign-in, or a user, that an issuer says has ended.

        Raises:
            BadRequestError: If the logout token is not valid.
            ConflictError: If there are too many revocations to remember another.
            LinkdError: 403 for a banned address, 429 for too many attempts, 503 if the issuer's keys are not to be had.
        """
        self._check_address(address)
        self._limits.request(address, None)
        self._limits.may_try(address)
        try:
            try:
                logout = self._logouts.verify(token)
            except KeyMissingError as missing:
                await missing.wait()
                logout = self._logouts.verify(token, sought=True)
        except ValueError as cause:
            self._refused(address, f"logout token: {cause}")
            raise BadRequestError("The logout token is not valid.") from cause
        try:
            self._revocations.end_login(logout.issuer, logout.claim, logout.value, logout.at)
        except RevocationsFullError as cause:
            raise ConflictError("There are too many revocations to remember another.", type="FULL") from cause
        self._audit.record("signed_out", address=address, issuer=logout.issuer, **{logout.claim: logout.value})

    async def recognize(self, token: str, address: str) -> Identity:
        """Who shows a token in an open connection.

        Raises:
            LinkdError: As ``identify``.
        """
        try:
            return self._recognize(token, address, sought=False)
        except KeyMissingError as missing:
            await missing.wait()
            return self._recognize(token, address, sought=True)

    def _check_address(self, address: str) -> None:
        if not self._addresses.admits(address):
            self._audit.record("address_refused", address=address)
            raise ForbiddenError("This address may not connect.", type="FORBIDDEN_ADDRESS")

    def _identify(self, credentials: Credentials, address: str, sought: bool) -> Identity | None:
        try:
            token = self._places.find(credentials)
        except UnauthorizedError as refusal:
            self._refused(address, refusal.message)
            raise
        return None if token is None else self._recognize(token, address, sought)

    def _recognize(self, token: str, address: str, sought: bool) -> Identity:
        self._limits.may_try(address)
        try:
            identity = self._tokens.verify(token, sought=sought)
            if self._revocations.covers(identity):
                raise UnauthorizedError("The token is not valid.") from ValueError("revoked")
        except UnauthorizedError as refusal:
            # The caller does not learn which part failed.
            self._refused(address, str(refusal.__cause__))
            raise
        return identity

    def _refused(self, address: str, reason: str) -> None:
        self._audit.record("token_refused", address=address, reason=reason)
        self._limits.failed(address)


def refusal_headers(error: LinkdError) -> dict[str, str]:
    """The headers that go with an error as an HTTP answer."""
    headers = {"Content-Type": "application/json", "Cache-Control": "no-store"}
    if error.code == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if error.retry_after is not None:
        headers["Retry-After"] = str(max(1, round(error.retry_after)))
    return headers
