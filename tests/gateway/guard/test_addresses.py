"""Where clients come from, and who may."""

from __future__ import annotations

import pytest

from pylinkd.gateway.guard.addresses import Addresses, BansFullError, parse_networks, site

from ..doubles import Clock


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
    addresses = Addresses(
        allowed=parse_networks("203.0.113.0/24"), denied=parse_networks("203.0.113.66"), clock=clock, monotonic=clock
    )

    assert addresses.admits("203.0.113.7")
    assert not addresses.admits("203.0.113.66")
    assert not addresses.admits("198.51.100.1")
    assert not addresses.admits("")


@pytest.mark.parametrize(
    ("network", "address"), [("::ffff:192.0.2.7", "192.0.2.7"), ("::ffff:c000:0/120", "192.0.0.9")]
)
def test_networks_of_ipv4_addresses_written_as_ipv6_count(network: str, address: str) -> None:
    """As log files and sockets of both families write them."""
    listed = parse_networks(network)
    clock = Clock()

    assert not Addresses(denied=listed, clock=clock, monotonic=clock).admits(address)
    assert Addresses(allowed=listed, clock=clock, monotonic=clock).admits(address)
    banning = Addresses(clock=clock, monotonic=clock)
    banning.ban(network, None, "")
    assert not banning.admits(address)
    assert banning.lift(network)
    assert banning.admits(address)


def test_ban_holds_for_its_time() -> None:
    """Of an address, a network, or an IPv6 site; and lifting it ends it."""
    clock = Clock()
    addresses = Addresses(clock=clock, monotonic=clock)
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
    addresses = Addresses(clock=clock, monotonic=clock, most=2)
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


@pytest.mark.parametrize("jump", [-3600.0, 3600.0])
def test_clock_that_jumps_changes_no_ban(jump: float) -> None:
    """It lasts as long as before, and what people are told moves with the clock."""
    clock, monotonic = Clock(1_700_000_000.0), Clock()
    addresses = Addresses(clock=clock, monotonic=monotonic)
    ban = addresses.ban("203.0.113.7", 60.0, "flood")
    assert ban.until == clock.now + 60
    assert addresses.bans() == [ban]

    clock.now += jump
    monotonic.now += 59

    assert not addresses.admits("203.0.113.7")
    assert [ban.until for ban in addresses.bans()] == [clock.now + 1]
    monotonic.now += 1
    assert addresses.admits("203.0.113.7")
    assert addresses.bans() == []


def test_ban_may_be_made_longer_shorter_and_endless() -> None:
    """The last word counts."""
    clock = Clock()
    addresses = Addresses(clock=clock, monotonic=clock)
    for seconds, admitted in ((10.0, True), (None, False), (20.0, False), (5.0, True)):
        addresses.ban("203.0.113.7", seconds, "")
        clock.now += 11
        assert addresses.admits("203.0.113.7") is admitted
