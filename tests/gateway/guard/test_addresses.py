"""Where clients come from, and who may."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pylinkd.gateway.guard.addresses import Addresses, BansFullError, Proxies, parse_address, parse_networks, site

from ..doubles import Clock

PROXIES = Proxies(parse_networks("10.0.0.0/8, 2001:db8:1::/48"))


# behind proxies


@pytest.mark.parametrize(
    ("peer", "forwarded", "x_forwarded_for", "client"),
    [
        ("10.0.0.1", None, "203.0.113.7", "203.0.113.7"),
        ("10.0.0.1", None, "203.0.113.7, 10.0.0.2", "203.0.113.7"),
        ("10.0.0.1", "for=203.0.113.7", None, "203.0.113.7"),
        ("10.0.0.1", 'for="[2001:db8:2::7]:4711";proto=https', None, "2001:db8:2::7"),
        ("10.0.0.1", "proto=https;For=203.0.113.7, for=10.1.1.1", "198.51.100.1", "203.0.113.7"),
        ("10.0.0.1", None, "203.0.113.7:4711", "203.0.113.7"),
        ("2001:db8:1::1", None, "203.0.113.7", "203.0.113.7"),
        ("::ffff:10.0.0.1", None, "203.0.113.7", "203.0.113.7"),
        ("10.0.0.1", None, None, "10.0.0.1"),
        ("10.0.0.1", None, "", "10.0.0.1"),
    ],
)
def test_client_behind_a_trusted_proxy_is_found(
    peer: str, forwarded: str | None, x_forwarded_for: str | None, client: str
) -> None:
    """Read from the right, through as many trusted proxies as there are; with ports, brackets and either header."""
    assert PROXIES.client(peer, forwarded, x_forwarded_for) == client


@pytest.mark.parametrize(
    ("peer", "forwarded", "x_forwarded_for", "client"),
    [
        ("203.0.113.9", None, "198.51.100.1", "203.0.113.9"),
        ("203.0.113.9", "for=198.51.100.1", None, "203.0.113.9"),
        ("10.0.0.1", None, "198.51.100.1, 203.0.113.9", "203.0.113.9"),
        ("10.0.0.1", None, "127.0.0.1, 203.0.113.9, 10.0.0.3", "203.0.113.9"),
        ("10.0.0.1", "for=198.51.100.1, for=203.0.113.9", None, "203.0.113.9"),
        ("10.0.0.1", "for=unknown", None, "10.0.0.1"),
        ("10.0.0.1", "for=_hidden, for=10.0.0.4", None, "10.0.0.4"),
        ("10.0.0.1", None, "nonsense, 10.0.0.5", "10.0.0.5"),
    ],
)
def test_what_a_client_says_of_itself_is_not_believed(
    peer: str, forwarded: str | None, x_forwarded_for: str | None, client: str
) -> None:
    """A forged header is of no use: whoever is no trusted proxy is the client."""
    assert PROXIES.client(peer, forwarded, x_forwarded_for) == client


def test_without_proxies_no_header_counts() -> None:
    """The default."""
    assert Proxies().client("10.0.0.1", "for=203.0.113.7", "203.0.113.7") == "10.0.0.1"


@given(st.text(max_size=200), st.text(max_size=200))
def test_any_header_is_read(forwarded: str, x_forwarded_for: str) -> None:
    """Nonsense is an address, or leaves the proxy's."""
    for client in (PROXIES.client("10.0.0.1", forwarded, None), PROXIES.client("10.0.0.1", None, x_forwarded_for)):
        assert parse_address(client) is not None


def test_ipv6_counts_by_site() -> None:
    """One customer has 2^64 addresses; IPv4 in IPv6 is IPv4."""
    assert site("2001:db8::1") == site("2001:db8::ffff:1") == "2001:db8::/64"
    assert site("2001:db8:0:1::1") != site("2001:db8::1")
    assert site("::ffff:203.0.113.7") == site("203.0.113.7") == "203.0.113.7"
    assert site("") == ""


# lists and bans


def test_lists_decide_who_may_connect() -> None:
    """What is denied may not, even if it is allowed, too; an allow list shuts out all others."""
    clock = Clock()
    addresses = Addresses(allowed=parse_networks("203.0.113.0/24"), denied=parse_networks("203.0.113.66"), clock=clock)

    assert addresses.admits("203.0.113.7")
    assert not addresses.admits("203.0.113.66")
    assert not addresses.admits("198.51.100.1")
    assert not addresses.admits("")


def test_ban_holds_for_its_time() -> None:
    """Of an address, a network, or an IPv6 site; and lifting it ends it."""
    clock = Clock()
    addresses = Addresses(clock=clock)
    addresses.ban("203.0.113.7", 60.0, "flood")
    addresses.ban("198.51.100.0/24", None, "spam")
    addresses.ban(site("2001:db8::1"), 60.0, "flood")

    assert not addresses.admits("203.0.113.7")
    assert not addresses.admits("::ffff:203.0.113.7")
    assert addresses.admits("203.0.113.8")
    assert not addresses.admits("198.51.100.250")
    assert not addresses.admits("2001:db8::2")
    assert len(addresses.bans()) == 3
    clock.now += 61
    assert addresses.admits("203.0.113.7")
    assert addresses.admits("2001:db8::2")
    assert not addresses.admits("198.51.100.250")
    assert [ban.network for ban in addresses.bans()] == ["198.51.100.0/24"]
    assert addresses.lift("198.51.100.0/24")
    assert addresses.admits("198.51.100.250")
    assert not addresses.lift("198.51.100.0/24")


def test_bans_are_bounded() -> None:
    """Those that ended make room; what is too much is refused, and told."""
    clock = Clock()
    addresses = Addresses(clock=clock, most=2)
    addresses.ban("203.0.113.1", 10.0, "")
    addresses.ban("203.0.113.2", 100.0, "")

    with pytest.raises(BansFullError):
        addresses.ban("203.0.113.3", 10.0, "")
    addresses.ban("203.0.113.2", 200.0, "renewed")
    clock.now += 11
    addresses.ban("203.0.113.3", 10.0, "")
    assert {ban.network for ban in addresses.bans()} == {"203.0.113.2/32", "203.0.113.3/32"}


@pytest.mark.parametrize("text", ["nonsense", "10.0.0.0/33", "10.0.0.1/8", "::/129", "10.0.0"])
def test_what_is_no_network_is_refused(text: str) -> None:
    """A mistyped list would guard nobody."""
    with pytest.raises(ValueError, match="no address and no network"):
        parse_networks(text)
