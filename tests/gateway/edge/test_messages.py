"""From frames to messages."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pylinkd.gateway.edge.messages import Messages, Opcode
from pylinkd.gateway.edge.violation import ProtocolViolation
from pylinkd.protocol.close import CloseCode

MOST_FRAGMENTS = 20
RSV1, RSV2, RSV3 = 4, 2, 1


def reader(limit: int, *, inflates: bool = False) -> Messages:
    """One with this limit on a message's bytes."""
    return Messages(limit, MOST_FRAGMENTS, inflates)


def deflated(data: bytes) -> bytes:
    """A payload as a client compresses it."""
    deflater = zlib.compressobj(wbits=-15)
    return (deflater.compress(data) + deflater.flush(zlib.Z_SYNC_FLUSH))[:-4]


@pytest.mark.parametrize("opcode", [Opcode.TEXT, Opcode.BINARY])
def test_whole_message_in_one_frame(opcode: Opcode) -> None:
    """The usual case: nothing is left over."""
    messages = reader(10)

    assert messages.take(opcode, True, 0, b"abc") == (opcode, b"abc")
    assert not messages.unfinished


def test_fragments_are_joined() -> None:
    """The message has the first frame's opcode and all payloads, empty ones included."""
    messages = reader(10)

    assert messages.take(Opcode.TEXT, False, 0, b"ab") is None
    assert messages.take(Opcode.CONTINUATION, False, 0, b"") is None
    assert messages.unfinished
    assert messages.take(Opcode.CONTINUATION, True, 0, b"cd") == (Opcode.TEXT, b"abcd")
    assert not messages.unfinished


def test_second_message_begins_anew() -> None:
    """Nothing of the first is in it, and it has the whole limit."""
    messages = reader(4)
    messages.take(Opcode.TEXT, False, 0, b"ab")
    messages.take(Opcode.CONTINUATION, True, 0, b"cd")

    assert messages.take(Opcode.BINARY, False, 0, b"xy") is None
    assert messages.take(Opcode.CONTINUATION, True, 0, b"zw") == (Opcode.BINARY, b"xyzw")


def test_continuation_of_nothing_is_refused() -> None:
    """RFC 6455 §5.4."""
    with pytest.raises(ProtocolViolation, match="continuation of nothing") as caught:
        reader(10).take(Opcode.CONTINUATION, True, 0, b"")

    assert caught.value.code is CloseCode.PROTOCOL_ERROR


@pytest.mark.parametrize("opcode", [Opcode.TEXT, Opcode.BINARY])
def test_message_inside_a_message_is_refused(opcode: Opcode) -> None:
    """RFC 6455 §5.4: fragments of two messages do not mix."""
    messages = reader(10)
    messages.take(Opcode.TEXT, False, 0, b"a")

    with pytest.raises(ProtocolViolation, match="inside a fragmented one") as caught:
        messages.take(opcode, True, 0, b"b")

    assert caught.value.code is CloseCode.PROTOCOL_ERROR


@pytest.mark.parametrize("payloads", [[11], [5, 6], [10, 1], [10, 0, 1]])
def test_message_over_the_limit_is_refused(payloads: list[int]) -> None:
    """The limit counts the whole message, and is checked before the message is complete."""
    messages = reader(10)
    opcodes = [Opcode.TEXT] + [Opcode.CONTINUATION] * len(payloads)

    frames = [(opcode, b"x" * size) for opcode, size in zip(opcodes, payloads, strict=False)]
    for opcode, payload in frames[:-1]:
        assert messages.take(opcode, False, 0, payload) is None
    with pytest.raises(ProtocolViolation, match="more than 10 bytes") as caught:
        messages.take(frames[-1][0], False, 0, frames[-1][1])

    assert caught.value.code is CloseCode.MESSAGE_TOO_BIG


def test_message_of_the_very_limit_is_taken() -> None:
    """The limit is the largest size."""
    messages = reader(10)
    messages.take(Opcode.TEXT, False, 0, b"x" * 9)

    assert messages.take(Opcode.CONTINUATION, True, 0, b"x") == (Opcode.TEXT, b"x" * 10)


def test_empty_fragments_have_a_limit_too() -> None:
    """Each costs an object, whatever its size."""
    messages = reader(10)
    messages.take(Opcode.TEXT, False, 0, b"")
    for _ in range(MOST_FRAGMENTS - 1):
        messages.take(Opcode.CONTINUATION, False, 0, b"")

    with pytest.raises(ProtocolViolation, match="fragments") as caught:
        messages.take(Opcode.CONTINUATION, True, 0, b"")

    assert caught.value.code is CloseCode.POLICY_VIOLATION


def test_most_fragments_are_taken() -> None:
    """The limit is the largest number, the last one included."""
    messages = reader(10)
    messages.take(Opcode.TEXT, False, 0, b"")
    for _ in range(MOST_FRAGMENTS - 2):
        messages.take(Opcode.CONTINUATION, False, 0, b"")

    assert messages.take(Opcode.CONTINUATION, True, 0, b"end") == (Opcode.TEXT, b"end")


def test_text_is_refused_with_its_first_wrong_fragment() -> None:
    """RFC 6455 §8.1: nobody has to wait for the rest. A character may be cut between two fragments."""
    messages = reader(100)
    messages.take(Opcode.TEXT, False, 0, "é".encode()[:1])
    messages.take(Opcode.CONTINUATION, False, 0, "é".encode()[1:])

    with pytest.raises(ProtocolViolation) as caught:
        messages.take(Opcode.CONTINUATION, False, 0, b"\xff")

    assert caught.value.code is CloseCode.INVALID_TEXT


@pytest.mark.parametrize(
    ("inflates", "opcode", "reserved"),
    [
        (False, Opcode.TEXT, RSV1),
        (True, Opcode.TEXT, RSV2),
        (True, Opcode.TEXT, RSV1 | RSV3),
        (True, Opcode.CONTINUATION, RSV1),
    ],
)
def test_reserved_bits_that_mean_nothing_are_refused(inflates: bool, opcode: Opcode, reserved: int) -> None:
    """RFC 6455 §5.2, RFC 7692 §6.1."""
    with pytest.raises(ProtocolViolation) as caught:
        reader(10, inflates=inflates).take(opcode, True, reserved, b"")

    assert caught.value.code is CloseCode.PROTOCOL_ERROR


def test_compressed_message_is_inflated_whole() -> None:
    """Its fragments may be cut anywhere; the next message need not be compressed."""
    messages = reader(1000, inflates=True)
    body = deflated(b"x" * 500)

    assert messages.take(Opcode.TEXT, False, RSV1, body[:1]) is None
    assert messages.take(Opcode.CONTINUATION, True, 0, body[1:]) == (Opcode.TEXT, b"x" * 500)
    assert messages.take(Opcode.BINARY, True, 0, body) == (Opcode.BINARY, body)


def test_limit_holds_for_the_inflated_message() -> None:
    """However small it came."""
    with pytest.raises(ProtocolViolation) as caught:
        reader(100, inflates=True).take(Opcode.BINARY, True, RSV1, deflated(bytes(101)))

    assert caught.value.code is CloseCode.MESSAGE_TOO_BIG


def test_inflated_text_is_checked() -> None:
    """As any other."""
    with pytest.raises(ProtocolViolation) as caught:
        reader(100, inflates=True).take(Opcode.TEXT, True, RSV1, deflated(b"\xff"))

    assert caught.value.code is CloseCode.INVALID_TEXT


@pytest.mark.parametrize("compressed", [False, True])
def test_binary_message_comes_frame_by_frame_where_that_is_asked(compressed: bool) -> None:
    """The limit holds for each frame; text goes on as before."""
    messages = reader(100, inflates=compressed)
    messages.streams = True
    body = bytes(range(90)) * 3
    deflater = zlib.compressobj(wbits=-15)
    parts = [body[at : at + 90] for at in range(0, 270, 90)]
    if compressed:
        sent = [deflater.compress(part) + deflater.flush(zlib.Z_SYNC_FLUSH) for part in parts]
        sent[-1] = sent[-1][:-4]
    else:
        sent = parts

    taken = [
        messages.take(
            Opcode.BINARY if at == 0 else Opcode.CONTINUATION, at == 2, RSV1 if compressed and at == 0 else 0, part
        )
        for at, part in enumerate(sent)
    ]

    assert taken == [(Opcode.BINARY, part) for part in parts]
    assert messages.piecewise
    assert not messages.unfinished
    assert messages.take(Opcode.TEXT, True, 0, b"text") == (Opcode.TEXT, b"text")
    assert not messages.piecewise


DATA_FRAMES = st.tuples(
    st.sampled_from([Opcode.TEXT, Opcode.BINARY, Opcode.CONTINUATION]),
    st.booleans(),
    st.text("ab", max_size=8).map(str.encode),
)


@given(limit=st.integers(0, 20), frames=st.lists(DATA_FRAMES, max_size=20))
def test_any_frames_end_in_messages_or_one_violation(limit: int, frames: list[tuple[Opcode, bool, bytes]]) -> None:
    """Messages come out whole and in order, as a plain reading of RFC 6455 §5.4 says, or the connection ends."""
    messages = reader(limit)
    open_: tuple[Opcode, bytes] | None = None
    for opcode, fin, payload in frames:
        legal = (opcode is Opcode.CONTINUATION) == (open_ is not None)
        first, before = open_ if open_ is not None else (opcode, b"")
        whole = before + payload
        if not legal or len(whole) > limit:
            with pytest.raises(ProtocolViolation) as caught:
                messages.take(opcode, fin, 0, payload)
            expected = CloseCode.MESSAGE_TOO_BIG if legal else CloseCode.PROTOCOL_ERROR
            assert caught.value.code is expected
            return
        assert messages.take(opcode, fin, 0, payload) == ((first, whole) if fin else None)
        open_ = None if fin else (first, whole)
        assert messages.unfinished is (open_ is not None)
