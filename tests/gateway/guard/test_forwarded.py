"""Who is behind a proxy: one header, which the operator names, read from its right end."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pylinkd.gateway.guard.addresses import Proxies, parse_address, parse_networks
from pylinkd.gateway.guard.forwarded import check_name

TRUSTED = parse_networks("10.0.0.0/8, 2001:db8:1::/48")
PROXY = "10.0.0.1"


def client(header: str, value: str, peer: str = PROXY) -> str:
    """Who is behind the peer, where this is the one header that counts."""
    return Proxies(TRUSTED, header).client(peer, {header: value})


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("203.0.113.7, 10.0.0.2", "203.0.113.7"),
        ("203.0.113.7,10.0.0.2 ,\t10.0.0.3", "203.0.113.7"),
        ("198.51.100.1, 203.0.113.9", "203.0.113.9"),
        ("127.0.0.1, 203.0.113.9, 10.0.0.3", "203.0.113.9"),
        ("203.0.113.7:4711", "203.0.113.7"),
        ("[2001:db8:2::7]:4711", "2001:db8:2::7"),
        ("2001:db8:2::7", "2001:db8:2::7"),
        (", 203.0.113.7,", "203.0.113.7"),
        ("nonsense, 10.0.0.5", "10.0.0.5"),
        ("203.0.113.7, unknown", PROXY),
        ("203.0.113.7:x", PROXY),
        ("203.0.113.7:", PROXY),
        ("[2001:db8:2::7]x", PROXY),
        ("[2001:db8:2::7", PROXY),
        ("fe80::1%eth0", PROXY),
        ("203.0.113.7%0", PROXY),
        ('203.0.113.9, "198.51.100.1', PROXY),
        ("203.0.113.9, " + "1" * 10_000, PROXY),
        ("", PROXY),
        (" , ", PROXY),
    ],
)
def test_x_forwarded_for_is_read_from_the_right(value: str, expected: str) -> None:
    """Through as many trusted proxies as there are, to the first other address; what is left of it is not believed."""
    assert client("x-forwarded-for", value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("for=203.0.113.7", "203.0.113.7"),
        ('for="[2001:db8:2::7]:4711";proto=https', "2001:db8:2::7"),
        ('For="203.0.113.7:80"', "203.0.113.7"),
        ("for=203.0.113.7:80", "203.0.113.7"),
        ("proto=https;FOR=203.0.113.7;by=10.0.0.1, for=10.1.1.1", "203.0.113.7"),
        ("for=198.51.100.1, for=203.0.113.9", "203.0.113.9"),
        ("for=198.51.100.1,for=203.0.113.9 ; proto=http", "203.0.113.9"),
        ("for=203.0.113.9,, ,for=10.0.0.2;", "203.0.113.9"),
        # What a client has in its own headers is quoted by the proxy.
        ('for=9.9.9.9;host="x;for=1.1.1.1"', "9.9.9.9"),
        ('for=9.9.9.9;host="x, for=1.1.1.1"', "9.9.9.9"),
        (r'for=9.9.9.9;host="x\", for=1.1.1.1"', "9.9.9.9"),
        (r'for=9.9.9.9;host="x\\"', "9.9.9.9"),
        (r'for=9.9.9.9;host="\";for=1.1.1.1;x=\""', "9.9.9.9"),
        (r'for="\1\.1.1.1"', "1.1.1.1"),
        # What a client left open does not swallow what the proxy appended.
        ('for=1.1.1.1;host=", for=9.9.9.9', "9.9.9.9"),
        ('", for="9.9.9.9"', "9.9.9.9"),
        ('for=1.1.1.1;x="\\, for="9.9.9.9:1";proto=http', "9.9.9.9"),
        # Other names than "for", and what the grammar does not know.
        ("xfor=1.1.1.1", PROXY),
        ("for=9.9.9.9;xfor=1.1.1.1", "9.9.9.9"),
        ("x-for=1.1.1.1;for=9.9.9.9", "9.9.9.9"),
        ("for=1.1.1.1;for=9.9.9.9", PROXY),
        ("for =1.1.1.1", PROXY),
        ("for= 1.1.1.1", PROXY),
        ("for=1.1.1.1 x", PROXY),
        ('for="1.1.1.1', PROXY),
        ('for=1.1.1.1"', PROXY),
        ('for="1.1.1.1"x"', PROXY),
        ("1.1.1.1", PROXY),
        ("=1.1.1.1", PROXY),
        ("proto=https", PROXY),
        ("for=unknown", PROXY),
        ('for="[2001:db8:2::7]:_port"', "2001:db8:2::7"),
        ('for="[2001:db8:2::7]x"', PROXY),
        ("for=_hidden, for=10.0.0.4", "10.0.0.4"),
        ("for=1.1.1.1, broken, for=10.0.0.4", "10.0.0.4"),
        ("", PROXY),
    ],
)
def test_forwarded_is_read_by_its_grammar(value: str, expected: str) -> None:
    """RFC 7239 §4, from the right; a malformed element ends what is believed."""
    assert client("forwarded", value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("203.0.113.7", "203.0.113.7"),
        (" 2001:db8:2::7 ", "2001:db8:2::7"),
        ("203.0.113.7, 203.0.113.8", PROXY),
        ("for=203.0.113.7", PROXY),
        ("", PROXY),
    ],
)
def test_other_header_holds_one_address(value: str, expected: str) -> None:
    """Of two lines one is the client's own, and nobody knows which."""
    assert client("x-real-ip", value) == expected


@pytest.mark.parametrize("header", ["x-forwarded-for", "forwarded", "x-real-ip"])
def test_all_other_headers_are_ignored(header: str) -> None:
    """The client may have sent them: the proxy sets the one that the operator names, and passes on the others."""
    forged = {
        "x-forwarded-for": "1.1.1.1", "forwarded": "for=1.1.1.1", "x-real-ip": "1.1.1.1", "cf-connecting-ip": "1.1.1.1",
        "true-client-ip": "1.1.1.1", "x-client-ip": "1.1.1.1", "x-original-forwarded-for": "1.1.1.1",
    }  # fmt: skip
    right = {**forged, header: "for=203.0.113.7" if header == "forwarded" else "203.0.113.7"}

    assert Proxies(TRUSTED, header).client(PROXY, right) == "203.0.113.7"
    del forged[header]
    assert Proxies(TRUSTED, header).client(PROXY, forged) == PROXY


@pytest.mark.parametrize("peer", ["203.0.113.9", "2001:db8:2::1", ""])
def test_who_is_no_proxy_speaks_for_itself(peer: str) -> None:
    """Whatever it sends."""
    assert client("x-forwarded-for", "198.51.100.1", peer) == peer
    assert client("forwarded", "for=198.51.100.1", peer) == peer


@pytest.mark.parametrize("peer", ["2001:db8:1::1", "::ffff:10.0.0.1"])
def test_proxy_may_connect_over_ipv6(peer: str) -> None:
    """Also with its IPv4 address in one of IPv6."""
    assert client("x-forwarded-for", "203.0.113.7", peer) == "203.0.113.7"


def test_without_proxies_no_header_counts() -> None:
    """The default."""
    assert Proxies().client(PROXY, {"x-forwarded-for": "203.0.113.7"}) == PROXY


def test_chain_of_proxies_has_a_bound() -> None:
    """What stands left of so many is not read."""
    assert client("x-forwarded-for", "203.0.113.7" + ", 10.0.0.2" * 31) == "203.0.113.7"
    assert client("x-forwarded-for", "203.0.113.7" + ", 10.0.0.2" * 32) == "10.0.0.2"


@pytest.mark.parametrize("header", ["x-forwarded-for", "forwarded", "x-real-ip"])
@given(value=st.text(alphabet='for=1.,;"\\ []:x', max_size=200) | st.text(max_size=200))
def test_any_header_is_read(header: str, value: str) -> None:
    """Nonsense is an address, or leaves the proxy's."""
    assert parse_address(client(header, value)) is not None


@given(st.text(alphabet='for=1.,;"\\ []:x', max_size=200))
def test_nothing_on_the_left_changes_what_the_proxy_appended(forged: str) -> None:
    """Neither in the client's own line nor in what the proxy quotes of it."""
    quoted = forged.replace("\\", r"\\").replace('"', r"\"")

    assert client("forwarded", f'{forged}, for=9.9.9.9;host="{quoted}"') == "9.9.9.9"
    assert client("x-forwarded-for", f"{forged}, 9.9.9.9") == "9.9.9.9"


@pytest.mark.parametrize("pattern", ['"', '\\"', ",", ";", 'a="', "\\"])
def test_long_header_is_read_in_short_time(pattern: str) -> None:
    """However odd: its length counts once, and not squared."""
    begun = time.process_time()

    client("forwarded", pattern * (64_000 // len(pattern)))

    assert time.process_time() - begun < 0.5


@pytest.mark.parametrize(("name", "known"), [("X-Real-IP", "x-real-ip"), ("forwarded", "forwarded")])
def test_name_is_taken_in_any_case(name: str, known: str) -> None:
    """As HTTP does."""
    assert check_name(name) == known


@pytest.mark.parametrize("name", ["Authorization", "cookie", "host", "Sec-WebSocket-Key", "origin"])
def test_header_that_says_something_else_is_refused(name: str) -> None:
    """It would be the client's own."""
    with pytest.raises(ValueError, match="something else"):
        check_name(name)


@pytest.mark.parametrize("name", ["", "x forwarded for", "x-forwarded-for,forwarded", "x:", "ü", "x" * 65])
def test_what_is_no_name_is_refused(name: str) -> None:
    """With an example."""
    with pytest.raises(ValueError, match="x-forwarded-for, forwarded"):
        check_name(name)
