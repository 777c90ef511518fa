"""Frames as a server sends them, read back by the parser of ``websockets``."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Close, Opcode

from pylinkd.gateway.core.frames import binary_frame, close_frame, pong_frame, text_frame

from ..wire import hear

# Around each change of the header's length (RFC 6455 §5.2).
SIZES = [0, 1, 125, 126, 127, 65535, 65536, 65537]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("make", "opcode"), [(text_frame, Opcode.TEXT), (binary_frame, Opcode.BINARY)])
def test_message_is_one_whole_frame(make: object, opcode: Opcode, size: int) -> None:
    """Each of the three lengths; the payload is untouched."""
    assert callable(make)
    payload = b"x" * size

    (frame,) = hear(make(payload))

    assert (frame.opcode, frame.payload, frame.fin) == (opcode, payload, True)


@pytest.mark.parametrize(("size", "header"), [(125, 2), (126, 4), (65535, 4), (65536, 10)])
def test_header_is_as_short_as_it_can_be(size: int, header: int) -> None:
    """The minimal number of bytes is a must (RFC 6455 §5.2)."""
    assert len(text_frame(b"x" * size)) == len(binary_frame(b"x" * size)) == size + header


@given(payloads=st.lists(st.text(max_size=300), max_size=5))
def test_frames_follow_each_other(payloads: list[str]) -> None:
    """Frames joined into one write are read as the messages that they were."""
    heard = hear(b"".join(text_frame(payload.encode()) for payload in payloads))

    assert [frame.payload.decode() for frame in heard] == payloads


def test_pong_carries_the_pings_payload() -> None:
    """Up to the 125 bytes that a control frame has."""
    (frame,) = hear(pong_frame(b"p" * 125))

    assert (frame.opcode, frame.payload) == (Opcode.PONG, b"p" * 125)


def test_close_without_code_is_empty() -> None:
    """No code, no body."""
    (frame,) = hear(close_frame(None))

    assert (frame.opcode, frame.payload) == (Opcode.CLOSE, b"")


@pytest.mark.parametrize(
    ("reason", "heard"),
    [
        ("", ""),
        ("bye", "bye"),
        ("x" * 123, "x" * 123),
        ("x" * 124, "x" * 123),
        ("ü" * 62, "ü" * 61),
        ("😀" * 40, "😀" * 30),
    ],
)
def test_close_reason_is_cut_between_characters(reason: str, heard: str) -> None:
    """A control frame has 125 bytes; what does not fit is left out, and what is left is UTF-8."""
    (frame,) = hear(close_frame(4401, reason))

    close = Close.parse(frame.payload)
    assert (close.code, close.reason) == (4401, heard)
