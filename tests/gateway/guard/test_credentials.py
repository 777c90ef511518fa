"""Where a token may be."""

from __future__ import annotations

import pytest

from pylinkd.gateway.guard.credentials import Credentials, Places
from pylinkd.protocol.errors import UnauthorizedError

PLACES = Places(cookie="session")


@pytest.mark.parametrize(
    "credentials",
    [
        Credentials(query=["a.b.c"]),
        Credentials(authorization="Bearer a.b.c"),
        Credentials(subprotocols=["linkd.v1+json", "linkd.bearer.a.b.c"]),
        Credentials(cookies="x=1; session=a.b.c", own_page=True),
        Credentials(query=["a.b.c"], authorization="bearer a.b.c", subprotocols=["linkd.bearer.a.b.c"]),
    ],
)
def test_token_is_found(credentials: Credentials) -> None:
    """In any place, and in several that agree."""
    assert PLACES.find(credentials) == "a.b.c"


@pytest.mark.parametrize(
    "credentials",
    [
        Credentials(query=["a"], authorization="Bearer b"),
        Credentials(authorization="Bearer a", subprotocols=["linkd.bearer.b"]),
        Credentials(subprotocols=["linkd.bearer.a", "linkd.bearer.b"]),
        Credentials(query=["a"], cookies="session=b", own_page=True),
        Credentials(authorization="Bearer a", subprotocols=["linkd.bearer."]),
    ],
)
def test_two_that_disagree_are_refused(credentials: Credentials) -> None:
    """Nobody could say who is asking."""
    with pytest.raises(UnauthorizedError, match="two different tokens"):
        PLACES.find(credentials)


@pytest.mark.parametrize(
    "credentials",
    [
        Credentials(cookies="session=a.b.c"),
        Credentials(cookies="other=a.b.c", own_page=True),
        Credentials(cookies="session=", own_page=True),
        Credentials(cookies="; ;=;\0", own_page=True),
        Credentials(),
    ],
)
def test_cookie_counts_only_for_pages_that_may_connect(credentials: Credentials) -> None:
    """A browser sends it for any page: without a sure origin it is nobody's word."""
    assert PLACES.find(credentials) is None


def test_cookie_counts_only_where_the_operator_named_one() -> None:
    """The default is none."""
    assert Places().find(Credentials(cookies="session=a.b.c; =x", own_page=True)) is None


def test_query_can_be_switched_off() -> None:
    """A token there is then refused, and not passed over: its sender would believe to be signed in."""
    with pytest.raises(UnauthorizedError, match="query"):
        Places(query=False).find(Credentials(query=["a.b.c"]))
