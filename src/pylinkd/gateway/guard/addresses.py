"""Where a client comes from: its address behind proxies that are trusted, and whether that address may connect."""

from __future__ import annotations

import ipaddress
import math
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from itertools import islice

import msgspec

from .forwarded import X_FORWARDED_FOR, bare, hops

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_MAX_HOPS = 32  # proxies that a header may name; what stands left of them is not read
_MAX_NODE = 64  # characters of an address as a header names it; what is longer is none, and is not remembered
_MAPPED = ipaddress.IPv6Network("::ffff:0:0/96")  # IPv4 addresses as IPv6 (RFC 4291 §2.5.5.2)
_IPV6_SITE = 64  # bits: what one customer has at least, so that one who changes the rest is still the same


def parse_networks(text: str) -> list[Network]:
    """Addresses and networks (CIDR), parted by commas.

    Raises:
        ValueError: If one is none.
    """
    return [parse_network(entry.strip()) for entry in text.split(",") if entry.strip()]


def parse_network(text: str) -> Network:
    """An address or a network; the IPv4 one of IPv6 addresses that stand for it, as ``parse_address`` makes them.

    Raises:
        ValueError: If it is none.
    """
    try:
        network = ipaddress.ip_network(text)
    except ValueError as cause:
        raise ValueError(f"{text!r} is no address and no network such as 10.0.0.0/8") from cause
    if isinstance(network, ipaddress.IPv6Network) and network.subnet_of(_MAPPED):
        return ipaddress.IPv4Network((int(network.network_address) & 0xFFFFFFFF, network.prefixlen - _MAPPED.prefixlen))
    return network


@lru_cache(maxsize=4096)
def parse_address(text: str) -> Address | None:
    """An address; the IPv4 one in an IPv6 address that stands for it; ``None``: it is none."""
    try:
        address = ipaddress.ip_address(text)
        if isinstance(address, ipaddress.IPv6Address) and address.scope_id is not None:
            address = ipaddress.IPv6Address(int(address))  # a zone is the machine's own affair (RFC 4007 §11)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


@lru_cache(maxsize=4096)
def site(address: str) -> str:
    """What limits count by: the address, of IPv6 the first 64 bits."""
    parsed = parse_address(address)
    if isinstance(parsed, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((parsed, _IPV6_SITE), strict=False))
    return address if parsed is None else str(parsed)


def _contains(networks: Iterable[Network], address: Address | None) -> bool:
    return address is not None and any(address in network for network in networks)


class Proxies:
    """The proxies that may say who is behind them, and the one header in which they do.

    Args:
        trusted: Their networks.
        header: Its name, in lower case. Every other header of this kind may have been sent by the client and is
            ignored.
    """

    def __init__(self, trusted: Iterable[Network] = (), header: str = X_FORWARDED_FOR) -> None:
        self._trusted = tuple(trusted)
        self._header = header

    def trusts(self, peer: str) -> bool:
        """Whether it is one of them."""
        return bool(self._trusted) and _contains(self._trusted, parse_address(peer))

    def client(self, peer: str, headers: Mapping[str, str]) -> str:
        """The address of the client.

        Read from the right, and only as far as trusted proxies vouch: what is left of the first other address the
        client may have made up itself (RFC 7239 §8.1).

        Args:
            peer: Who opened the connection.
            headers: Of the request, by lower-case name; lines of the same name joined by ", ".
        """
        if not self.trusts(peer):
            return peer
        client = peer
        for hop in islice(hops(self._header, headers.get(self._header, "")), _MAX_HOPS):
            # A zone is of no use to anybody but the machine that wrote it (RFC 4007 §11).
            readable = hop is not None and len(hop) <= _MAX_NODE and "%" not in hop
            address = parse_address(bare(hop)) if hop is not None and readable else None
            if address is None:
                break  # "unknown", or malformed: the proxy before it is all that is known
            client = str(address)
            if not _contains(self._trusted, address):
                break
        return client


class Ban(msgspec.Struct, frozen=True):
    """Addresses that may not connect for a time.

    Attributes:
        network: Which.
        until: Unix time in seconds; ``None``: until it is lifted.
        reason: Why, for people.
    """

    network: str
    until: float | None
    reason: str


class BansFullError(ValueError):
    """There are too many bans."""


class Addresses:
    """Who may connect.

    Args:
        allowed: Networks that may; empty: all may.
        denied: Networks that may not.
        exempt: Networks that are never banned by themselves, nor limited.
        clock: Unix time in seconds, for people.
        monotonic: Seconds that never go back: how long a ban lasts does not depend on what time it is.
        most: Bans that are kept at once.
    """

    def __init__(
        self,
        *,
        allowed: Iterable[Network] = (),
        denied: Iterable[Network] = (),
        exempt: Iterable[Network] = (),
        clock: Callable[[], float],
        monotonic: Callable[[], float],
        most: int = 10_000,
    ) -> None:
        self._allowed = tuple(allowed)
        self._denied = tuple(denied)
        self._exempt = tuple(exempt)
        self._clock = clock
        self._monotonic = monotonic
        self._most = most
        # Most bans are of one address, or one IPv6 site: those are found at once. The others are few.
        self._bans: dict[str, Ban] = {}
        self._ends: dict[str, float] = {}  # monotonic, of those that end by themselves
        self._wide: dict[str, Network] = {}

    def admits(self, address: str) -> bool:
        """Whether the address may connect."""
        if not self._bans and not self._denied and not self._allowed:
            return True
        parsed = parse_address(address)
        if self._allowed and not _contains(self._allowed, parsed):
            return False
        return not _contains(self._denied, parsed) and not self._banned(address, parsed)

    def _banned(self, address: str, parsed: Address | None) -> bool:
        if self._in_force(_key(site(address))):
            return True
        return any(
            parsed is not None and parsed in network and self._in_force(key)
            for key, network in list(self._wide.items())
        )

    def _in_force(self, key: str) -> bool:
        ban = self._bans.get(key)
        if ban is None:
            return False
        if self._ends.get(key, math.inf) <= self._monotonic():
            self.lift(ban.network)
            return False
        return True

    def exempt(self, address: str) -> bool:
        """Whether the address is never limited nor banned by itself."""
        return bool(self._exempt) and _contains(self._exempt, parse_address(address))

    def ban(self, network: str, seconds: float | None, reason: str) -> Ban:
        """Let nobody in from there.

        Args:
            network: An address or a network.
            seconds: For how long; ``None``: until it is lifted.
            reason: For people.

        Raises:
            ValueError: If it is no network.
            BansFullError: If there are too many. None was added.
        """
        parsed = parse_network(network)
        key = str(parsed)
        if key not in self._bans and len(self._bans) >= self._most:
            self._drop_ended()
            if len(self._bans) >= self._most:
                raise BansFullError(f"there are {self._most} bans already")
        ban = Ban(key, None if seconds is None else self._clock() + seconds, reason)
        self._bans[key] = ban
        self._ends.pop(key, None)
        if seconds is not None:
            self._ends[key] = self._monotonic() + seconds
        if key != _key(site(str(parsed.network_address))):
            self._wide[key] = parsed
        return ban

    def lift(self, network: str) -> bool:
        """End a ban; whether there was one.

        Raises:
            ValueError: If it is no network.
        """
        key = str(parse_network(network))
        self._wide.pop(key, None)
        self._ends.pop(key, None)
        return self._bans.pop(key, None) is not None

    def bans(self) -> list[Ban]:
        """Those in force, the oldest first; until when, by the clock as it is now."""
        self._drop_ended()
        ahead = self._clock() - self._monotonic()
        return [
            msgspec.structs.replace(ban, until=round(self._ends[key] + ahead, 3)) if key in self._ends else ban
            for key, ban in self._bans.items()
        ]

    def _drop_ended(self) -> None:
        for key in list(self._bans):
            self._in_force(key)


def _key(site: str) -> str:
    return site if "/" in site else str(parse_network(site)) if parse_address(site) else site
