"""Whose bytes a proxy passes on."""

from __future__ import annotations

import ipaddress
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pylinkd.gateway.guard.proxy_protocol import read_preface

SIGNATURE = bytes.fromhex("0d0a0d0a000d0a515549540a")


def preface(client: str = "203.0.113.7", port: int = 4711, more: bytes = b"", command: int = 0x21) -> bytes:
    """As a proxy writes it."""
    source = ipaddress.ip_address(client)
    other = ipaddress.ip_address("192.0.2.1" if source.version == 4 else "2001:db8::1")
    body = source.packed + other.packed + struct.pack(">HH", port, 443) + more
    return SIGNATURE + struct.pack(">BBH", command, 0x11 if source.version == 4 else 0x21, len(body)) + body


@pytest.mark.parametrize("client", ["203.0.113.7", "2001:db8::7"])
@pytest.mark.parametrize("more", [b"", b"\x03\x00\x04abcd"])
def test_client_is_read(client: str, more: bytes) -> None:
    """Of both families, with what else a proxy adds; what follows is the client's."""
    data = preface(client, more=more)

    assert read_preface(data + b"GET /") == ((client, 4711), len(data))


def test_preface_may_come_in_pieces() -> None:
    """Byte by byte nothing is known until the last."""
    data = preface()

    assert [read_preface(data[:size]) for size in range(len(data))] == [None] * len(data)


def test_proxy_may_speak_for_itself() -> None:
    """To see whether the gateway lives."""
    assert read_preface(SIGNATURE + b"\x20\x00\x00\x00") == (None, 16)


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n",
        b"PROXY TCP4 203.0.113.7 192.0.2.1 1 2\r\n",
        preface(command=0x11),
        preface(command=0x22),
        SIGNATURE + b"\x21\x11\x02\x01",
        SIGNATURE + b"\x21\x11\x00\x04abcd",
        SIGNATURE + b"\x21\x31\x00\x0c" + bytes(12),
        SIGNATURE + b"\x21\x00\x00\x0c" + bytes(12),
    ],
)
def test_what_is_none_is_refused(data: bytes) -> None:
    """Another protocol, version, family or size."""
    with pytest.raises(ValueError):  # noqa: PT011  the proxy is not told which part failed
        read_preface(data)


@given(st.binary(max_size=100) | st.binary(max_size=60).map(lambda rest: SIGNATURE + rest))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    """And what is read is within them."""
    try:
        read = read_preface(data)
    except ValueError:
        return
    assert read is None or read.size <= len(data)
