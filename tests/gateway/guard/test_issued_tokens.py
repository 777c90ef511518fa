"""Tokens of issuers: what is believed of them, and what is remembered."""

from __future__ import annotations

import base64
import json
import time
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from pylinkd.gateway.guard.issuers import Issuer
from pylinkd.gateway.guard.tokens import KeyMissingError, Tokens
from pylinkd.protocol.errors import UnauthorizedError

from ..doubles import Clock

KEY = ec.generate_private_key(ec.SECP256R1())
PEM = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
SECRET = "a secret of thirty-two bytes, or more"


@pytest.fixture
def tokens(tmp_path: Path) -> Tokens:
    """Of one issuer whose key is in a file."""
    (tmp_path / "key.pem").write_bytes(PEM)
    issuer = Issuer(issuer="https://id", audience="linkd", public_key=tmp_path / "key.pem", algorithms=["ES256"])
    return Tokens(SECRET, [issuer])


def token(key: Any = KEY, algorithm: str = "ES256", headers: dict[str, Any] | None = None, **changed: Any) -> str:
    """A good token, but for what is changed."""
    claims = {"iss": "https://id", "aud": "linkd", "sub": "una", "exp": int(time.time()) + 60, **changed}
    return jwt.PyJWS().encode(json.dumps(claims).encode(), key, algorithm=algorithm, headers=headers)


def part(value: object) -> str:
    """One part of a token."""
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def test_token_of_the_issuer_is_believed(tokens: Tokens) -> None:
    """The second time it is remembered, and means the same."""
    one = token()

    assert tokens.verify(one).user == "una"
    assert tokens.verify(one) is tokens.verify(one)


@pytest.mark.parametrize(
    "forged",
    [
        token(ec.generate_private_key(ec.SECP256R1())),
        token(ec.generate_private_key(ec.SECP384R1()), "ES384"),
        token(SECRET, "HS256"),
        token(base64.b64encode(PEM).decode(), "HS256"),
        token(iss="https://other"),
        token(iss=["https://id"]),
        token(iss=None),
        token(headers={"crit": ["x"]}),
        f"{part({'alg': 'none'})}.{token().split('.')[1]}.",
        f"{part({'alg': 'HS256'})}.{'.'.join(token().split('.')[1:])}",
        f"{part({'alg': 'ES256', 'kid': 'k' * 1000})}.{'.'.join(token().split('.')[1:])}",
        token().replace(".", "..", 1),
        token() + "=",
        token() + "\n",
        "",
    ],
)
def test_other_tokens_are_not(tokens: Tokens, forged: str) -> None:
    """Other keys, other algorithms, the published key as a secret, other issuers, odd headers, another spelling."""
    with pytest.raises(UnauthorizedError):
        tokens.verify(forged)


@pytest.mark.parametrize("kid", ["../../etc/passwd", "' OR 1=1 --", "https://evil/keys", "\0", "", "é" * 20])
@pytest.mark.parametrize("more", [{}, {"jku": "https://evil/keys", "x5u": "https://evil", "jwk": {"kty": "oct"}}])
def test_name_of_a_key_is_a_name_and_nothing_else(tokens: Tokens, kid: str, more: dict[str, Any]) -> None:
    """No file, no query, no address: where keys have names it is looked up among these, and elsewhere it says
    nothing. Keys that a token brings are not read.
    """
    stranger = ec.generate_private_key(ec.SECP256R1())
    assert tokens.verify(token(headers={"kid": kid, **more})).user == "una"
    assert tokens.verify(token(headers=more)).user == "una"
    for headers in (more, {"kid": kid, **more}):
        with pytest.raises(UnauthorizedError):
            tokens.verify(token(stranger, headers=headers))


@pytest.mark.parametrize(("size", "limit", "fits"), [(9000, 8192, False), (9000, 16_384, True), (500, 400, False)])
def test_token_has_a_largest_size(tmp_path: Path, size: int, limit: int, fits: bool) -> None:
    """The operator's, since some issuers list every group of a user."""
    (tmp_path / "key.pem").write_bytes(PEM)
    issuer = Issuer(issuer="https://id", audience="linkd", public_key=tmp_path / "key.pem", algorithms=["ES256"])
    tokens = Tokens(SECRET, [issuer], max_size=limit)
    one = token(groups="x" * (size * 3 // 4))

    if fits:
        assert tokens.verify(one).user == "una"
    else:
        with pytest.raises(UnauthorizedError):
            tokens.verify(one)


def test_nothing_is_fetched_on_a_tokens_word() -> None:
    """Not for an issuer that the operator did not list, nor for an algorithm that is not allowed."""
    tokens = Tokens(SECRET, [Issuer(issuer="https://id", audience="linkd", discovery=True, algorithms=["ES256"])])

    with pytest.raises(KeyMissingError):
        tokens.verify(token(headers={"kid": "unknown"}))
    for forged in (token(iss="https://evil", headers={"kid": "x"}), token(SECRET, "HS256", headers={"kid": "x"})):
        with pytest.raises(UnauthorizedError):
            tokens.verify(forged)
    with pytest.raises(UnauthorizedError):
        tokens.verify(token(headers={"kid": "unknown"}), sought=True)


def test_remembered_token_ends_with_its_time(tmp_path: Path) -> None:
    """And not when somebody forgets it."""
    (tmp_path / "key.pem").write_bytes(PEM)
    issuer = Issuer(issuer="https://id", audience="linkd", public_key=tmp_path / "key.pem", algorithms=["ES256"])
    clock = Clock(time.time())
    tokens = Tokens(SECRET, [issuer], clock)
    one = token()
    tokens.verify(one)

    clock.now += 64
    assert tokens.verify(one).user == "una"
    clock.now += 2
    for _ in range(2):
        with pytest.raises(UnauthorizedError):
            tokens.verify(one)


def test_remembered_tokens_have_a_bound(tokens: Tokens, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest is forgotten, and verified anew."""
    monkeypatch.setattr("pylinkd.gateway.guard.tokens._MAX_VERIFIED", 10)

    for number in range(30):
        tokens.verify(token(sub=f"u-{number}"))
        assert len(tokens._verified) <= 10
    assert tokens.verify(token(sub="u-0")).user == "u-0"
