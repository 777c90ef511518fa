"""Whatever bytes come: messages, or one close code; a request, or a refusal; never an exception, never more memory."""

from __future__ import annotations

import contextlib
import tracemalloc

import httptools
import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from pylinkd.gateway.core.format import MAX_WINDOW_BITS, MIN_WINDOW_BITS
from pylinkd.gateway.edge.deflate import Inflater, negotiate
from pylinkd.gateway.edge.handshake import Head, OpeningRequest, VersionRequiredError
from pylinkd.gateway.edge.violation import ProtocolViolation
from pylinkd.protocol.envelope import JSON, MSGPACK, Codec, Message
from pylinkd.protocol.errors import BadRequestError
from pylinkd.protocol.link import FrameReader, LinkProtocolError, encode
from pylinkd.protocol.link_pb2 import Frame
from tests.integration.raw_websocket import opening

from .cases import CLOSE, PONG, TEXT, close, frame
from .strategies import conversations, corrupted, cut, deflated, envelopes, floods, ids, json_values, places, streams
from .subject import LIMIT, Subject, subject

codecs = st.sampled_from([JSON, MSGPACK])
windows = st.sampled_from([None, 9, 15])

# What a client may be told: what it did wrong, or the code that it sent itself.
OWN_CODES = {None, 1002, 1007, 1008, 1009}
ECHOED_CODES = {*range(1000, 1004), *range(1007, 1015), *range(3000, 5000)}


def fuzzed(examples: int) -> settings:
    """Bounded by number and not by time: how long an example takes says more of the machine than of the gateway."""
    return settings(max_examples=examples, deadline=None)


# a connection


@fuzzed(400)
@given(streams, places, codecs, windows)
async def test_any_stream_ends_in_messages_or_a_close_code(
    stream: bytes, places: list[int], codec: Codec, window_bits: int | None
) -> None:
    """Nothing is raised and nothing logged; the session ends once; what follows the close frame is nobody's."""
    async with subject(codec, window_bits) as client:
        client.say(cut(stream, places))

        assert client.failures == []
        opcodes = [received.opcode for received in client.heard]
        if CLOSE in opcodes:
            assert set(client.codes) <= OWN_CODES | ECHOED_CODES
            assert set(opcodes[opcodes.index(CLOSE) :]) == {CLOSE}
            taken = len(client.messages)
            client.say([frame(TEXT, b'{"type":"late"}')])
            assert len(client.messages) == taken
        assert all(len(message.data) <= LIMIT for message in client.messages)
        await client.lose()
        assert len(client.ends) == 1


@fuzzed(150)
@given(st.data(), codecs, windows)
async def test_conversation_is_understood_however_it_is_cut(
    data: st.DataObject, codec: Codec, window_bits: int | None
) -> None:
    """Every message arrives once and in order, every ping is answered, and the connection stays."""
    said = data.draw(conversations(codec, window_bits is not None))

    async with subject(codec, window_bits) as client:
        client.say(cut(said.data, data.draw(places)))

        assert client.failures == []
        assert [message.type for message in client.messages] == [message["type"] for message in said.messages]
        assert [message.id for message in client.messages] == [message.get("id") for message in said.messages]
        assert [(received.opcode, received.payload) for received in client.heard] == [
            (PONG, payload) for payload in said.pings
        ]
        await client.lose()


@fuzzed(60)
@given(st.lists(floods, max_size=2), st.lists(streams, max_size=5), places, windows)
async def test_any_stream_costs_no_more_than_the_limits(
    first: list[bytes], then: list[bytes], places: list[int], window_bits: int | None
) -> None:
    """A client holds the buffer it is read into, one message and what is inflated of it, whatever it sends."""
    stream = b"".join([*first, *then])
    # As a socket gives them: what the harness copies of larger ones would count.
    pieces = cut(stream, [*places, *range(0, len(stream), 4096)])
    async with subject(JSON, window_bits) as client:
        peak = _peak(client, pieces)

        # The doubles keep what is written and handed on; a message handed on is no longer the connection's. An answer
        # is compressed with a quarter of a mebibyte that zlib takes for as long.
        kept = sum(map(len, client.transport.written)) + 4096 * (len(client.messages) + len(client.transport.written))
        assert peak <= 2**19 + kept
        await client.lose()


def _peak(client: Subject, pieces: list[bytes], *, beyond_close: bool = False) -> int:
    """Bytes that feeding takes at most. What comes behind the gateway's close frame is only sent on demand."""
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for piece in pieces:
        if client.closed and not beyond_close:
            break
        client.say([piece])
    peak = tracemalloc.get_traced_memory()[1] - before
    tracemalloc.stop()
    return peak


async def test_what_comes_behind_a_wrong_frame_is_not_kept() -> None:
    """A connection that is closing has no use for it."""
    async with subject() as client:
        peak = _peak(client, [b"\x81\x00", *[bytes(4096)] * 256], beyond_close=True)

        await client.lose()
        assert peak < 2**18


async def test_close_frame_is_the_last_frame() -> None:
    """However wrong what the client still sends is (RFC 6455 §5.5.1)."""
    async with subject() as client:
        client.say([frame(TEXT, b"\xff"), b"\x83\x80"])

        codes = client.codes
        await client.lose()
        assert codes == [1007]


async def test_message_counts_whatever_comes_behind_it() -> None:
    """A good message is taken, and a close frame answered, though what arrives together with them is wrong."""
    async with subject() as client:
        client.say([frame(TEXT, b'{"type":"good"}') + close(4000) + b"\x83\x80"])

        messages, codes = [message.type for message in client.messages], client.codes
        await client.lose()
        assert (messages, codes) == (["good"], [4000])


# the opening handshake


class _Parsed:
    """What HTTP's parser makes of a head."""

    def __init__(self) -> None:
        self.target = b""
        self.fields: list[tuple[bytes, bytes]] = []

    def on_url(self, url: bytes) -> None:
        self.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.fields.append((name.lower(), value))


def parse(raw: bytes) -> Head:
    """As asyncio servers do."""
    parsed = _Parsed()
    parser = httptools.HttpRequestParser(parsed)
    with contextlib.suppress(httptools.HttpParserUpgrade):
        parser.feed_data(raw)
    return Head(parser.get_method(), parsed.target, parsed.fields)


@fuzzed(300)
@given(st.data())
def test_any_head_is_a_request_or_an_error(data: st.DataObject) -> None:
    """Noise, and heads with noise in them."""
    good = opening("/ws/echo?token=a&x=%C3%BC", 80, "Sec-WebSocket-Protocol: linkd.v1+json, other")
    head = data.draw(st.binary(max_size=500) | corrupted(good))

    with contextlib.suppress(BadRequestError, VersionRequiredError, httptools.HttpParserError):
        assert OpeningRequest.of(parse(head)).headers["host"] is not None


_PARAMETERS = st.sampled_from([
    "server_no_context_takeover", "client_no_context_takeover", "server_max_window_bits", "client_max_window_bits",
    "server_max_window_bits=8", "server_max_window_bits=9", "server_max_window_bits=15", 'client_max_window_bits="10"',
    "client_max_window_bits=8", "server_max_window_bits=٩", "unknown", "", "=", '"',
])  # fmt: skip
_OFFERS = st.lists(
    st.lists(_PARAMETERS, max_size=4).map(lambda parameters: "; ".join(["permessage-deflate", *parameters])), max_size=4
)


@fuzzed(300)
@given(st.text(max_size=100) | _OFFERS.map(", ".join))
def test_any_offer_is_declined_or_agreed_on(offers: str) -> None:
    """What is agreed on was offered, is ASCII, and names a window that zlib can keep to."""
    agreement = negotiate(offers)

    if agreement is not None:
        assert MIN_WINDOW_BITS <= agreement.window_bits <= MAX_WINDOW_BITS
        assert agreement.header.isascii()
        if "server_max_window_bits" in agreement.header:
            assert f"server_max_window_bits={agreement.window_bits}" in offers.replace('"', "")


# compression


@fuzzed(300)
@given(st.data(), places)
def test_any_data_inflates_within_the_limit_or_is_a_violation(data: st.DataObject, places: list[int]) -> None:
    """Whole, and in parts cut anywhere: the parts together are the whole."""
    body = deflated(data.draw(st.binary(max_size=2 * LIMIT)), final=data.draw(st.booleans()))
    body = data.draw(st.binary(max_size=300) | corrupted(body))
    parts = cut(body, places) or [b""]

    try:
        whole = Inflater(LIMIT).feed(body, True)
    except ProtocolViolation:
        whole = None
    try:
        inflater = Inflater(LIMIT)
        pieces = [inflater.feed(part, index == len(parts) - 1) for index, part in enumerate(parts)]
    except ProtocolViolation:
        assert whole is None
        return
    assert all(len(piece) <= LIMIT for piece in pieces)
    # The limit is one call's: parts may have what is too much at once.
    assert whole is None or b"".join(pieces) == whole


# messages


@fuzzed(400)
@given(st.data(), codecs)
def test_any_payload_is_a_message_or_a_bad_request(data: st.DataObject, codec: Codec) -> None:
    """Noise, broken envelopes, and nesting of any depth."""
    value = data.draw(envelopes | json_values)
    encoded = msgspec.msgpack.encode(value) if codec is MSGPACK else msgspec.json.encode(value)
    deep = st.integers(0, 20_000).map(lambda depth: (b"\x91" if codec is MSGPACK else b"[") * depth)
    payload = data.draw(st.binary(max_size=300) | corrupted(encoded) | deep | deep.map(lambda opened: encoded + opened))

    try:
        message = codec.decode(payload)
    except BadRequestError as error:
        answer = codec.error(getattr(error, "id", None), error)
        assert b"error" in answer
    else:
        assert isinstance(message, Message)


@fuzzed(300)
@given(envelopes, ids.filter(lambda id: id is not None), codecs)
def test_envelope_and_its_answer_keep_what_they_carry(value: dict[str, object], id: str | int, codec: Codec) -> None:
    """What is sent is read, and comes back under the id."""
    module = msgspec.msgpack if codec is MSGPACK else msgspec.json

    message = codec.decode(module.encode(value))
    answer = module.decode(codec.response(id, bytes(message.data)))

    assert (message.type, message.id) == (value["type"], value.get("id"))
    assert answer == {"type": "response", "id": id, "data": value.get("data")}


# the link


@fuzzed(300)
@given(st.data(), places)
def test_any_bytes_on_the_link_are_frames_or_an_error(data: st.DataObject, places: list[int]) -> None:
    """A peer that sends noise is cut off, and costs nothing else."""
    good = b"".join(
        encode(Frame(request_id=number)) for number in data.draw(st.lists(st.integers(0, 2**32), max_size=5))
    )
    stream = data.draw(st.binary(max_size=500) | corrupted(good))
    reader = FrameReader()

    with contextlib.suppress(LinkProtocolError):
        for piece in cut(stream, places):
            for received in reader.feed(piece):
                assert isinstance(received, Frame)


@fuzzed(200)
@given(st.lists(st.integers(0, 2**32), max_size=10), places)
def test_frames_on_the_link_come_back_however_they_are_cut(numbers: list[int], places: list[int]) -> None:
    """In order, the empty ones too."""
    frames = [Frame(request_id=number) for number in numbers]
    reader = FrameReader()

    pieces = cut(b"".join(map(encode, frames)), places)
    received = [frame for piece in pieces for frame in reader.feed(piece)]

    assert received == frames
