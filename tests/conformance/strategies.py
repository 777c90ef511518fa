"""What the fuzzing makes: frames, right and slightly wrong, messages in fragments, and streams cut anywhere."""

from __future__ import annotations

import itertools
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec
from hypothesis import strategies as st

from pylinkd.protocol.envelope import MSGPACK, Codec

from .cases import BINARY, CLOSE, CONT, PING, PONG, TEXT, frame
from .subject import FRAGMENTS, LIMIT

_OPCODES = [TEXT, BINARY, CONT, PING, PONG, CLOSE]


def deflated(payload: bytes, *, final: bool = False) -> bytes:
    """A payload as a client compresses it, with a final block or without."""
    deflater = zlib.compressobj(wbits=-15)
    body = deflater.compress(payload)
    return body + deflater.flush() if final else (body + deflater.flush(zlib.Z_SYNC_FLUSH))[:-4]


def cut(data: bytes, places: list[int]) -> list[bytes]:
    """The data in pieces, cut at these places where it is long enough."""
    bounds = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[start:end] for start, end in itertools.pairwise(bounds)]


places = st.lists(st.integers(0, 2**16), max_size=20)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abc", max_size=3), inner, max_size=4),
    max_leaves=10,
)  # fmt: skip

ids = st.none() | st.integers(-(2**63), 2**63 - 1) | st.text("abc-ü", max_size=128)

envelopes = st.fixed_dictionaries(
    {"type": st.text("abc.", min_size=1, max_size=20)}, optional={"data": json_values, "id": ids, "more": json_values}
)


@st.composite
def corrupted(draw: st.DrawFn, payload: bytes) -> bytes:
    """The payload with a few bytes changed, or cut off."""
    changed = bytearray(payload[: draw(st.integers(0, len(payload)))] if draw(st.booleans()) else payload)
    for _ in range(draw(st.integers(0, 3)) if changed else 0):
        changed[draw(st.integers(0, len(changed) - 1))] = draw(st.integers(0, 255))
    return bytes(changed)


# Up to what is a frame of less than the limit, and a thousand times as much when inflated.
bombs = st.sampled_from([LIMIT, LIMIT + 1, 900 * LIMIT]).map(lambda size: deflated(bytes(size)))


@st.composite
def payloads(draw: st.DrawFn) -> bytes:
    """Noise, envelopes, compressed envelopes, broken ones, and close codes with a reason."""
    kind = draw(st.sampled_from(["noise", "json", "msgpack", "deflated", "corrupt", "close", "bomb"]))
    if kind == "noise":
        return draw(st.binary(max_size=300))
    if kind == "close":
        return draw(st.integers(0, 2**16 - 1)).to_bytes(2, "big") + draw(st.binary(max_size=130))
    if kind == "bomb":
        return draw(bombs)
    value = draw(envelopes)
    if kind == "msgpack":
        return msgspec.msgpack.encode(value)
    body = msgspec.json.encode(value)
    if kind == "json":
        return body
    body = deflated(body, final=draw(st.booleans()))
    return draw(corrupted(body)) if kind == "corrupt" else body


@st.composite
def broken_frames(draw: st.DrawFn) -> bytes:
    """A frame in which any part of the head may be wrong."""
    payload = draw(payloads())
    opcode = draw(st.sampled_from(_OPCODES) | st.integers(0, 15))
    first = 0x80 * draw(st.booleans()) | draw(st.sampled_from([0, 0, 4, 1, 2, 7])) << 4 | opcode
    length = draw(st.sampled_from([len(payload)] * 6 + [0, 125, LIMIT, LIMIT + 1, 2**31, 2**63, 2**64 - 1]))
    shortest = 7 if length < 126 else 16 if length < 2**16 else 64
    form = draw(st.sampled_from([shortest] * 6 + [16, 64]))
    masked = 0x80 * draw(st.sampled_from([1] * 9 + [0]))
    if form == 7:
        head = struct.pack(">BB", first, masked | length)
    elif form == 16:
        head = struct.pack(">BBH", first, masked | 126, length & 0xFFFF)
    else:
        head = struct.pack(">BBQ", first, masked | 127, length)
    mask = draw(st.binary(min_size=4, max_size=4)) if masked else bytes(4)
    body = bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))
    return head + (mask if masked else b"") + body


good_frames = st.builds(
    lambda opcode, payload, fin, reserved: frame(opcode, payload, fin=fin, reserved=reserved),
    st.sampled_from(_OPCODES), payloads(), st.booleans(), st.sampled_from([0, 0, 0, 4]),
)  # fmt: skip


class Flood(bytes):
    """Bytes that hypothesis need not print: a megabyte of them says nothing."""

    def __repr__(self) -> str:
        return f"<{len(self)} bytes that begin with {self[:20]!r}>"


_counts = st.sampled_from([FRAGMENTS - 1, FRAGMENTS, 80_000])

floods = (
    st.lists(bombs.map(lambda bomb: frame(TEXT, bomb, reserved=4)), min_size=1, max_size=3).map(b"".join)
    | _counts.map(lambda count: frame(TEXT, fin=False) + frame(CONT, fin=False) * count)
    | _counts.map(lambda count: frame(TEXT, b"x" * 900, fin=False) + frame(CONT, b"xx", fin=False) * count)
).map(Flood)
"""What would cost memory: bombs, and fragments without end."""

streams = st.binary(max_size=2000) | st.lists(good_frames | broken_frames(), max_size=30).map(b"".join)


@dataclass(frozen=True)
class Conversation:
    """Frames in which nothing is wrong, the messages in them, and the payloads of the pings."""

    data: bytes
    messages: list[Mapping[str, object]]
    pings: list[bytes]


@st.composite
def conversations(draw: st.DrawFn, codec: Codec, deflates: bool) -> Conversation:
    """Messages in one frame or several, compressed or not, with pings and pongs between."""
    frames: list[bytes] = []
    messages: list[Mapping[str, object]] = []
    pings: list[bytes] = []

    def interrupt() -> None:
        for opcode in draw(st.lists(st.sampled_from([PING, PONG]), max_size=2)):
            payload = draw(st.binary(max_size=125))
            frames.append(frame(opcode, payload))
            if opcode == PING:
                pings.append(payload)

    for value in draw(st.lists(envelopes, max_size=8)):
        body = msgspec.msgpack.encode(value) if codec is MSGPACK else msgspec.json.encode(value)
        if len(body) > LIMIT:
            continue
        messages.append(value)
        compressed = deflates and draw(st.booleans())
        if compressed:
            body = deflated(body, final=draw(st.booleans()))
        parts = cut(body, draw(st.lists(st.integers(0, 2**16), max_size=FRAGMENTS - 1)))
        for index, part in enumerate(parts):
            interrupt()
            opcode = CONT if index else BINARY if codec is MSGPACK else TEXT
            first = compressed and not index
            frames.append(frame(opcode, part, fin=index == len(parts) - 1, reserved=4 * first))
    interrupt()
    return Conversation(b"".join(frames), messages, pings)
