"""Logout tokens are verified as OpenID Connect Back-Channel Logout 1.0 §2.6 has it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from pylinkd.gateway.guard.issuers import Issuer
from pylinkd.gateway.guard.logouts import Logouts
from pylinkd.gateway.guard.revocations import Revocations, RevocationsFullError
from pylinkd.gateway.guard.tokens import Tokens
from pylinkd.protocol.identity import Identity

NOW = 1_800_000_000.0
ISSUER = "https://id.example.com"
EVENT = "http://schemas.openid.net/event/backchannel-logout"
KEY = ec.generate_private_key(ec.SECP256R1())


def good(**changes: Any) -> dict[str, Any]:
    """The claims of a logout token, with these instead; ``None`` leaves one out."""
    claims = {
        "iss": ISSUER, "aud": "linkd-chat", "iat": int(NOW), "exp": int(NOW) + 120, "jti": "one", "sid": "s-1",
        "sub": "una", "events": {EVENT: {}}, **changes,
    }  # fmt: skip
    return {name: value for name, value in claims.items() if value is not None}


def signed(claims: dict[str, Any], key: Any = KEY, **header: Any) -> str:
    """A token."""
    return jwt.encode(claims, key, algorithm="ES256", headers={"typ": "logout+jwt", **header})


@pytest.fixture
def logouts(tmp_path: Path) -> Logouts:
    """Of one issuer that may tell of sign-outs, and one that may not."""
    file = tmp_path / "key.pem"
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    file.write_bytes(KEY.public_key().public_bytes(serialization.Encoding.PEM, form))
    issuers = [
        Issuer(issuer=ISSUER, audience="linkd", public_key=file, logout_clients=["linkd-chat"]),
        Issuer(issuer="https://silent.example.com", audience="linkd", public_key=file, user_prefix="b:"),
    ]
    return Logouts(Tokens("x" * 32, issuers, lambda: NOW), issuers, lambda: NOW)


def test_sign_out_of_one_sign_in(logouts: Logouts) -> None:
    """With both claims it is the one sign-in."""
    logout = logouts.verify(signed(good()))
    assert (logout.issuer, logout.claim, logout.value, logout.at) == (ISSUER, "sid", "s-1", NOW)


def test_sign_out_of_a_user(logouts: Logouts) -> None:
    """Without a sign-in it is all of the user's."""
    logout = logouts.verify(signed(good(sid=None)))
    assert (logout.claim, logout.value) == ("sub", "una")


@pytest.mark.parametrize("typ", ["logout+jwt", "application/logout+jwt", "LOGOUT+JWT", "JWT", None])
def test_types_that_are_taken(logouts: Logouts, typ: str | None) -> None:
    """Its own, and what came before that was standardized."""
    assert logouts.verify(signed(good(), typ=typ)).value == "s-1"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"iss": "https://other.example.com"}, "iss"),
        ({"iss": "https://silent.example.com"}, "iss"),
        ({"iss": None}, "iss"),
        ({"aud": "linkd"}, "aud"),
        ({"aud": []}, "aud"),
        ({"aud": None}, "aud"),
        ({"iat": None}, "iat"),
        ({"iat": int(NOW) + 60}, "iat"),
        ({"iat": "now"}, "time"),
        ({"exp": None}, "time"),
        ({"exp": int(NOW) - 60}, "exp"),
        ({"jti": None}, "jti"),
        ({"jti": ""}, "jti"),
        ({"jti": "x" * 300}, "jti"),
        ({"jti": 7}, "jti"),
        ({"sid": None, "sub": None}, "sid or sub"),
        ({"sid": 7}, "sid"),
        ({"sid": ""}, "sid"),
        ({"sid": "x" * 300}, "sid"),
        ({"sid": None, "sub": ["una"]}, "sub"),
        ({"events": None}, "events"),
        ({"events": {}}, "events"),
        ({"events": [EVENT]}, "events"),
        ({"events": {EVENT: None}}, "events"),
        ({"events": {"http://schemas.openid.net/event/other": {}}}, "events"),
        ({"nonce": "n"}, "nonce"),
        ({"nonce": ""}, "nonce"),
    ],
    ids=str,
)
def test_claims_that_are_not_taken(logouts: Logouts, changes: dict[str, Any], reason: str) -> None:
    """Each clause of the specification."""
    with pytest.raises(ValueError, match=reason):
        logouts.verify(signed(good(**changes)))


@pytest.mark.parametrize("typ", ["at+jwt", "id+jwt", "secevent+jwt"])
def test_tokens_of_another_type(logouts: Logouts, typ: str) -> None:
    """An access token is nobody's sign-out, whatever it says."""
    with pytest.raises(ValueError, match="typ"):
        logouts.verify(signed(good(), typ=typ))


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "..", "é"])
def test_what_is_no_token(logouts: Logouts, token: str) -> None:
    """Nor raises anything else."""
    with pytest.raises(ValueError, match=r"JWS|JSON|base64url|ascii"):
        logouts.verify(token)


def test_signature_of_somebody_else(logouts: Logouts) -> None:
    """Nor none at all."""
    with pytest.raises(ValueError, match="signature"):
        logouts.verify(signed(good(), ec.generate_private_key(ec.SECP256R1())))
    with pytest.raises(ValueError, match="alg"):
        logouts.verify(jwt.encode(good(), "", algorithm="none"))
    with pytest.raises(ValueError, match="alg"):
        logouts.verify(jwt.encode(good(), "x" * 32, algorithm="HS256"))


def test_token_counts_once(logouts: Logouts) -> None:
    """Also in what it would do to those who have signed in again."""
    logouts.verify(signed(good()))
    with pytest.raises(ValueError, match="jti"):
        logouts.verify(signed(good()))
    assert logouts.verify(signed(good(jti="two"))).value == "s-1"


def _identity(**claims: Any) -> Identity:
    return Identity(user="una", name="Una", claims={"iss": ISSUER, "iat": NOW - 60, **claims})


def test_tokens_of_before_are_believed_no_longer() -> None:
    """Of the sign-in, of whatever issuer it was; later ones are."""
    revocations = Revocations(lambda: NOW, lambda: 0.0, 3600.0, most=2)
    revocations.end_login(ISSUER, "sid", "s-1", NOW)
    assert revocations.covers(_identity(sid="s-1", sub="una"))
    assert not revocations.covers(_identity(sid="s-2", sub="una"))
    assert not revocations.covers(_identity(sid="s-1", iss="https://other.example.com"))
    assert not revocations.covers(_identity(sid="s-1", iat=NOW + 1))
    revocations.end_login(ISSUER, "sub", "una", NOW)
    assert revocations.covers(_identity(sid="s-2", sub="una"))
    assert [one.login for one in revocations.all()] == [(ISSUER, "sid", "s-1"), (ISSUER, "sub", "una")]
    with pytest.raises(RevocationsFullError):
        revocations.end_login(ISSUER, "sub", "bob", NOW)
