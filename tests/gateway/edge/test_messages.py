"""From frames to messages."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pylinkd.gateway.edge.messages import Fragments, Opcode, ProtocolViolation, check_text
from pylinkd.protocol.errors import CloseCode

MOST_FRAGMENTS = 1024


@pytest.mark.parametrize("opcode", [Opcode.TEXT, Opcode.BINARY])
def test_whole_message_in_one_frame(opcode: Opcode) -> None:
    """The usual case: nothing is left over."""
    fragments = Fragments(10)

    assert fragments.add(opcode, True, b"abc") == (opcode, b"abc")
    assert not fragments.unfinished


def test_fragments_are_joined() -> None:
    """The message has the first frame's opcode and all payloads, empty ones included."""
    fragments = Fragments(10)

    assert fragments.add(Opcode.TEXT, False, b"ab") is None
    assert fragments.add(Opcode.CONTINUATION, False, b"") is None
    assert fragments.unfinished
    assert fragments.add(Opcode.CONTINUATION, True, b"cd") == (Opcode.TEXT, b"abcd")
    assert not fragments.unfinished


def test_second_message_begins_anew() -> None:
    """Nothing of the first is in it, and it has the whole limit."""
    fragments = Fragments(4)
    fragments.add(Opcode.TEXT, False, b"ab")
    fragments.add(Opcode.CONTINUATION, True, b"cd")

    assert fragments.add(Opcode.BINARY, False, b"xy") is None
    assert fragments.add(Opcode.CONTINUATION, True, b"zw") == (Opcode.BINARY, b"xyzw")


def test_continuation_of_nothing_is_refused() -> None:
    """RFC 6455 §5.4."""
    with pytest.raises(ProtocolViolation, match="continuation of nothing") as caught:
        Fragments(10).add(Opcode.CONTINUATION, True, b"")

    assert caught.value.code is CloseCode.PROTOCOL_ERROR


@pytest.mark.parametrize("opcode", [Opcode.TEXT, Opcode.BINARY])
def test_message_inside_a_message_is_refused(opcode: Opcode) -> None:
    """RFC 6455 §5.4: fragments of two messages do not mix."""
    fragments = Fragments(10)
    fragments.add(Opcode.TEXT, False, b"a")

    with pytest.raises(ProtocolViolation, match="inside a fragmented one") as caught:
        fragments.add(opcode, True, b"b")

    assert caught.value.code is CloseCode.PROTOCOL_ERROR


@pytest.mark.parametrize("payloads", [[11], [5, 6], [10, 1], [10, 0, 1]])
def test_message_over_the_limit_is_refused(payloads: list[int]) -> None:
    """The limit counts the whole message, and is checked before the message is complete."""
    fragments = Fragments(10)
    opcodes = [Opcode.TEXT] + [Opcode.CONTINUATION] * len(payloads)

    frames = [(opcode, b"x" * size) for opcode, size in zip(opcodes, payloads, strict=False)]
    for opcode, payload in frames[:-1]:
        assert fragments.add(opcode, False, payload) is None
    with pytest.raises(ProtocolViolation, match="more than 10 bytes") as caught:
        fragments.add(frames[-1][0], False, frames[-1][1])

    assert caught.value.code is CloseCode.MESSAGE_TOO_BIG


def test_message_of_the_very_limit_is_taken() -> None:
    """The limit is the largest size."""
    fragments = Fragments(10)
    fragments.add(Opcode.TEXT, False, b"x" * 9)

    assert fragments.add(Opcode.CONTINUATION, True, b"x") == (Opcode.TEXT, b"x" * 10)


def test_empty_fragments_have_a_limit_too() -> None:
    """Each costs an object, whatever its size."""
    fragments = Fragments(10)
    fragments.add(Opcode.TEXT, False, b"")
    for _ in range(MOST_FRAGMENTS - 1):
        fragments.add(Opcode.CONTINUATION, False, b"")

    with pytest.raises(ProtocolViolation, match="fragments") as caught:
        fragments.add(Opcode.CONTINUATION, True, b"")

    assert caught.value.code is CloseCode.POLICY_VIOLATION


DATA_FRAMES = st.tuples(
    st.sampled_from([Opcode.TEXT, Opcode.BINARY, Opcode.CONTINUATION]), st.booleans(), st.binary(max_size=8)
)


@given(limit=st.integers(0, 20), frames=st.lists(DATA_FRAMES, max_size=20))
def test_any_frames_end_in_messages_or_one_violation(limit: int, frames: list[tuple[Opcode, bool, bytes]]) -> None:
    """Messages come out whole and in order, as a plain reading of RFC 6455 §5.4 says, or the connection ends."""
    fragments = Fragments(limit)
    open_: tuple[Opcode, bytes] | None = None
    for opcode, fin, payload in frames:
        legal = (opcode is Opcode.CONTINUATION) == (open_ is not None)
        first, before = open_ if open_ is not None else (opcode, b"")
        whole = before + payload
        if not legal or len(whole) > limit:
            with pytest.raises(ProtocolViolation) as caught:
                fragments.add(opcode, fin, payload)
            expected = CloseCode.MESSAGE_TOO_BIG if legal else CloseCode.PROTOCOL_ERROR
            assert caught.value.code is expected
            return
        assert fragments.add(opcode, fin, payload) == ((first, whole) if fin else None)
        open_ = None if fin else (first, whole)
        assert fragments.unfinished is (open_ is not None)


@pytest.mark.parametrize("text", ["", "ascii", "hé", "😀", "\x00", "\ufeff", "\U0010ffff"])
def test_text_is_utf8(text: str) -> None:
    """Every character of Unicode may be sent."""
    check_text(text.encode())


@pytest.mark.parametrize(
    "payload", [b"\xff", b"\xc3", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"ok \xe2\x82", b"\x80"]
)
def test_text_that_is_not_utf8_is_refused(payload: bytes) -> None:
    """Cut, overlong and out-of-range sequences, and surrogates: 1007."""
    with pytest.raises(ProtocolViolation) as caught:
        check_text(payload)

    assert caught.value.code is CloseCode.INVALID_TEXT


def test_violation_names_code_and_reason() -> None:
    """For logs, and for the close frame."""
    violation = ProtocolViolation(CloseCode.PROTOCOL_ERROR, "why")

    assert str(violation) == "1002 why"
    assert (violation.code, violation.reason) == (1002, "why")
