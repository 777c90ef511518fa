"""Keys, and what they may verify."""

from __future__ import annotations

import base64
import json
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from pylinkd.gateway.guard.keys import ALGORITHMS, PublicKey, read_jwks, read_pem

RSA = rsa.generate_private_key(65537, 2048)
WEAK = rsa.generate_private_key(65537, 1024)
P256 = ec.generate_private_key(ec.SECP256R1())
P384 = ec.generate_private_key(ec.SECP384R1())
P521 = ec.generate_private_key(ec.SECP521R1())
ED = ed25519.Ed25519PrivateKey.generate()

PRIVATE: dict[str, Any] = {
    **dict.fromkeys(["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"], RSA),
    "ES256": P256,
    "ES384": P384,
    "ES512": P521,
    "EdDSA": ED,
}


def pem(key: Any) -> bytes:
    """The public half."""
    raw: bytes = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return raw


def jwk(key: Any, algorithm: str, **more: Any) -> dict[str, Any]:
    """The public half, as an issuer publishes it."""
    made = jwt.algorithms.get_default_algorithms()[algorithm].to_jwk(key.public_key(), as_dict=True)
    made.pop("key_ops", None)
    return {**made, **more}


def jwks(*keys: dict[str, Any]) -> bytes:
    """A document of keys."""
    return json.dumps({"keys": keys}).encode()


def signature(algorithm: str, signed: bytes) -> bytes:
    """By the private half."""
    made: bytes = jwt.algorithms.get_default_algorithms()[algorithm].sign(signed, PRIVATE[algorithm])
    return made


@pytest.mark.parametrize("algorithm", sorted(ALGORITHMS))
def test_every_algorithm_verifies_what_its_key_signed(algorithm: str) -> None:
    """And nothing else: another text, another signature, another algorithm."""
    for keys in (
        read_pem(pem(PRIVATE[algorithm]), [algorithm]),
        read_jwks(jwks(jwk(PRIVATE[algorithm], algorithm)), [algorithm]),
    ):
        key = keys.find(None, algorithm)
        assert key is not None
        signed = signature(algorithm, b"text")
        assert key.verify(algorithm, b"text", signed)
        assert not key.verify(algorithm, b"texT", signed)
        assert not key.verify(algorithm, b"text", signed[:-1] + bytes([signed[-1] ^ 1]))
        assert not key.verify(algorithm, b"text", b"")
        for other in ALGORITHMS - {algorithm}:
            assert not key.verify(other, b"text", signed)
            assert keys.find(None, other) is None


@pytest.mark.parametrize("algorithm", ["HS256", "none", "", "ES256K"])
def test_public_key_is_no_secret(algorithm: str) -> None:
    """Algorithm confusion: a token "signed" with the text of the public key is refused, however it is announced."""
    keys = read_pem(pem(RSA), ["RS256"])
    forged = jwt.PyJWS().encode(b"{}", base64.b64encode(pem(RSA)), algorithm="HS256").rpartition(".")[2]

    assert keys.find(None, algorithm) is None
    (key,) = keys
    assert not key.verify(algorithm, b"text", forged.encode())


def test_weak_and_unknown_keys_are_not_taken() -> None:
    """Short RSA keys, and kinds that are for something else."""
    with pytest.raises(ValueError, match="2048"):
        PublicKey(WEAK.public_key(), ["RS256"])
    with pytest.raises(ValueError, match="none of the allowed"):
        PublicKey(P256.public_key(), ["RS256"])
    with pytest.raises(ValueError, match="none of the allowed"):
        read_pem(pem(ec.generate_private_key(ec.SECP256K1())), ALGORITHMS)


@pytest.mark.parametrize(
    "bad",
    [
        jwk(RSA, "RS256", use="enc"),
        jwk(RSA, "RS256", key_ops=["sign"]),
        jwk(RSA, "RS256", key_ops="verify"),
        jwk(RSA, "RS256", alg="HS256"),
        jwk(RSA, "RS256", kid=5),
        jwk(WEAK, "RS256"),
        {"kty": "oct", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA", "alg": "HS256"},
        {"kty": "RSA"},
        {"kty": "RSA", "n": 5, "e": []},
        {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"},
        {"kty": ["RSA"]},
        {},
    ],
)
def test_keys_for_something_else_are_left_out(bad: dict[str, Any]) -> None:
    """One odd entry does not cost the others; a set with nothing else is none."""
    with pytest.raises(ValueError, match="without a key"):
        read_jwks(jwks(bad), ALGORITHMS)
    keys = read_jwks(jwks(bad, jwk(P256, "ES256", kid="good")), ALGORITHMS)
    assert keys.find("good", "ES256") is not None


def test_name_decides_where_there_is_one() -> None:
    """Two keys may have the same name and different algorithms; without a name there has to be one choice."""
    keys = read_jwks(
        jwks(
            jwk(RSA, "RS256", kid="x", alg="RS256"), jwk(P256, "ES256", kid="x"), jwk(P384, "ES384", kid="y"),
            jwk(ec.generate_private_key(ec.SECP256R1()), "ES256", kid="z"),
        ),
        ALGORITHMS,
    )  # fmt: skip

    assert keys.find("x", "RS256") is not keys.find("x", "ES256")
    assert keys.find("x", "PS256") is None, "the key says what it is for"
    assert keys.find("nobody", "RS256") is None
    assert keys.find("", "RS256") is None
    assert keys.find(None, "RS256") is keys.find("x", "RS256")
    assert keys.find(None, "ES256") is None, "there are two"


def test_name_says_nothing_where_no_key_has_one() -> None:
    """As in a PEM file: an issuer names its keys in its tokens all the same."""
    for keys in (read_pem(pem(RSA), ALGORITHMS), read_jwks(jwks(jwk(RSA, "RS256"), jwk(P256, "ES256")), ALGORITHMS)):
        assert keys.find("any", "RS256") is keys.find(None, "RS256") is not None
        assert keys.find("any", "EdDSA") is None
    two = read_jwks(jwks(jwk(RSA, "RS256"), jwk(rsa.generate_private_key(65537, 2048), "RS256")), ALGORITHMS)
    assert two.find("any", "RS256") is None, "nobody knows which"
    mixed = read_jwks(jwks(jwk(RSA, "RS256"), jwk(P256, "ES256", kid="x")), ALGORITHMS)
    assert mixed.find("any", "RS256") is None, "the name may be one that is published later"


@given(st.binary(max_size=200) | st.recursive(st.none() | st.text(), lambda inner: st.lists(inner)).map(json.dumps))
def test_any_document_is_read_or_refused(document: bytes | str) -> None:
    """Garbage raises ValueError and nothing else."""
    raw = document.encode() if isinstance(document, str) else document
    for read in (read_jwks, read_pem):
        with pytest.raises(ValueError):  # noqa: PT011  whatever it says
            read(raw, ALGORITHMS)
