"""Which tokens are believed."""

from __future__ import annotations

import base64
import json
import time
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pylinkd.gateway.guard.tokens import Tokens
from pylinkd.protocol.errors import UnauthorizedError

SECRET = "a secret of thirty-two bytes, or more"
TOKENS = Tokens(SECRET)


def claims(**changed: Any) -> dict[str, Any]:
    """Claims of a valid token; ``...`` leaves one out."""
    all_ = {"sub": "una", "exp": int(time.time()) + 60, **changed}
    return {name: value for name, value in all_.items() if value is not ...}


def sign(body: dict[str, Any], secret: str = SECRET, algorithm: str = "HS256") -> str:
    """Sign whatever is in it; PyJWT's own encode() checks some claims."""
    return jwt.PyJWS().encode(json.dumps(body).encode(), secret, algorithm)


def part(value: object) -> str:
    """One part of a token."""
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def test_token_says_who_it_is() -> None:
    """User, name, roles, all claims and the end."""
    body = claims(name="Una", roles=["admin", "member"], org="acme")

    identity = TOKENS.verify(sign(body))

    assert (identity.user, identity.name) == ("una", "Una")
    assert identity.roles == {"admin", "member"}
    assert identity.claims == body
    assert identity.expires_at == body["exp"]


@pytest.mark.parametrize("name", [..., None, "", 5, ["Una"]])
def test_user_without_a_name_is_called_by_the_id(name: object) -> None:
    """Names are for people: an odd one is no reason to refuse."""
    assert TOKENS.verify(sign(claims(name=name))).name == "una"


def test_roles_may_be_missing() -> None:
    """Nobody has to have one."""
    assert TOKENS.verify(sign(claims())).roles == frozenset()


@pytest.mark.parametrize(
    "changed",
    [
        {"exp": ...}, {"sub": ...}, {"sub": ""}, {"sub": 5}, {"sub": None}, {"sub": ["una"]}, {"exp": 0}, {"exp": None},
        {"exp": "soon"}, {"exp": []}, {"exp": True}, {"exp": -1}, {"roles": "admin"}, {"roles": None},
        {"roles": {"admin": 1}}, {"roles": ["admin", 5]}, {"roles": [["admin"]]}, {"nbf": 4102444800}, {"iat": "x"},
        {"aud": "somebody else"},
    ],
    ids=repr,
)  # fmt: skip
def test_claims_that_do_not_fit_are_refused(changed: dict[str, Any]) -> None:
    """Signed or not: a token without end or user, from the future, for others, or with odd roles."""
    with pytest.raises(UnauthorizedError):
        TOKENS.verify(sign(claims(**changed)))


@pytest.mark.parametrize("exp", [float("inf"), 10**17, 1e300, 10**400])
def test_end_that_no_clock_reaches_is_refused_or_told(exp: float) -> None:
    """Whatever number stands there: an identity that the link can carry, or 401."""
    from pylinkd.protocol.link_pb2 import Identity as WireIdentity
    from pylinkd.protocol.link_values import fill_identity, read_identity

    try:
        identity = TOKENS.verify(sign(claims(exp=exp)))
    except UnauthorizedError:
        return
    wire = WireIdentity()
    fill_identity(wire, identity)
    assert read_identity(wire).user == "una"


def test_clocks_may_differ_by_seconds() -> None:
    """A token that ended two seconds ago is taken, one that ended ten seconds ago is not."""
    assert TOKENS.verify(sign(claims(exp=int(time.time()) - 2))).user == "una"
    with pytest.raises(UnauthorizedError):
        TOKENS.verify(sign(claims(exp=int(time.time()) - 10)))


def test_other_secrets_are_refused() -> None:
    """The signature is checked."""
    with pytest.raises(UnauthorizedError):
        TOKENS.verify(sign(claims(), secret="another secret of thirty-two bytes"))


@pytest.mark.parametrize("algorithm", ["HS384", "HS512"])
def test_other_algorithms_are_refused(algorithm: str) -> None:
    """With the right secret too: the token does not choose."""
    with pytest.raises(UnauthorizedError):
        TOKENS.verify(sign(claims(), secret=SECRET * 2, algorithm=algorithm))
    with pytest.raises(UnauthorizedError):
        Tokens(SECRET * 2).verify(sign(claims(), secret=SECRET * 2, algorithm=algorithm))


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "", None, "RS256", ["HS256"], 5])
@pytest.mark.parametrize("signature", ["", "x", "e30"])
def test_unsigned_tokens_are_refused(algorithm: object, signature: str) -> None:
    """``alg: none`` in any spelling, with or without something in the signature's place."""
    token = f"{part({'alg': algorithm, 'typ': 'JWT'})}.{part(claims())}.{signature}"

    with pytest.raises(UnauthorizedError):
        TOKENS.verify(token)


def test_tampered_claims_are_refused() -> None:
    """The signature covers the claims and the header."""
    header, _, signature = sign(claims()).split(".")

    with pytest.raises(UnauthorizedError):
        TOKENS.verify(f"{header}.{part(claims(roles=['admin']))}.{signature}")


def test_refusal_does_not_tell_why() -> None:
    """One sentence for all faults."""
    messages = set()
    for token in (
        "",
        "nonsense",
        sign(claims(exp=0)),
        sign(claims(sub=...)),
        sign(claims(roles="x")),
        sign(claims(), secret="x" * 40),
    ):
        with pytest.raises(UnauthorizedError) as caught:
            TOKENS.verify(token)
        messages.add(caught.value.message)

    assert messages == {"The token is not valid."}


@given(token=st.text(max_size=60) | st.tuples(*[st.text("ey0._-", max_size=9)] * 3).map(".".join))
def test_any_text_is_refused(token: str) -> None:
    """Garbage raises nothing else."""
    with pytest.raises(UnauthorizedError):
        TOKENS.verify(token)


@given(
    body=st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda x: (
            st.lists(x, max_size=3)
            | st.dictionaries(
                st.sampled_from(["sub", "exp", "roles", "name", "iat", "nbf", "aud", "iss"]), x, max_size=4
            )
        ),
        max_leaves=6,
    )
)
def test_any_signed_body_is_read_or_refused(body: Any) -> None:
    """Whatever an issuer signs."""
    try:
        identity = TOKENS.verify(sign(body))
    except UnauthorizedError:
        return
    assert identity.user
