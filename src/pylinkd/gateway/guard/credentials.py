"""Where a request may carry its token, and that it carries one."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import msgspec

from ...protocol.errors import UnauthorizedError

TOKEN_PARAMETER = "token"  # noqa: S105  the name of a query parameter

BEARER_SUBPROTOCOL = "linkd.bearer."
"""What a subprotocol that is a token begins with: a page can set no header. It is never chosen, so never sent back."""

_LIST = re.compile(r'(?:[^",]|"(?:[^"\\]|\\.)*"?)+', re.DOTALL)  # what commas part; those in quotes do not


class Credentials(msgspec.Struct, frozen=True, kw_only=True):
    """Everything in a request that may hold a token.

    Attributes:
        query: The tokens in the query.
        authorization: The ``Authorization`` header; several lines of it joined by ", ".
        subprotocols: What an opening handshake offers.
        cookies: The ``Cookie`` header; several lines of it joined by "; ".
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
        if credentials.authorization:
            found.extend(_bearer_tokens(credentials.authorization))
        if self._cookie and credentials.cookies is not None and credentials.own_page:
            # Browsers send cookies with the requests of any page. Without an origin to check they count for nothing.
            found.extend(value for value in cookies_of(credentials.cookies, self._cookie) if value)
        if not found:
            return None
        if len(found) > 1 and len(set(found)) > 1:
            raise UnauthorizedError("The request carries two different tokens.")
        return found[0]

    def _in_query(self, tokens: Sequence[str]) -> Sequence[str]:
        if tokens and not self._query:
            raise UnauthorizedError("A token in the query is not accepted.")
        return tokens


def _bearer_tokens(header: str) -> Iterator[str]:
    """The bearer tokens in ``Authorization``. Other schemes are for somebody else, such as a proxy on the way.

    Raises:
        UnauthorizedError: If the scheme stands there without a token: its sender would believe to be signed in.
    """
    for credentials in _LIST.findall(header):
        scheme, _, token = credentials.strip(" \t").replace("\t", " ").partition(" ")
        if scheme.lower() == "bearer":
            if not token.strip():
                raise UnauthorizedError("The bearer token is missing.")
            yield token.strip()


def cookies_of(header: str, name: str) -> Iterator[str]:
    """The values of the cookies of this name, read as browsers write them (RFC 6265 §5.4): whatever another program
    put into its own cookies must not hide ours.
    """
    for pair in header.split(";"):
        found, sign, value = pair.partition("=")
        if sign and found.strip(" \t") == name:
            value = value.strip(" \t")
            yield value[1:-1] if len(value) > 1 and value[0] == value[-1] == '"' else value
