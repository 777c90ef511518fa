"""Tokens that services issue: what is in them, and that the gateway believes them."""

from __future__ import annotations

import time
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from pylinkd.gateway.guard.issuers import Issuer
from pylinkd.gateway.guard.tokens import Tokens
from pylinkd.protocol.errors import SetupError
from pylinkd.tokens import issue

SECRET = "s" * 32


def test_gateway_with_the_same_secret_believes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """User, name, roles, end, and an id by which it can be revoked."""
    monkeypatch.setenv("LINKD_JWT_SECRET", SECRET)
    identity = Tokens(SECRET).verify(issue("u-1", name="Una", roles=["admin"], lifetime=60, claims={"team": 7}))
    assert (identity.user, identity.name, identity.roles) == ("u-1", "Una", frozenset({"admin"}))
    assert identity.expires_at == pytest.approx(time.time() + 60, abs=5)
    assert identity.claims["team"] == 7
    assert issue("u-1") != issue("u-1"), "each has an id of its own"


def test_gateway_with_issuers_believes_a_private_key(tmp_path: Path) -> None:
    """Whose public key is in its list."""
    key = ec.generate_private_key(ec.SECP256R1())
    public = tmp_path / "key.pem"
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    public.write_bytes(key.public_key().public_bytes(serialization.Encoding.PEM, form))
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    tokens = Tokens("", [Issuer(issuer="chat", audience="linkd", public_key=public)])
    token = issue("u-1", key=pem, algorithm="ES256", key_id="k-1", issuer="chat", audience="linkd")
    assert tokens.verify(token).user == "u-1"
    assert jwt.get_unverified_header(token)["kid"] == "k-1"


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"user": ""}, ValueError, "user"),
        ({"lifetime": 0}, ValueError, "lifetime"),
        ({"claims": {"exp": 1}}, ValueError, "exp"),
        ({"key": None}, SetupError, "LINKD_JWT_SECRET"),
        ({"key": "no key", "algorithm": "ES256"}, SetupError, "ES256"),
        ({"algorithm": "HS9"}, SetupError, "HS9"),
    ],
    ids=str,
)
def test_what_cannot_be_issued(
    monkeypatch: pytest.MonkeyPatch, options: dict[str, object], error: type[Exception], text: str
) -> None:
    """One sentence that says what to change."""
    monkeypatch.delenv("LINKD_JWT_SECRET", raising=False)
    with pytest.raises(error, match=text):
        issue(**{"user": "u-1", "key": SECRET, **options})  # type: ignore[arg-type]
