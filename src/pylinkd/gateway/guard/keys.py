"""Keys that tokens are verified with: a secret, a PEM file, or what an issuer publishes (RFC 7517)."""

from __future__ import annotations

import hmac
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from typing import Any, Protocol

import jwt
import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from cryptography.x509 import load_pem_x509_certificate
from jwt.algorithms import get_default_algorithms

_RSA = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
_CURVES = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}

ALGORITHMS = frozenset({*_RSA, *_CURVES.values(), "EdDSA"})
"""What an issuer's tokens may be signed with. A secret is for development alone, and never an issuer's."""

_MIN_RSA_BITS = 2048
_MAX_KEYS = 100
_PUBLIC_MEMBERS = frozenset({"kty", "n", "e", "crv", "x", "y"})  # of a key that is published with more, take no more


class Key(Protocol):
    """Verifies signatures."""

    def verify(self, algorithm: str, signed: bytes, signature: bytes) -> bool:
        """Whether the signature is of these bytes, by this key and by an algorithm that it is for."""


class Secret:
    """An HS256 secret."""

    def __init__(self, secret: str) -> None:
        self._keyed = hmac.new(secret.encode(), digestmod=sha256)

    def verify(self, algorithm: str, signed: bytes, signature: bytes) -> bool:
        """See Key."""
        keyed = self._keyed.copy()  # what depends on the key alone is computed once
        keyed.update(signed)
        return algorithm == "HS256" and hmac.compare_digest(keyed.digest(), signature)


class PublicKey:
    """A public key, for the algorithms of its kind and no others: what a token's header says never widens them.

    Raises:
        ValueError: If it is of no kind that is taken, or too weak.
    """

    def __init__(self, key: object, allowed: Iterable[str]) -> None:
        self._key: Any = key
        fitting = frozenset(_algorithms_of(key)) & frozenset(allowed)
        self._algorithms = {name: get_default_algorithms()[name] for name in fitting}
        if not fitting:
            raise ValueError("the key is for none of the allowed algorithms")

    @property
    def algorithms(self) -> frozenset[str]:
        """What it may verify."""
        return frozenset(self._algorithms)

    def verify(self, algorithm: str, signed: bytes, signature: bytes) -> bool:
        """See Key."""
        verifier = self._algorithms.get(algorithm)
        return verifier is not None and bool(verifier.verify(signed, self._key, signature))


def _algorithms_of(key: object) -> Sequence[str]:
    if isinstance(key, RSAPublicKey):
        if key.key_size < _MIN_RSA_BITS:
            raise ValueError(f"an RSA key has {_MIN_RSA_BITS} bits or more")
        return _RSA
    if isinstance(key, EllipticCurvePublicKey):
        return [name for curve, name in _CURVES.items() if curve == key.curve.name]
    return ["EdDSA"] if isinstance(key, Ed25519PublicKey) else []


class KeySet:
    """Keys by the names that tokens call them.

    Args:
        keys: Names and keys; the name is ``None`` where a key has none.
    """

    def __init__(self, keys: Iterable[tuple[str | None, PublicKey]] = ()) -> None:
        self._by_name: dict[str | None, list[PublicKey]] = defaultdict(list)
        for name, key in keys:
            self._by_name[name].append(key)
        self._nameless = set(self._by_name) == {None}

    def find(self, kid: str | None, algorithm: str) -> PublicKey | None:
        """The key that a token names, if it is for the algorithm; where a token names none, the only one that is.

        Where no key has a name, as in a PEM file, what a token calls its key says nothing about which one it is.
        """
        if kid is not None and not self._nameless:
            return next((key for key in self._by_name.get(kid, ()) if algorithm in key.algorithms), None)
        fitting = [key for key in self if algorithm in key.algorithms]
        return fitting[0] if len(fitting) == 1 else None

    @property
    def names(self) -> frozenset[str | None]:
        """What the keys are called."""
        return frozenset(self._by_name)

    def __iter__(self) -> Iterator[PublicKey]:
        return (key for keys in self._by_name.values() for key in keys)

    def __bool__(self) -> bool:
        return bool(self._by_name)


def read_pem(pem: bytes, allowed: Iterable[str]) -> KeySet:
    """The public key, or the certificate's, in a PEM file.

    Raises:
        ValueError: If there is none in it, or none that is taken.
    """
    key: object
    try:
        certificate = b"BEGIN CERTIFICATE" in pem
        key = load_pem_x509_certificate(pem).public_key() if certificate else load_pem_public_key(pem)
    except UnsupportedAlgorithm as cause:
        raise ValueError("a key of an unknown kind") from cause
    return KeySet([(None, PublicKey(key, allowed))])


def read_jwks(document: bytes, allowed: Iterable[str]) -> KeySet:
    """The keys that an issuer publishes; those that are for something else are left out.

    Raises:
        ValueError: If it is no document of keys, or none of them is taken.
    """
    try:
        published = msgspec.json.decode(document, type=_Published).keys
    except (msgspec.DecodeError, RecursionError) as cause:
        raise ValueError("not a JWK set") from cause
    allowed = frozenset(allowed)
    taken = [found for entry in published[:_MAX_KEYS] if (found := _read_jwk(entry, allowed)) is not None]
    if not taken:
        raise ValueError("a JWK set without a key that is taken")
    return KeySet(taken)


class _Published(msgspec.Struct):
    keys: list[dict[str, Any]]


def _read_jwk(entry: Mapping[str, Any], allowed: frozenset[str]) -> tuple[str | None, PublicKey] | None:
    kid, algorithm = entry.get("kid"), entry.get("alg")
    operations = entry.get("key_ops", ["verify"])
    if entry.get("use", "sig") != "sig" or not isinstance(operations, list) or "verify" not in operations:
        return None
    if not isinstance(kid, str | None) or entry.get("kty") not in ("RSA", "EC", "OKP"):
        return None
    public = {name: value for name, value in entry.items() if name in _PUBLIC_MEMBERS}
    try:
        key = jwt.PyJWK(public).key
        return kid, PublicKey(key, allowed if algorithm is None else allowed & {algorithm})
    except (jwt.PyJWTError, ValueError, TypeError):
        return None
