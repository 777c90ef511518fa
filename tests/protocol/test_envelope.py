"""Messages between client and gateway, in both codecs."""

from __future__ import annotations

import contextlib
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pylinkd.protocol.envelope import (
    JSON,
    MAX_ID_LENGTH,
    MAX_TYPE_LENGTH,
    MSGPACK,
    SUBPROTOCOLS,
    BadEnvelopeError,
    Codec,
    ErrorBody,
    Message,
    error_body,
)
from pylinkd.protocol.errors import BadRequestError, ForbiddenError, InvalidJsonError, LinkdError, RateLimitedError

CODECS = [pytest.param(JSON, id="json"), pytest.param(MSGPACK, id="msgpack")]

pytestmark = pytest.mark.parametrize("codec", CODECS)


def encode(codec: Codec, value: Any) -> bytes:
    """The value as a client of this codec writes it."""
    return msgspec.msgpack.encode(value) if codec.binary else msgspec.json.encode(value)


def decode(codec: Codec, payload: bytes) -> Any:
    """The value as a client of this codec reads it."""
    return msgspec.msgpack.decode(payload) if codec.binary else msgspec.json.decode(payload)


# reading


def test_message_keeps_its_data_undecoded(codec: Codec) -> None:
    """Type and id are read, data stays the bytes that came."""
    data = encode(codec, {"text": "héllo", "n": [1, 2.5, None]})
    payload = encode(codec, {"type": "chat.send", "data": msgspec.Raw(data), "id": "c-1"})

    message = codec.decode(payload)

    assert (message.type, message.id, bytes(message.data)) == ("chat.send", "c-1", data)


def test_message_needs_only_a_type(codec: Codec) -> None:
    """Without data there are no bytes, without id no answer is wanted."""
    message = codec.decode(encode(codec, {"type": "ping"}))

    assert (message.type, message.id, bytes(message.data)) == ("ping", None, b"")


def test_message_may_say_null(codec: Codec) -> None:
    """A null id is no id; null data is data."""
    message = codec.decode(encode(codec, {"type": "ping", "id": None, "data": None}))

    assert message.id is None
    assert bytes(message.data) == encode(codec, None)


def test_message_may_carry_unknown_fields(codec: Codec) -> None:
    """A client of a later version is understood."""
    assert codec.decode(encode(codec, {"type": "a", "trace": {"x": [1]}, "id": 1})).id == 1


@pytest.mark.parametrize("id", ["", "c-17", "ü" * MAX_ID_LENGTH, 0, -1, 2**63 - 1, -(2**63)])
def test_id_is_read_as_it_came(codec: Codec, id: str | int) -> None:
    """Strings and 64-bit integers are ids; neither is turned into the other."""
    read = codec.decode(encode(codec, {"type": "a", "id": id})).id

    assert read == id
    assert type(read) is type(id)


@pytest.mark.parametrize("id", [1.5, True, [], {}, "x" * (MAX_ID_LENGTH + 1), 2**63, 2**64 - 1])
def test_other_ids_are_refused(codec: Codec, id: object) -> None:
    """The diagnosis names the field and what it may be, and carries no id that could not be read."""
    with pytest.raises(BadEnvelopeError, match="at most 128 characters or a 64-bit integer") as caught:
        codec.decode(encode(codec, {"type": "a", "id": id}))

    assert caught.value.details == {"field": "id"}
    assert caught.value.id is None


@pytest.mark.parametrize("type", ["", "x" * (MAX_TYPE_LENGTH + 1), 5, None, ["a"]])
def test_other_types_are_refused(codec: Codec, type: object) -> None:
    """The diagnosis names the field, and carries the id of whoever waits."""
    with pytest.raises(BadEnvelopeError, match="1 to 128 characters") as caught:
        codec.decode(encode(codec, {"type": type, "id": "c-1"}))

    assert caught.value.details == {"field": "type"}
    assert caught.value.id == "c-1"


def test_missing_type_is_told(codec: Codec) -> None:
    """The diagnosis says what is missing, and carries the id of whoever waits."""
    with pytest.raises(BadEnvelopeError, match='has no "type"') as caught:
        codec.decode(encode(codec, {"data": 1, "id": 7}))

    assert caught.value.details == {"field": "type"}
    assert caught.value.id == 7


@pytest.mark.parametrize("value", [None, 1, "text", [], [{"type": "a"}], True])
def test_something_else_than_an_object_is_told(codec: Codec, value: object) -> None:
    """Well-formed data that is no object is no message."""
    with pytest.raises(BadEnvelopeError, match='an object with a "type"'):
        codec.decode(encode(codec, value))


def test_longest_type_and_shortest_are_taken(codec: Codec) -> None:
    """The limits count characters, not bytes."""
    assert len(codec.decode(encode(codec, {"type": "ü" * MAX_TYPE_LENGTH})).type) == MAX_TYPE_LENGTH
    assert codec.decode(encode(codec, {"type": "a"})).type == "a"


GARBAGE: dict[str, list[bytes]] = {
    "json": [b"", b" ", b"\xff", b"{", b'{"type":', b'{"type":"a"}}', b"{'type':'a'}", b'{"type":"a","data":01}'],
    "msgpack": [b"", b"\xc1", b"\x81", b"\x82\xa4type\xa1a", b"\xdf\xff\xff\xff\xff", b"\xdd\xff\xff\xff\xff"],
}


def test_garbage_is_told_from_messages(codec: Codec) -> None:
    """What is not even data is a bad request; for JSON its own type says so."""
    for payload in GARBAGE[codec.name]:
        with pytest.raises(BadRequestError) as caught:
            codec.decode(payload)

        assert isinstance(caught.value, InvalidJsonError) is (codec is JSON), payload


@pytest.mark.parametrize("depth", [2_000, 200_000])
def test_deep_nesting_is_refused(codec: Codec, depth: int) -> None:
    """Nesting that no stack holds ends in a bad request, wherever it stands."""
    deep = b"\x91" * depth + b"\xc0" if codec.binary else b"[" * depth + b"]" * depth
    inside = (
        b"\x82\xa4type\xa1a\xa4data" + deep if codec.binary else b'{"type":"a","data":' + deep + b"}"
    )  # fmt: skip

    for payload in (deep, inside):
        with pytest.raises(BadRequestError):
            codec.decode(payload)


def test_invalid_utf8_in_the_envelope_is_refused(codec: Codec) -> None:
    """Strings that are not UTF-8 end in a bad request, be it the type, the id or a field's name."""
    broken = [
        (b'{"type":"\xff"}', b"\x81\xa4type\xa1\xff"),
        (b'{"type":"a","id":"\xff"}', b"\x82\xa4type\xa1a\xa2id\xa1\xff"),
        (b'{"id":"\xff"}', b"\x81\xa2id\xa1\xff"),
        (b'{"\xff":1}', b"\x81\xa1\xff\x01"),
        (b'"\xff"', b"\xa1\xff"),
    ]
    for text, binary in broken:
        with pytest.raises(BadRequestError):
            codec.decode(binary if codec.binary else text)


@given(payload=st.binary(max_size=200))
@example(payload=b"\x81\x80\x01")  # a map as key
@example(payload=b"\xd6\xff\xff\xff\xff\xff")  # a timestamp
@example(payload=b"\xc7\x0c\xff" + b"\xff" * 12)  # one that does not exist
@example(payload=b'{"type":"\\ud800"}')
def test_any_bytes_end_in_a_message_or_a_bad_request(codec: Codec, payload: bytes) -> None:
    """Nothing that a client can send raises anything else."""
    try:
        message = codec.decode(payload)
    except BadRequestError:
        return
    assert isinstance(message, Message)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=8,
)


@given(type=VALUES, id=VALUES, data=VALUES, junk=st.tuples(st.integers(0, 60), st.binary(max_size=3)))
def test_broken_messages_end_in_a_message_or_a_bad_request(
    codec: Codec, type: object, id: object, data: object, junk: tuple[int, bytes]
) -> None:
    """Nearly right messages, with fields of any kind and bytes overwritten, raise nothing else either."""
    try:
        payload = encode(codec, {"type": type, "id": id, "data": data})
    except OverflowError:
        return
    position, bytes_ = junk
    broken = payload[:position] + bytes_ + payload[position + len(bytes_) :]
    try:
        assert isinstance(codec.decode(broken), Message)
    except BadRequestError:
        pass


@given(type=st.text(min_size=1, max_size=20), id=st.text(max_size=20) | st.integers(-(2**63), 2**63 - 1), data=VALUES)
def test_every_envelope_is_read(codec: Codec, type: str, id: str | int, data: object) -> None:
    """Any type and id within the limits is read back, with the data byte for byte."""
    try:
        raw = encode(codec, data)
    except OverflowError:
        return
    message = codec.decode(encode(codec, {"data": msgspec.Raw(raw), "id": id, "type": type}))

    assert (message.type, message.id, bytes(message.data)) == (type, id, raw)


# writing


@pytest.mark.parametrize("id", ["c-1", 'quote " and \\', "ü\u2028", 0, -(2**63), 2**63 - 1])
def test_response_carries_the_id_as_it_came(codec: Codec, id: str | int) -> None:
    """The answer has the id that the message had, of the same kind, and the service's data untouched."""
    answer = decode(codec, codec.response(id, encode(codec, {"ok": [1, "ü"]})))

    assert answer == {"type": "response", "id": id, "data": {"ok": [1, "ü"]}}
    assert type(answer["id"]) is type(id)


def test_empty_data_is_null(codec: Codec) -> None:
    """A handler that returns nothing is answered with null."""
    assert decode(codec, codec.response(1, b"")) == {"type": "response", "id": 1, "data": None}
    assert decode(codec, codec.event("a.b", b"")) == {"type": "a.b", "data": None}


def test_error_carries_id_and_body(codec: Codec) -> None:
    """The error of the wire, with the id of the message that it answers."""
    error = ForbiddenError("No.", details={"room": "r"}, retry_after=1.5)

    assert decode(codec, codec.error("c-1", error)) == {
        "type": "error",
        "id": "c-1",
        "error": {
            "code": 403, "type": "FORBIDDEN", "message": "No.", "details": {"room": "r"}, "retryAfterMs": 1500,
        },
    }  # fmt: skip


def test_error_without_id_has_none(codec: Codec) -> None:
    """Where the message had no id, the error has no such field; nor fields that say nothing."""
    answer = decode(codec, codec.error(None, BadRequestError("Odd.", details={})))

    assert answer == {"type": "error", "error": {"code": 400, "type": "BAD_REQUEST", "message": "Odd."}}


def test_error_keeps_the_id_zero(codec: Codec) -> None:
    """0 and the empty string are ids."""
    assert decode(codec, codec.error(0, BadRequestError()))["id"] == 0
    assert decode(codec, codec.error("", BadRequestError()))["id"] == ""


def test_error_details_may_hold_any_number_that_json_can(codec: Codec) -> None:
    """Details come from services as JSON; whatever they hold, the client gets its error."""
    answer = decode(codec, codec.error(1, BadRequestError("Odd.", details={"n": 2**70})))

    assert answer["id"] == 1
    assert answer["error"]["type"] == "BAD_REQUEST"


def test_event_is_written_from_json(codec: Codec) -> None:
    """A service writes an event as JSON; each codec tells it in its own way."""
    event = codec.event("chat.message", b'{"text":"h\xc3\xa9","n":[1,2.5,null]}')

    assert decode(codec, event) == {"type": "chat.message", "data": {"text": "hé", "n": [1, 2.5, None]}}


def test_error_body_rounds_to_milliseconds(codec: Codec) -> None:
    """Retry advice is in whole milliseconds."""
    assert error_body(LinkdError(retry_after=0.0014))["retryAfterMs"] == 1


def test_codec_has_a_subprotocol(codec: Codec) -> None:
    """Each codec is reached by one subprotocol, JSON first."""
    assert SUBPROTOCOLS[f"linkd.v1+{codec.name}"] is codec
    assert next(iter(SUBPROTOCOLS)) == "linkd.v1+json"
    assert codec.binary is (codec is MSGPACK)


NO_VALUES = [
    b"{",
    b"\xff",
    b'"\xff"',
    b'"\xed\xa0\x80"',
    b'"\\ud800"',
    b'1,"type":"linkd.closing"',
    b'{}}{"type":"linkd.closing"',
    b"1 2",
    b"[" * 5000 + b"]" * 5000,
]


@pytest.mark.parametrize("data", NO_VALUES, ids=lambda data: repr(data[:8]))
def test_event_whose_data_is_no_json_is_refused(codec: Codec, data: bytes) -> None:
    """It is put into the message as it is: what ends the envelope could go on as a control message."""
    with pytest.raises(BadRequestError, match="is not JSON"):
        codec.event("a.b", data)


def test_number_that_msgpack_cannot_tell_is_refused(codec: Codec) -> None:
    """It is JSON, and more than MessagePack can hold."""
    if codec is MSGPACK:
        with pytest.raises(BadRequestError, match="MessagePack"):
            codec.event("a.b", b"1" * 30)
    else:
        assert b"1" * 30 in codec.event("a.b", b"1" * 30)


@pytest.mark.parametrize("data", NO_VALUES, ids=lambda data: repr(data[:8]))
def test_answer_whose_data_is_no_json_is_refused(codec: Codec, data: bytes) -> None:
    """A service's answer can no more end the envelope than its event."""
    if codec is MSGPACK:
        data = b"\xa1a" + data  # a value, and something behind it
    with pytest.raises(BadRequestError, match="answer's data"):
        codec.response(1, data)


# the client's side


@given(
    type=st.text(min_size=1, max_size=MAX_TYPE_LENGTH),
    id=st.none() | st.integers(-(2**63), 2**63 - 1) | st.text(max_size=MAX_ID_LENGTH),
    value=st.none() | st.integers(-(2**31), 2**31) | st.text() | st.lists(st.booleans()),
    stream=st.booleans(),
)
def test_what_one_side_writes_the_other_reads(codec: Codec, type: str, id: Any, value: Any, stream: bool) -> None:
    """Requests, answers, errors and events, in both codecs."""
    asked = codec.decode(codec.request(type, encode(codec, value), id, stream=stream))
    assert (asked.type, asked.id, asked.stream, decode(codec, bytes(asked.data))) == (type, id, stream, value)
    bare = codec.decode(codec.request(type))
    assert (bare.id, bare.stream, bytes(bare.data)) == (None, False, b"")

    if id is not None:
        answer = codec.read(codec.response(id, encode(codec, value)))
        assert (answer.type, answer.id, answer.error) == ("response", id, None)
        assert decode(codec, bytes(answer.data)) == value
    event = codec.read(codec.event(type, msgspec.json.encode(value)))
    assert (event.type, event.id, decode(codec, bytes(event.data))) == (type, None, value)
    failed = codec.read(codec.error(id, RateLimitedError("Slowly.", details={"a": 1}, retry_after=1.5)))
    assert (failed.type, failed.id) == ("error", id)
    assert failed.error == ErrorBody(429, "RATE_LIMITED", "Slowly.", {"a": 1}, 1500)


@given(payload=st.binary(max_size=40))
def test_what_no_gateway_sends_is_refused(codec: Codec, payload: bytes) -> None:
    """With one kind of error."""
    with contextlib.suppress(BadRequestError):
        codec.read(payload)
