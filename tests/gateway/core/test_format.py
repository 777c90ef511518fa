"""What messages look like on the wire, compressed and not."""

from __future__ import annotations

import zlib

import pytest

from pylinkd.gateway.core.broadcast import Broadcast
from pylinkd.gateway.core.format import PLAIN, Formats
from pylinkd.protocol.envelope import JSON, MSGPACK, Codec

LONG = b'{"text":"' + b"to be or not to be " * 100 + b'"}'


def inflated(frame: bytes, window_bits: int) -> bytes:
    """The payload of a compressed frame below 64 KiB, as an inflater with just this window reads it."""
    start = 4 if frame[1] == 126 else 2
    inflater = zlib.decompressobj(-window_bits)
    return inflater.decompress(frame[start:] + b"\x00\x00\xff\xff")


@pytest.mark.parametrize("codec", [JSON, MSGPACK])
@pytest.mark.parametrize("window_bits", range(9, 16))
def test_long_message_is_compressed_within_the_window(codec: Codec, window_bits: int) -> None:
    """RSV1 is set, the opcode stays, and an inflater with the agreed window gets the message back."""
    frame = Formats(threshold=100, level=3).get(codec, window_bits).frame(LONG)

    assert frame[0] == 0x80 | 0x40 | (2 if codec.binary else 1)
    assert len(frame) < len(LONG)
    assert inflated(frame, window_bits) == LONG


def test_short_message_stays_as_it_is() -> None:
    """Below the threshold compressing costs more than it saves."""
    format = Formats(threshold=100, level=3).get(JSON, 15)

    assert format.frame(b"x" * 99) == PLAIN[JSON].frame(b"x" * 99)
    assert format.frame(b"x" * 100)[0] & 0x40


def test_messages_do_not_depend_on_each_other() -> None:
    """No context is taken over: the same message is the same frame every time."""
    format = Formats(threshold=0, level=6).get(JSON, 15)

    assert format.frame(LONG) == format.frame(LONG)


def test_sessions_of_one_agreement_share_the_format() -> None:
    """And with it the frames of a broadcast."""
    formats = Formats(threshold=0, level=3)

    assert formats.get(JSON, 15) is formats.get(JSON, 15)
    assert formats.get(JSON, None) is PLAIN[JSON]
    assert formats.get(JSON, 15) is not formats.get(JSON, 12)


def test_broadcast_has_a_frame_for_each_format() -> None:
    """Compressed and plain recipients of one event get the same message."""
    compressed = Formats(threshold=0, level=3).get(JSON, 15)
    broadcast = Broadcast("a", LONG, [compressed, PLAIN[JSON]])

    assert inflated(broadcast.frames[compressed], 15) == b'{"type":"a","data":' + LONG + b"}"
    assert broadcast.frames[PLAIN[JSON]].endswith(LONG + b"}")
