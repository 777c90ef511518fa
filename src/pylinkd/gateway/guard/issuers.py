"""Who may vouch for users, as the operator lists them, and what a token of each has to say."""

from __future__ import annotations

import ipaddress
import ssl
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import msgspec

from ...protocol.identity import Identity
from .keys import ALGORITHMS, read_pem

LEEWAY = 5.0
"""Seconds by which the clocks of an issuer and the gateway may differ by default."""

_NO_ROLES: frozenset[str] = frozenset()


class Issuer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One issuer. Exactly one of ``discovery``, ``jwks_url`` and ``public_key`` says where its keys are.

    Attributes:
        issuer: Its tokens' ``iss``, to the letter.
        audience: What their ``aud`` has to name; of several, one.
        discovery: Its keys are found by its own description, under ``/.well-known/openid-configuration``.
        jwks_url: Address of its keys.
        public_key: PEM file of its only key, or of the certificate.
        ca_file: PEM file of whom to believe about the certificate of where its keys are fetched, in place of whom the
            system believes.
        algorithms: What its tokens may be signed with. A token's header never widens it.
        leeway_ms: By how much its clock may differ, in milliseconds.
        types: Media types that a token's header may claim, such as ``at+jwt``, with or without ``application/`` (RFC
            7515 §4.1.9); empty: any, or none.
        required_claims: Claims that have to be there.
        required_values: Claims that have to have this value.
        user_claim: Where the user's id is.
        user_prefix: Put before the id: two issuers may each have a user "1".
        name_claims: Where the user's name is; the first that is there counts.
        roles_claims: Where the user's roles are, all together; with a dot for each level. By default, where
            Keycloak puts them: ``roles``, ``realm_access.roles``, and ``resource_access.<audience>.roles``.
        logout_clients: Clients, by the ids that they have at the issuer, of whose users' sign-outs it may tell
            (``POST /linkd/logout``); empty: of none.
    """

    issuer: Annotated[str, msgspec.Meta(min_length=1)]
    audience: Annotated[str, msgspec.Meta(min_length=1)] | Annotated[list[str], msgspec.Meta(min_length=1)]
    discovery: bool = False
    jwks_url: str | None = None
    public_key: Path | None = None
    ca_file: Path | None = None
    algorithms: Annotated[list[str], msgspec.Meta(min_length=1)] = msgspec.field(
        default_factory=lambda: ["RS256", "ES256"]
    )
    leeway_ms: Annotated[int, msgspec.Meta(ge=0, le=300_000)] = round(LEEWAY * 1000)
    types: list[str] = []
    required_claims: list[str] = []
    required_values: dict[str, Any] = {}
    user_claim: str = "sub"
    user_prefix: str = ""
    name_claims: list[str] = msgspec.field(default_factory=lambda: ["name", "preferred_username"])
    roles_claims: list[str] | None = None
    logout_clients: list[str] = []

    def __post_init__(self) -> None:
        unknown = set(self.algorithms) - ALGORITHMS
        if unknown:
            raise ValueError(f"algorithms are of {', '.join(sorted(ALGORITHMS))}, not {', '.join(sorted(unknown))}")
        if self.discovery + (self.jwks_url is not None) + (self.public_key is not None) != 1:
            raise ValueError("one of discovery = true, jwks_url and public_key says where the keys are")
        if self.discovery:
            check_url(self.issuer)
        if self.jwks_url is not None:
            check_url(self.jwks_url)
        if self.ca_file is not None:
            check_authorities(self.ca_file)
            if self.public_key is not None:
                raise ValueError("ca_file is for keys that are fetched: leave it out where public_key is set")
        if self.public_key is not None:
            try:
                read_pem(self.public_key.read_bytes(), self.algorithms)
            except OSError as cause:
                raise ValueError(f"public_key: {self.public_key} cannot be read") from cause

    @property
    def audiences(self) -> list[str]:
        """``audience``, as a list."""
        return [self.audience] if isinstance(self.audience, str) else self.audience

    @property
    def leeway(self) -> float:
        """``leeway_ms`` in seconds."""
        return self.leeway_ms / 1000

    def identify(self, type: str | None, claims: dict[str, Any], now: float) -> Identity:
        """Whom a token speaks of, whose signature was verified.

        Args:
            type: The media type that its header claims.
            claims: Its claims.
            now: Unix time in seconds.

        Raises:
            ValueError: If something is missing, or not for us, or the token has not begun or has ended.
        """
        if self.types and (type is None or media_type(type) not in map(media_type, self.types)):
            raise ValueError("typ")
        if claims.get("iss") != self.issuer:
            raise ValueError("iss")
        named = claims.get("aud")
        if not any(one in self.audiences for one in (named if isinstance(named, list) else [named])):
            raise ValueError("aud")
        for name in self.required_claims:
            if _at(claims, name) is None:
                raise ValueError(name)
        for name, value in self.required_values.items():
            if _at(claims, name) != value:
                raise ValueError(name)
        expires_at = check_times(claims, now, self.leeway)
        user = _at(claims, self.user_claim)
        names = (_at(claims, place) for place in self.name_claims)
        places = self.roles_claims
        if places is None:
            places = ["roles", "realm_access.roles", *(f"resource_access\0{one}\0roles" for one in self.audiences)]
        roles = [role for place in places for role in _roles(_at(claims, place))]
        return make_identity(claims, user, names, roles, expires_at, prefix=self.user_prefix)


def media_type(name: str) -> str:
    """A media type as names are compared: in any case of letters, and ``application/`` may be left out (RFC 7515
    §4.1.9).
    """
    name = name.lower()
    return name if "/" in name else f"application/{name}"


def make_identity(
    claims: dict[str, Any],
    user: object,
    names: Iterator[object],
    roles: list[str],
    expires_at: float,
    *,
    prefix: str = "",
) -> Identity:
    """Who somebody is, out of what was found in a token's claims.

    Raises:
        ValueError: If the user is none.
    """
    if not isinstance(user, str) or not user:
        raise ValueError("user")
    user = prefix + user
    name = next((name for name in names if isinstance(name, str) and name), user)
    return Identity(
        user=user,
        name=name,
        roles=frozenset(roles) if roles else _NO_ROLES,
        claims=claims,
        expires_at=expires_at,
    )


def check_times(claims: dict[str, Any], now: float, leeway: float) -> float:
    """When a token ends (RFC 7519 §4.1.4), as Unix time in seconds; it must have begun.

    Raises:
        ValueError: If it has not, or has ended, or does not say.
    """
    expires_at = _number(claims.get("exp"))
    if expires_at <= now - leeway:
        raise ValueError("exp")
    for begin in ("nbf", "iat"):
        if begin in claims and _number(claims[begin]) > now + leeway:
            raise ValueError(begin)
    return expires_at


def _number(value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise ValueError("not a time")
    try:
        return float(value)
    except OverflowError as cause:
        raise ValueError("not a time") from cause


def _at(claims: dict[str, Any], place: str) -> Any:
    """What stands at a place; dots part the levels, unless NULs do: an audience may have dots of its own."""
    value: Any = claims
    for name in place.split("\0" if "\0" in place else "."):
        if not isinstance(value, dict) or name not in value:
            # A claim's name may have dots, too: some issuers call theirs by a URL.
            return claims.get(place)
        value = value[name]
    return value


def _roles(found: object) -> list[str]:
    if found is None:
        return []
    if not isinstance(found, list) or not all(isinstance(role, str) for role in found):
        raise ValueError("roles")
    return found


class _File(msgspec.Struct, forbid_unknown_fields=True):
    issuer: Annotated[list[Issuer], msgspec.Meta(min_length=1)]


def _convert(type: type, value: object) -> object:
    if type is not Path or not isinstance(value, str):
        raise TypeError(f"expected {type.__name__}")
    return Path(value)


def read_issuers(file: Path) -> list[Issuer]:
    """The issuers in a TOML file: tables ``[[issuer]]`` with what ``Issuer`` has.

    Raises:
        ValueError: If it cannot be read, or is wrong; the text says what to change.
    """
    try:
        listed = msgspec.convert(tomllib.loads(file.read_text()), _File, dec_hook=_convert).issuer
    except OSError as cause:
        raise ValueError(f"{file} cannot be read ({cause.strerror})") from cause
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError) as cause:
        raise ValueError(f"{file}: {cause}") from cause
    if len({one.issuer for one in listed}) < len(listed):
        raise ValueError(f"{file}: an issuer stands there twice")
    for one in listed:
        if any(other is not one and other.user_prefix.startswith(one.user_prefix) for other in listed):
            raise ValueError(
                f"{file}: give each issuer a user_prefix that differs, and begins no other's, or {one.issuer} could "
                "speak for the users of another"
            )
    return listed


def check_url(url: str) -> None:
    """Refuse an address that keys cannot be trusted from.

    Raises:
        ValueError: If it is not HTTPS, nor on this machine.
    """
    parts = urlsplit(url)
    if parts.scheme == "https" and parts.hostname:
        return
    if parts.scheme == "http" and parts.hostname and _is_loopback(parts.hostname):
        return
    raise ValueError(f"{url} is no https:// address")


def check_authorities(file: Path) -> ssl.SSLContext:
    """What a client needs that believes the certificate authorities in a PEM file, and no others.

    Raises:
        ValueError: If there are none in it.
    """
    try:
        return ssl.create_default_context(cafile=file)
    except OSError as cause:  # the parent of ssl.SSLError
        raise ValueError(f"ca_file: {file} cannot be read as a PEM file of certificates") from cause


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
