"""What a token of an issuer has to say, and the file that lists issuers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pylinkd.gateway.guard.issuers import Issuer, read_issuers

NOW = 1_000_000.0


def issuer(**options: Any) -> Issuer:
    """An issuer."""
    return Issuer(**{"issuer": "https://id", "audience": "linkd", "discovery": True, **options})


def claims(**changed: Any) -> dict[str, Any]:
    """Claims that fit; ``...`` leaves one out."""
    every = {"iss": "https://id", "aud": "linkd", "sub": "u-1", "exp": NOW + 60, **changed}
    return {name: value for name, value in every.items() if value is not ...}


def test_keycloaks_places_are_the_default() -> None:
    """Realm roles and the client's own."""
    identity = issuer().identify(
        None,
        claims(
            preferred_username="una",
            realm_access={"roles": ["user"]},
            resource_access={"linkd": {"roles": ["admin"]}, "other": {"roles": ["root"]}},
        ),
        NOW,
    )

    assert (identity.user, identity.name, set(identity.roles)) == ("u-1", "una", {"user", "admin"})
    assert identity.expires_at == NOW + 60


def test_places_can_be_told() -> None:
    """With levels, and with claims whose names have dots of their own."""
    one = issuer(
        user_claim="person.id", user_prefix="a:", name_claims=["https://id.example/nick"], roles_claims=["x.y"]
    )

    identity = one.identify(None, claims(person={"id": "7"}, **{"https://id.example/nick": "U"}, x={"y": ["r"]}), NOW)

    assert (identity.user, identity.name, set(identity.roles)) == ("a:7", "U", {"r"})


@pytest.mark.parametrize(
    "changed",
    [
        {"iss": ...}, {"iss": "https://id/"}, {"iss": "https://evil"}, {"iss": ["https://id"]}, {"aud": ...},
        {"aud": "other"}, {"aud": ["other"]}, {"aud": [["linkd"]]}, {"aud": []}, {"aud": {"linkd": 1}}, {"sub": ...},
        {"sub": ""}, {"sub": 7}, {"exp": ...}, {"exp": NOW - 6}, {"exp": "later"}, {"nbf": NOW + 6}, {"iat": NOW + 6},
        {"realm_access": {"roles": "admin"}}, {"roles": [5]}, {"email": ...}, {"email": None}, {"azp": "other"},
    ],
    ids=repr,
)  # fmt: skip
def test_tokens_that_do_not_fit_are_refused(changed: dict[str, Any]) -> None:
    """Signed as they are."""
    one = issuer(required_claims=["email"], required_values={"azp": "app"})
    good = {"email": "u@example.com", "azp": "app"}
    assert one.identify(None, claims(**good), NOW).user == "u-1"

    with pytest.raises(ValueError):  # noqa: PT011  the caller is not told which part failed
        one.identify(None, claims(**{**good, **changed}), NOW)


def test_audience_may_be_one_of_several() -> None:
    """On both sides."""
    one = issuer(audience=["linkd", "chat.app"])

    identity = one.identify(
        None, claims(aud=["x", "chat.app"], resource_access={"chat.app": {"roles": ["poster"]}}), NOW
    )

    assert identity.roles == {"poster"}


def test_type_of_the_token_may_be_asked_for() -> None:
    """An identity token is no access token."""
    one = issuer(types=["at+jwt"])

    assert one.identify("at+jwt", claims(), NOW).user == "u-1"
    for type in (None, "JWT"):
        with pytest.raises(ValueError, match="typ"):
            one.identify(type, claims(), NOW)


@pytest.mark.parametrize("listed", ["at+jwt", "application/at+jwt", "AT+JWT"])
@pytest.mark.parametrize("claimed", ["at+jwt", "application/at+jwt", "At+Jwt", "APPLICATION/at+jwt"])
def test_media_type_may_be_written_in_full(listed: str, claimed: str) -> None:
    """RFC 7515 §4.1.9; and in any case of letters."""
    assert issuer(types=[listed]).identify(claimed, claims(), NOW).user == "u-1"
    for other in ("text/at+jwt", "jwt", "application/jwt", "application/application/at+jwt", "at+jwt;v=1", ""):
        with pytest.raises(ValueError, match="typ"):
            issuer(types=[listed]).identify(other, claims(), NOW)


GOOD = '[[issuer]]\nissuer = "https://id"\naudience = "linkd"\ndiscovery = true\n'


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("", "issuer"),
        ("[[issuer]]", "missing required field"),
        ("not toml", "issuers.toml"),
        (GOOD.replace("discovery = true", ""), "where the keys are"),
        (GOOD + 'jwks_url = "https://id/keys"\n', "where the keys are"),
        (GOOD.replace("https", "http"), "https://"),
        (GOOD.replace("discovery = true", 'jwks_url = "file:///etc/passwd"'), "https://"),
        (GOOD.replace("discovery = true", 'public_key = "/nowhere.pem"'), "cannot be read"),
        (GOOD + 'ca_file = "/nowhere.pem"\n', "ca_file: /nowhere.pem"),
        (GOOD + f'ca_file = "{__file__}"\n', "PEM file of certificates"),
        (GOOD + 'algorithms = ["HS256"]\n', "HS256"),
        (GOOD + 'algorithms = ["none"]\n', "none"),
        (GOOD + "algorithms = []\n", "algorithms"),
        (GOOD + 'audiance = "x"\n', "audiance"),
        (GOOD.replace('"linkd"', '""'), "audience"),
        (GOOD.replace('audience = "linkd"', "audience = []"), "audience"),
        (GOOD + GOOD, "twice"),
        (GOOD + GOOD.replace("https://id", "https://other"), "user_prefix"),
        (
            GOOD + 'user_prefix = "a"\n' + GOOD.replace("https://id", "https://b") + 'user_prefix = "ab"\n',
            "user_prefix",
        ),
    ],
)
def test_mistakes_in_the_file_are_told(tmp_path: Path, text: str, hint: str) -> None:
    """So that the start stops with what to change."""
    file = tmp_path / "issuers.toml"
    file.write_text(text)

    with pytest.raises(ValueError, match=hint):
        read_issuers(file)


def test_file_lists_issuers(tmp_path: Path) -> None:
    """Each with everything of its own."""
    file = tmp_path / "issuers.toml"
    file.write_text(
        GOOD + 'user_prefix = "a:"\n' + GOOD.replace("https://id", "https://b") + 'user_prefix = "b:"\nleeway_ms = 0\n'
    )

    first, second = read_issuers(file)

    assert (first.issuer, first.leeway, first.algorithms) == ("https://id", 5.0, ["RS256", "ES256"])
    assert (second.issuer, second.leeway) == ("https://b", 0.0)
    with pytest.raises(ValueError, match=r"issuers\.toml"):
        read_issuers(tmp_path / "other" / "issuers.toml")
