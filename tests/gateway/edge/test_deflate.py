"""permessage-deflate: which offers are accepted, and inflating without trusting anybody."""

from __future__ import annotations

import tracemalloc
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pylinkd.gateway.edge.deflate import Inflater, negotiate
from pylinkd.gateway.edge.violation import ProtocolViolation
from pylinkd.protocol.close import CloseCode

BOTH = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"


def deflated(data: bytes, *, final: bool = False) -> bytes:
    """A message's payload as a client compresses it."""
    deflater = zlib.compressobj(wbits=-15)
    body = deflater.compress(data)
    return body + deflater.flush() if final else (body + deflater.flush(zlib.Z_SYNC_FLUSH))[:-4]


@pytest.mark.parametrize(
    ("offers", "header", "window_bits"),
    [
        ("permessage-deflate", BOTH, 15),
        ("permessage-deflate; client_max_window_bits", BOTH, 15),
        ("permessage-deflate; client_max_window_bits=8", BOTH, 15),
        ('permessage-deflate; client_max_window_bits="10"', BOTH, 15),
        ("permessage-deflate; server_no_context_takeover; client_no_context_takeover", BOTH, 15),
        ("permessage-deflate; server_max_window_bits=9", f"{BOTH}; server_max_window_bits=9", 9),
        ("x-other, permessage-deflate;server_max_window_bits=15", f"{BOTH}; server_max_window_bits=15", 15),
        ("permessage-deflate; server_max_window_bits=8, permessage-deflate", BOTH, 15),
        ("permessage-deflate; unknown, permessage-deflate; server_max_window_bits=10",
         f"{BOTH}; server_max_window_bits=10", 10),
    ],
)  # fmt: skip
def test_first_good_offer_is_accepted(offers: str, header: str, window_bits: int) -> None:
    """Each parameter is answered as RFC 7692 §7.1 asks; later offers are the client's fallback."""
    agreement = negotiate(offers)

    assert agreement is not None
    assert (agreement.header, agreement.window_bits) == (header, window_bits)


@pytest.mark.parametrize(
    "offers",
    [
        "",
        ",",
        "x-other",
        "permessage-deflate; server_max_window_bits",
        "permessage-deflate; server_max_window_bits=8",
        "permessage-deflate; server_max_window_bits=16",
        "permessage-deflate; server_max_window_bits=010",
        "permessage-deflate; client_max_window_bits=7",
        "permessage-deflate; client_max_window_bits=x",
        "permessage-deflate; server_no_context_takeover=1",
        "permessage-deflate; client_no_context_takeover; client_no_context_takeover",
        "permessage-deflate; surprise",
        "permessage-deflate;;",
    ],
)
def test_bad_offer_is_declined(offers: str) -> None:
    """The connection then goes without compression; it is not refused."""
    assert negotiate(offers) is None


@given(st.text(max_size=200))
def test_any_offer_is_answered(offers: str) -> None:
    """Never an exception."""
    negotiate(offers)


@given(st.binary(max_size=5000))
def test_compressed_message_comes_back(data: bytes) -> None:
    """Whatever it is, with and without a final block."""
    assert Inflater(5000).feed(deflated(data), True) == data
    assert Inflater(5000).feed(deflated(data, final=True), True) == data


@given(st.binary(max_size=2000))
def test_any_bytes_end_in_a_message_or_a_violation(data: bytes) -> None:
    """Within the limit, or not at all."""
    try:
        message = Inflater(1000).feed(data, True)
    except ProtocolViolation:
        return
    assert len(message) <= 1000


def test_message_of_just_the_limit_is_taken() -> None:
    """One byte more is 1009."""
    assert len(Inflater(1000).feed(deflated(b"x" * 1000), True)) == 1000

    with pytest.raises(ProtocolViolation) as violation:
        Inflater(1000).feed(deflated(b"x" * 1001), True)
    assert violation.value.code is CloseCode.MESSAGE_TOO_BIG


def test_bomb_is_cut_while_it_inflates() -> None:
    """100 MB in 100 KB: no more memory is taken than the limit allows."""
    bomb = deflated(bytes(100_000_000))

    tracemalloc.start()
    with pytest.raises(ProtocolViolation) as violation:
        Inflater(65536).feed(bomb, True)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert violation.value.code is CloseCode.MESSAGE_TOO_BIG
    assert peak < 2_000_000


def test_thousands_of_final_blocks_are_refused() -> None:
    """Each would cost an inflater of its own, and none a byte of the message."""
    with pytest.raises(ProtocolViolation) as violation:
        Inflater(65536).feed(b"\x03\x00" * 30_000, True)

    assert violation.value.code is CloseCode.POLICY_VIOLATION
