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
        Credentials(authorization="Bearer a.b.c, Bearer a.b.c"),
        Credentials(authorization="Basic dTpw, Bearer a.b.c"),
        Credentials(authorization="BEARER\ta.b.c ,Negotiate YII="),
        Credentials(authorization='Digest username="x, Bearer evil", realm="\\", Bearer evil", Bearer a.b.c'),
        Credentials(authorization="Basic dTpw", query=["a.b.c"]),
        Credentials(authorization="Basic dTpw", cookies="session=a.b.c", own_page=True),
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
        Credentials(authorization="Bearer a, Bearer b"),
        Credentials(authorization="Bearer a, Basic dTpw, bearer b"),
        Credentials(cookies="session=a; session=b", own_page=True),
        Credentials(cookies="session=a; other=; session=b", own_page=True),
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


@pytest.mark.parametrize(
    "authorization",
    ["", " ", "Basic dTpw", "Negotiate YII=", "Token x", "x", "Bearerx y", "Bearer=x", ",", '"Bearer"'],
)
def test_other_schemes_are_none_of_ours(authorization: str) -> None:
    """They are for a proxy on the way, and stand beside our token, or beside none."""
    assert PLACES.find(Credentials(authorization=authorization)) is None


@pytest.mark.parametrize("authorization", ["Bearer", "bearer ", "Bearer\t", "Basic dTpw, Bearer", "Bearer , Basic x"])
def test_bearer_without_a_token_is_refused(authorization: str) -> None:
    """Silence would be taken for a sign-in that worked."""
    with pytest.raises(UnauthorizedError, match="bearer"):
        PLACES.find(Credentials(authorization=authorization))


@pytest.mark.parametrize(
    "cookies",
    [
        'prefs={"theme":"dark"}; session=a.b.c',
        'prefs={"a":[1,2],"b":"x y"}; session=a.b.c; z={}',
        "name=Una Meier; session=a.b.c",
        'quoted="unfinished; session=a.b.c',
        'quoted="a b"; session="a.b.c"',
        "list=1,2,3; session=a.b.c",
        "ab==x==; session=a.b.c; =y",
        "utm=a=b&c=d; session=a.b.c",
        "city=K\xc3\xb6ln; session=a.b.c",
        "\xff\xfe=\x80; session=a.b.c",
        "=nameless; session=a.b.c",
        "novalue; session=a.b.c",
        "sessionx=evil; xsession=evil; Session=evil; session=a.b.c",
        "session=a.b.c; session=a.b.c",
        ";; ;\tsession \t= a.b.c ;",
        "path=/; a[b]=c; a:b=<d>; $Version=1; session=a.b.c; expires=Thu, 01 Jan 2026",
        "other=1; session=; session=a.b.c",
        r"slash=\"; session=a.b.c",
    ],
)
def test_odd_cookies_do_not_hide_the_token(cookies: str) -> None:
    """What other programs put into theirs is real, and not all of it is in the grammar."""
    assert PLACES.find(Credentials(cookies=cookies, own_page=True)) == "a.b.c"


@pytest.mark.parametrize(
    "cookies", ["=session=a.b.c", "x=session=a.b.c", 'x="session=a.b.c"', "session", "session a.b.c", "x; =; =;"]
)
def test_cookie_of_another_name_is_no_token(cookies: str) -> None:
    """Though its value looks like one."""
    assert PLACES.find(Credentials(cookies=cookies, own_page=True)) is None
