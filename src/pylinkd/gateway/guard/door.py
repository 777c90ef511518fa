"""The door: one decision for each opening handshake and each HTTP request, made before anything is allocated."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from ...protocol.envelope import JSON, SUBPROTOCOLS, Codec
from ...protocol.errors import ForbiddenError, LinkdError, NotFoundError, ServiceUnavailableError, UnauthorizedError
from ...protocol.identity import Identity
from .origins import Origins
from .tokens import Tokens

TOKEN_PARAMETER = "token"  # noqa: S105  the name of a query parameter


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
        origins: The pages that may open a WebSocket.
        knows: Whether a path reaches a service at all.
        takes_sessions: Whether a new session on the path has a service behind it.
        open: Whether the gateway takes new connections; not while it stops.
    """

    def __init__(
        self,
        tokens: Tokens,
        origins: Origins,
        *,
        knows: Callable[[str], bool],
        takes_sessions: Callable[[str], bool],
        open: Callable[[], bool],
    ) -> None:
        self._tokens = tokens
        self._origins = origins
        self._knows = knows
        self._takes_sessions = takes_sessions
        self._open = open

    def admit(
        self,
        path: str,
        tokens: Sequence[str],
        authorization: str | None,
        subprotocols: Sequence[str],
        *,
        origin: str | None,
        host: str,
    ) -> Admission:
        """Let a WebSocket in, or raise what it is refused with.

        Args:
            path: Of the opening handshake.
            tokens: The tokens in its query.
            authorization: The ``Authorization`` header.
            subprotocols: What the client offers.
            origin: The ``Origin`` header: whose page it is.
            host: The ``Host`` header.

        Raises:
            LinkdError: 403 for a foreign page, 404 for an unknown path, 401 for a bad token, 503 while no service is
                there.
        """
        if not self._open():
            raise ServiceUnavailableError("The gateway is stopping.", retry_after=1.0)
        if not self._origins.allow(origin, host):
            raise ForbiddenError("Pages of this origin may not connect.", type="FORBIDDEN_ORIGIN")
        if not self._knows(path):
            raise NotFoundError("No service has claimed this path.")
        identity = self.identify(tokens, authorization)
        if not self._takes_sessions(path):
            raise ServiceUnavailableError("No instance of the service is running.", retry_after=1.0)
        chosen = next((name for name in SUBPROTOCOLS if name in subprotocols), None)
        codec = JSON if chosen is None else SUBPROTOCOLS[chosen]
        return Admission(identity=identity, codec=codec, subprotocol=chosen)

    def identify(self, tokens: Sequence[str], authorization: str | None) -> Identity | None:
        """Who is asking; ``None`` if no token is there.

        Args:
            tokens: The tokens in the query.
            authorization: The ``Authorization`` header.

        Raises:
            UnauthorizedError: If a token is there and not valid, or two disagree.
        """
        found = set(tokens)
        if authorization is not None:
            scheme, _, credentials = authorization.partition(" ")
            if scheme.lower() != "bearer" or not credentials.strip():
                raise UnauthorizedError("Only bearer tokens are accepted.")
            found.add(credentials.strip())
        if not found:
            return None
        if len(found) > 1:
            raise UnauthorizedError("The request carries two different tokens.")
        return self._tokens.verify(found.pop())


def refusal_headers(error: LinkdError) -> dict[str, str]:
    """The headers that go with an error as an HTTP answer."""
    headers = {"Content-Type": "application/json", "Cache-Control": "no-store"}
    if error.code == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if error.retry_after is not None:
        headers["Retry-After"] = str(max(1, round(error.retry_after)))
    return headers
