"""Keys of programs that publish over HTTP."""

from __future__ import annotations

import pytest

from pylinkd.cli.settings import load_settings
from pylinkd.gateway.guard.api_keys import ApiKeys, parse_api_keys
from pylinkd.gateway.settings import Settings
from pylinkd.protocol.rate import Rate
from pylinkd.settings import SettingsError

OLD = "o" * 32
NEW = "n" * 32


def test_keys_are_read_with_their_namespaces() -> None:
    """Parted by any white space; none are no keys."""
    old, new = parse_api_keys(f" shop:{OLD}\n tea:{NEW}:tea,coffee ")

    assert (old.name, old.allows("any")) == ("shop", True)
    assert (new.allows("coffee"), new.allows("any")) == (True, False)
    assert OLD not in repr(old)
    assert parse_api_keys("") == []


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (OLD, "entry 1 is no key"),
        (f"shop:{OLD} :{NEW}", "entry 2 is no key"),
        (f"sh/op:{OLD}", "entry 1 is no key"),
        (f"shop:{OLD[1:]}", "32 bytes"),
        (f"shop:{OLD}:", "empty namespace"),
        (f"shop:{OLD}:tea,", "empty namespace"),
        (f"shop:{OLD} tea:{OLD}", "same secret"),
    ],
)
def test_malformed_key_stops_the_start(monkeypatch: pytest.MonkeyPatch, text: str, fault: str) -> None:
    """The text says which and what to write; the secret is not in it."""
    monkeypatch.setenv("LINKD_API_KEYS", text)

    with pytest.raises(SettingsError, match=fault) as caught:
        load_settings(Settings)
    assert "LINKD_API_KEYS" in str(caught.value)
    assert OLD[1:] not in str(caught.value)


def test_rate_is_shared_by_the_keys_of_a_name() -> None:
    """While a secret is rotated nobody has twice as much."""
    parsed = parse_api_keys(f"shop:{OLD} shop:{NEW} tea:{'t' * 32}")
    old, new, tea = parsed
    keys = ApiKeys(parsed, Rate(10, 1.0))

    assert (keys.find(f"Bearer {OLD}"), keys.find(f"bearer  {NEW}")) == (old, new)
    assert keys.find(f"Basic {OLD}") is None
    assert keys.take(old, 500, now=100.0) == 0.0
    assert keys.take(new, 1, now=100.0) == pytest.approx(0.1, abs=0.01)
    assert keys.take(tea, 1, now=100.0) == 0.0
