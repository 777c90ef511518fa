"""Frames of the link: lengths, chunks, batches; failures and identities on it."""

from __future__ import annotations

import struct
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pylinkd.protocol import link
from pylinkd.protocol.errors import (
    ConflictError,
    ForbiddenError,
    HandlerTimeoutError,
    LinkdError,
    NotFoundError,
    RateLimitedError,
    ServiceUnavailableError,
    UnauthorizedError,
    UnknownMessageTypeError,
    ValidationError,
)
from pylinkd.protocol.identity import Identity
from pylinkd.protocol.link import MAX_FRAME_SIZE, Batch, FrameReader, LinkProtocolError, encode
from pylinkd.protocol.link_pb2 import Failure, Frame
from pylinkd.protocol.link_pb2 import Identity as WireIdentity
from pylinkd.protocol.link_values import fill_failure, fill_identity, read_failure, read_identity


def inbound(number: int, data: bytes = b"") -> Frame:
    """A frame that can be told from others."""
    frame = Frame(request_id=number)
    frame.inbound.type = f"t{number}"
    frame.inbound.data = data
    return frame


def chunks(data: bytes, cuts: list[int]) -> list[bytes]:
    """``data`` cut at these places."""
    places = sorted({min(cut, len(data)) for cut in cuts} | {0, len(data)})
    return [data[start:end] for start, end in pairwise(places)]


# frames


def test_frame_is_preceded_by_its_length() -> None:
    """Four bytes, big-endian, count the body."""
    encoded = encode(inbound(1, b"x"))

    assert struct.unpack(">I", encoded[:4]) == (len(encoded) - 4,)
    assert Frame.FromString(encoded[4:]) == inbound(1, b"x")


def test_frame_over_the_limit_is_not_encoded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sender notices first; one byte less is sent."""
    frame = inbound(1, b"x" * 1000)
    size = len(frame.SerializeToString())
    monkeypatch.setattr(link, "MAX_FRAME_SIZE", size)

    assert len(encode(frame)) == size + 4
    frame.inbound.data += b"x"
    with pytest.raises(LinkProtocolError, match=f"{size + 1} bytes exceeds the limit of {size}"):
        encode(frame)


@given(sizes=st.lists(st.integers(0, 300), max_size=8), cuts=st.lists(st.integers(0, 2500), max_size=30))
def test_frames_come_out_as_they_went_in(sizes: list[int], cuts: list[int]) -> None:
    """However the stream is cut, the same frames come out, in order."""
    frames = [inbound(number, b"x" * size) for number, size in enumerate(sizes)]
    reader = FrameReader()

    out = [frame for chunk in chunks(b"".join(map(encode, frames)), cuts) for frame in reader.feed(chunk)]

    assert out == frames


def test_limit_of_a_reader_holds_until_it_is_changed() -> None:
    """Between two frames of one chunk as well: what comes behind a registration may be large."""
    small, large = encode(inbound(1)), encode(inbound(2, b"x" * 1000))
    reader = FrameReader(100)
    numbers = []

    for frame in reader.feed(small + large):
        numbers.append(frame.request_id)
        reader.limit = 2000

    assert numbers == [1, 2]
    with pytest.raises(LinkProtocolError, match="exceeds the limit of 100"):
        list(FrameReader(100).feed(large[:4]))


def test_stream_of_single_bytes_is_read() -> None:
    """The smallest chunks of all."""
    reader = FrameReader()
    stream = encode(inbound(1, b"abc")) + encode(Frame()) + encode(inbound(2))

    out = [frame for byte in stream for frame in reader.feed(bytes((byte,)))]

    assert out == [inbound(1, b"abc"), Frame(), inbound(2)]


def test_frame_comes_out_with_its_last_byte() -> None:
    """A frame is not held back until the next one begins."""
    reader = FrameReader()
    encoded = encode(inbound(1, b"abc"))

    assert list(reader.feed(encoded[:-1])) == []
    assert list(reader.feed(encoded[-1:])) == [inbound(1, b"abc")]


def test_empty_chunk_changes_nothing() -> None:
    """Nothing comes of nothing, in the middle of a frame too."""
    reader = FrameReader()
    encoded = encode(inbound(1))

    assert list(reader.feed(b"")) == []
    assert list(reader.feed(encoded[:5])) == []
    assert list(reader.feed(b"")) == []
    assert list(reader.feed(encoded[5:])) == [inbound(1)]


@pytest.mark.parametrize("size", [MAX_FRAME_SIZE + 1, 2**31, 2**32 - 1])
@pytest.mark.parametrize("cut", [1, 4])
def test_oversized_length_is_refused_at_once(size: int, cut: int) -> None:
    """The length alone is enough: nothing of the body is waited for."""
    reader = FrameReader()
    header = struct.pack(">I", size)

    assert list(reader.feed(header[: cut - 1])) == []
    with pytest.raises(LinkProtocolError, match=f"{size} bytes exceeds"):
        list(reader.feed(header[cut - 1 :]))


def test_body_that_is_no_frame_is_refused() -> None:
    """Frames before it come out; protobuf's own error does not."""
    stream = encode(inbound(1)) + struct.pack(">I", 3) + b"\xff\xff\xff"
    frames = FrameReader().feed(stream)

    assert next(frames) == inbound(1)
    with pytest.raises(LinkProtocolError, match="not a frame"):
        next(frames)


@given(data=st.lists(st.binary(max_size=40), max_size=6))
def test_any_bytes_end_in_frames_or_a_protocol_error(data: list[bytes]) -> None:
    """Garbage raises nothing else."""
    reader = FrameReader()
    try:
        for chunk in data:
            for frame in reader.feed(chunk):
                assert isinstance(frame, Frame)
    except LinkProtocolError:
        pass


# batches


@given(pieces=st.lists(st.binary(min_size=1, max_size=10), max_size=20))
def test_batch_gives_all_of_it_once(pieces: list[bytes]) -> None:
    """What was added comes out joined and in order; then the batch is empty."""
    batch = Batch()

    counts = [batch.add(piece) for piece in pieces]

    assert counts == list(range(1, len(pieces) + 1))
    assert bool(batch) is bool(pieces)
    assert batch.take() == b"".join(pieces)
    assert not batch
    assert batch.take() == b""


# failures


ERRORS = [
    ForbiddenError("No."),
    ConflictError("Full.", type="ROOM_FULL", details={"limit": 3, "ü": [None]}),
    RateLimitedError(retry_after=1.5),
    LinkdError("Odd.", code=599, type="A"),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.type)
def test_failure_carries_the_whole_error(error: LinkdError) -> None:
    """Code, type, message, details and retry advice arrive."""
    failure = Failure()
    fill_failure(failure, error)

    read = read_failure(failure)

    assert (read.code, read.type, read.message) == (error.code, error.type, error.message)
    assert (read.details, read.retry_after) == (error.details, error.retry_after)


@pytest.mark.parametrize(
    "kind",
    [
        ConflictError, ForbiddenError, HandlerTimeoutError, NotFoundError, RateLimitedError, ServiceUnavailableError,
        UnauthorizedError, UnknownMessageTypeError, ValidationError,
    ],
)  # fmt: skip
def test_failure_is_read_as_the_error_that_was_raised(kind: type[LinkdError]) -> None:
    """What ``ctx.call`` and ``ctx.join`` promise to raise can be caught by that name."""
    failure = Failure()
    fill_failure(failure, kind())

    assert isinstance(read_failure(failure), kind)


def test_failure_with_a_type_of_its_own_is_of_its_codes_class() -> None:
    """``SESSION_GONE`` is a NotFoundError, ``TOO_MANY_ROOMS`` a ConflictError."""
    for error in (NotFoundError(type="SESSION_GONE"), ConflictError(type="TOO_MANY_ROOMS")):
        failure = Failure()
        fill_failure(failure, error)

        read = read_failure(failure)

        assert isinstance(read, type(error))
        assert read.type == error.type


def test_shortest_retry_advice_is_not_lost() -> None:
    """0 stands for "not said", so that the shortest advice is a millisecond."""
    failure = Failure()
    fill_failure(failure, RateLimitedError(retry_after=0.0))

    assert read_failure(failure).retry_after == 0.001


@pytest.mark.parametrize(
    "wrong",
    [
        {"code": 200}, {"code": 0}, {"code": 600}, {"type": "lower"}, {"type": ""}, {"details": b"{"},
        {"details": b"[1]"}, {"details": b"\xff"}, {"details": b'{"a":"\xff"}'}, {"retry_after_ms": -5},
        {"retry_after_ms": 2**62}, {"details": b'{"a":' + b"[" * 5000 + b"]" * 5000 + b"}"},
    ],
    ids=lambda wrong: f"{next(iter(wrong))}={str(next(iter(wrong.values())))[:12]}",
)  # fmt: skip
def test_faulty_failure_becomes_a_plain_one(wrong: dict[str, Any]) -> None:
    """A faulty peer's error is an error still, and of the shape that the wire has."""
    failure = Failure(**{"code": 404, "type": "NOT_FOUND", "message": "Gone.", **wrong})

    error = read_failure(failure)

    assert 400 <= error.code <= 599
    assert error.type.isupper()


def test_details_that_json_cannot_tell_are_refused() -> None:
    """The caller learns of it by a TypeError, as promised."""
    with pytest.raises(TypeError):
        fill_failure(Failure(), ForbiddenError(details={"x": object()}))


# identities


IDENTITIES = [
    Identity(user="u", name="u"),
    Identity(user="ü", name="Una", roles=frozenset({"b", "a"}), claims={"sub": "ü", "x": [1, {}]}, expires_at=1.5),
]


@pytest.mark.parametrize("identity", IDENTITIES, ids=["bare", "full"])
def test_identity_arrives(identity: Identity) -> None:
    """All of it, roles and claims included."""
    wire = WireIdentity()
    fill_identity(wire, identity)

    assert read_identity(WireIdentity.FromString(wire.SerializeToString())) == identity


@pytest.mark.parametrize("expires_at", [1e15, 1e17, 1e300])
def test_identity_whose_end_is_far_away_arrives(expires_at: float) -> None:
    """An issuer's way of saying "never" is no reason to fail: any finite ``exp`` can be told."""
    wire = WireIdentity()
    fill_identity(wire, Identity(user="u", name="u", expires_at=expires_at))

    assert read_identity(wire).user == "u"
