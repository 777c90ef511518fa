"""Where a request may carry its token, and that it carries one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from http.cookies import CookieError, SimpleCookie

import msgspec

from ...protocol.errors import UnauthorizedError

TOKEN_PARAMETER = "token"  # noqa: S105  the name of a query parameter

BEARER_SUBPROTOCOL = "linkd.bearer."
"""What a subprotocol that is a token begins with: a page can set no header. It is never chosen, so never told back."""


class Credentials(msgspec.Struct, frozen=True, kw_only=True):
    """Everything in a request that may hold a token.

    Attributes:
        query: The tokens in the query.
        authorization: The ``Authorization`` header.
        subprotocols: What an opening handshake offers.
        cookies: The ``Cookie`` header.
        own_page: The request comes from a page that may connect, and says so.
    """

    query: Sequence[str] = ()
    authorization: str | None = None
    subprotocols: Sequence[str] = ()
    cookies: str | None = None
    own_page: bool = False


class Places:
    """Finds the token.

    Args:
        query: Whether it may stand in the query, where it may end up in logs of proxies.
        cookie: The name of the cookie that may hold it; empty: none may.
    """

    def __init__(self, *, query: bool = True, cookie: str = "") -> None:
        self._query = query
        self._cookie = cookie

    def find(self, credentials: Credentials) -> str | None:
        """The request's token; ``None``: it has none.

        Raises:
            UnauthorizedError: If there are two that differ, or one where none may be.
        """
        found = list(self._in_query(credentials.query))
        for name in credentials.subprotocols:
            if name.startswith(BEARER_SUBPROTOCOL):
                found.append(name.removeprefix(BEARER_SUBPROTOCOL))
        if credentials.authorization is not None:
            scheme, _, token = credentials.authorization.partition(" ")
            if scheme.lower() != "bearer" or not token.strip():
                raise UnauthorizedError("Only bearer tokens are accepted.")
            found.append(token.strip())
        if self._cookie and credentials.cookies is not None and credentials.own_page:
            # Browsers send cookies with the requests of any page. Without an origin to check they count for nothing.
            found.extend(self._in_cookies(credentials.cookies))
        if not found:
            return None
        if len(found) > 1 and len(set(found)) > 1:
            raise UnauthorizedError("The request carries two different tokens.")
        return found[0]

    def _in_query(self, tokens: Sequence[str]) -> Sequence[str]:
        if tokens and not self._query:
            raise UnauthorizedError("A token in the query is not accepted.")
        return tokens

    def _in_cookies(self, header: str) -> Iterable[str]:
        try:
            cookie = SimpleCookie(header).get(self._cookie)
        except CookieError:
            return []
        return [] if cookie is None or not cookie.value else [cookie.value]
