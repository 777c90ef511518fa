"""A service's policy for text: every string that comes in, wherever it stands, in both codecs."""

from __future__ import annotations

import datetime
import decimal
import json
from typing import Any

import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pylinkd import BadRequestError, EventContext, HttpContext, Service, TextPolicy, ValidationError, WsContext
from pylinkd.sdk.validation import Schema
from pylinkd.testing import run
from pylinkd.text import clean

STRIP = TextPolicy(controls="strip")
COMPOSE = TextPolicy(normalize=True)

CHARACTERS = [*map(chr, [*range(9), 11, 12, *range(14, 32), *range(127, 160)]), *"\u2028\u2029\u202a\u202e\u2066\u2069"]

TEXT = st.text(alphabet=st.characters(codec="utf-8") | st.sampled_from('ab\\u\n"“\0\x7f\x85\u202e\u0301'))
DATA = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=8,
)


class Note(msgspec.Struct):
    text: str
    tags: list[str] = []
    more: dict[str, Any] = {}


class ModelNote(pydantic.BaseModel):
    text: str


def written(value: Any, codec: str) -> tuple[bytes, bool]:
    """The value in a codec, and whether that is MessagePack: JSON as it is, and JSON with all that may be escaped."""
    if codec == "msgpack":
        return msgspec.msgpack.encode(value), True
    return json.dumps(value, ensure_ascii=codec == "escaped").encode(), False


CODECS = pytest.mark.parametrize("codec", ["plain", "escaped", "msgpack"])


@CODECS
@pytest.mark.parametrize("schema", [Note, ModelNote, Any])
@pytest.mark.parametrize("character", CHARACTERS, ids=ascii)
def test_control_character_is_refused_with_its_field(character: str, schema: Any, codec: str) -> None:
    """Whatever the schema and however it is written."""
    with pytest.raises(ValidationError) as caught:
        Schema(schema).read(*written({"text": f"a{character}b"}, codec))

    assert caught.value.details == {
        "field": "text", "reason": "control characters are not allowed", "rule": "control",
    }  # fmt: skip


@CODECS
@pytest.mark.parametrize("character", CHARACTERS, ids=ascii)
def test_control_character_is_taken_out(character: str, codec: str) -> None:
    """Of values and of names, before the schema sees them."""
    data = {f"te{character}xt": f"a{character}b", "tags": [character], "more": {character: {"x": character}}}

    assert Schema(Note, STRIP).read(*written(data, codec)) == Note("ab", [""], {"": {"x": ""}})


@CODECS
def test_lines_escapes_and_signs_are_text(codec: str) -> None:
    """What only looks like a control character to the search is left alone."""
    text = 'tab\there\r\n"quoted" C:\\users\\b\\f \\u0000 “…” a\u00a0b 世界 🙂 \u200f'

    assert Schema(Note).read(*written({"text": text, "more": {"n": [0, 31, 127, 2**63]}}, codec)).text == text


@pytest.mark.parametrize(
    ("data", "field"),
    [
        ({"text": "a", "tags": ["b", "\0"]}, "tags[1]"),
        ({"text": "a", "more": {"deep": [{"er": "\0"}]}}, "more.deep[0].er"),
        ({"text": "a", "more": {"secret key!": "\0"}}, "more[...]"),
        ({"text": "a", "more": {"\0": 1}}, "more[...]"),
        ({"text": "a", "unknown": "\0"}, "unknown"),
        ({"text": "a", "more": {"n" * 65: "\0"}}, "more[...]"),
    ],
)
@CODECS
def test_place_is_told_without_the_text(data: Any, field: str, codec: str) -> None:
    """Indices and plain names; other names are the client's text."""
    with pytest.raises(ValidationError) as caught:
        Schema(Note).read(*written(data, codec))

    assert caught.value.details is not None
    assert caught.value.details["field"] == field


def test_place_has_a_bound() -> None:
    """However deep it is."""
    value: Any = "\0"
    for _ in range(100):
        value = {"n" * 60: value}

    with pytest.raises(ValidationError) as caught:
        Schema(Any).read(json.dumps(value).encode())

    assert caught.value.details is not None
    assert len(caught.value.details["field"]) == 256


@pytest.mark.parametrize("policy", [TextPolicy(), STRIP, COMPOSE])
@pytest.mark.parametrize("schema", [Note, ModelNote, Any])
@pytest.mark.parametrize(
    ("data", "msgpack"),
    [
        (rb'{"text":"\ud800"}', False),
        (rb'{"text":"\udc00 x"}', False),
        (rb'{"text":"\ud800\ud800"}', False),
        (b'{"text":"\xed\xa0\x80"}', False),
        (b"\x81\xa4text\xa3\xed\xa0\x80", True),
    ],
)
def test_half_of_a_surrogate_pair_is_refused(data: bytes, msgpack: bool, schema: Any, policy: TextPolicy) -> None:
    """Escaped or not: it is no text in either codec."""
    with pytest.raises(BadRequestError, match="not well formed"):
        Schema(schema, policy).read(data, msgpack)


@pytest.mark.parametrize("policy", [TextPolicy(), STRIP, COMPOSE])
@pytest.mark.parametrize(
    "data", [b"\x7f{}", b'{"a":1\x7f}', b"{\xc2\x85}", b'{"a":"\x00"}', b'{"a":"\x1b"}', b'"\\u00']
)
def test_control_character_outside_a_string_is_no_json(data: bytes, policy: TextPolicy) -> None:
    """Nor one that is not escaped; taking it out must not make JSON of it."""
    with pytest.raises(BadRequestError, match="not well formed"):
        Schema(Any, policy).read(data)


@pytest.mark.parametrize("policy", [STRIP, COMPOSE])
@CODECS
def test_composing_and_taking_out_change_nothing_else(policy: TextPolicy, codec: str) -> None:
    """Numbers of any size, and what is no string at all."""
    data = {
        "x": "e\u0301" if policy is COMPOSE else "é\0",
        "n": [0, -1, 2**64 - 1, -(2**63), 1.5, 1e300, -0.0, True, None],
    }

    assert Schema(Any, policy).read(*written(data, codec)) == {**data, "x": "é"}


def test_numbers_keep_their_digits() -> None:
    """Data that is written anew has the same integers and fractions as before, too long for 64 bits or not."""

    class Price(msgspec.Struct):
        text: str
        price: decimal.Decimal
        number: int

    price, number = "0.10000000000000000000000001", 10**300
    read = Schema(Price, STRIP).read(f'{{"text":"\\u0000","price":{price},"number":{number}}}'.encode())

    assert read == Price("", decimal.Decimal(price), number)


def test_what_only_messagepack_can_tell_is_kept() -> None:
    """Bytes that look like control characters, times, and keys that are no strings."""
    when = datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)
    rest = {"bytes": b"\x00\x7f\xc2\x85", "when": when, 7: 1}

    read = Schema(Any, STRIP).read(msgspec.msgpack.encode({"x": "\0", (1, "a\0"): 2, **rest}), True)

    assert read == {"x": "", (1, "a"): 2, **rest}


@given(data=DATA, codec=st.sampled_from(["plain", "escaped", "msgpack"]))
def test_search_misses_nothing(data: Any, codec: str) -> None:
    """Looking at bytes finds exactly what looking at every string finds."""
    dirty = any(_is_dirty(text) for text in _strings(data))

    try:
        read = Schema(Any).read(*written(data, codec))
    except ValidationError:
        assert dirty
    else:
        assert not dirty
        assert read == data


@given(data=DATA, codec=st.sampled_from(["plain", "escaped", "msgpack"]), normalize=st.booleans())
def test_result_is_clean(data: Any, codec: str, normalize: bool) -> None:
    """Every string that a handler gets has been cleaned as ``clean`` does it."""
    policy = TextPolicy(controls="strip", normalize=normalize)

    read = Schema(Any, policy).read(*written(data, codec))

    assert set(_strings(read)) <= {clean(text, controls="strip", normalize=normalize) for text in _strings(data)}
    assert not any(_is_dirty(text) for text in _strings(read))


def _strings(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [text for pair in value.items() for part in pair for text in _strings(part)]
    return [text for item in value for text in _strings(item)] if isinstance(value, list) else []


def _is_dirty(text: str) -> bool:
    return clean(text, controls="strip") != text


@pytest.mark.parametrize("policy", [TextPolicy(), STRIP, COMPOSE])
@pytest.mark.parametrize("msgpack", [False, True])
def test_no_data_is_null(policy: TextPolicy, msgpack: bool) -> None:
    """Under every policy."""
    assert Schema(Any, policy).read(b"", msgpack) is None


@pytest.mark.parametrize("schema", [Note, ModelNote])
def test_query_is_held_to_the_policy(schema: Any) -> None:
    """Its values are text as well, and its names."""
    with pytest.raises(ValidationError) as caught:
        Schema(schema).convert({"text": "a\0"})

    assert caught.value.details is not None
    assert caught.value.details["field"] == "text"
    assert Schema(schema, STRIP).convert({"te\0xt": "a\0"}).text == "a"


def test_policy_is_one_of_three() -> None:
    """A typing error stops the start."""
    wrong: Any = "ignore"

    with pytest.raises(ValueError, match="'refuse', 'strip' or 'keep', not 'ignore'"):
        TextPolicy(controls=wrong)


# numbers and depth


@pytest.mark.parametrize("schema", [Any, int, float, dict[str, Any], list[float], ModelNote])
@pytest.mark.parametrize("number", ["1" + "0" * 5000, "-1" + "0" * 5000, "1e999", "-1e999", "1e" + "9" * 5000])
@pytest.mark.parametrize("form", ["{}", "[{}]", '{{"x":{}}}', '{{"x":{},"t":"\\u0000"}}'])
def test_huge_number_is_refused(schema: Any, number: str, form: str) -> None:
    """It is never infinite: the answer is 422, or 400."""
    with pytest.raises((ValidationError, BadRequestError)):
        Schema(schema, STRIP).read(form.format(number).encode())


@pytest.mark.parametrize("policy", [TextPolicy(), STRIP, COMPOSE])
@pytest.mark.parametrize("schema", [Any, Note, ModelNote])
@pytest.mark.parametrize(
    ("data", "msgpack"),
    [
        (b"[" * 5000 + b"]" * 5000, False),
        (b'{"text":' * 5000 + b"1" + b"}" * 5000, False),
        (b'{"more":' + b"[" * 5000 + rb'"\u0000"' + b"]" * 5000 + b"}", False),
        (b'{"t":"\\u0041\xc3\xa9","text":' + b"[" * 800 + b'"\x7f"' + b"]" * 800 + b"}", False),
        (b"\x91" * 5000 + b"\xc0", True),
    ],
)
def test_deep_data_is_refused(data: bytes, msgpack: bool, schema: Any, policy: TextPolicy) -> None:
    """With 400, or with 422 where the type is wrong already."""
    with pytest.raises((BadRequestError, ValidationError)):
        Schema(schema, policy).read(data, msgpack)


# services


async def test_policy_holds_for_all_that_a_service_is_told() -> None:
    """Messages, also without a schema and of types that nobody names, actions, their query, and events."""
    service = Service("notes", text=STRIP)
    heard: list[Any] = []

    @service.ws.on("note")
    async def note(ctx: WsContext, data: Note) -> Any:
        return [data.text, ctx.data["text"]]

    @service.ws.on_message
    async def anything(ctx: WsContext, data: Any) -> Any:
        return data

    @service.action("add", route="/notes", method="POST")
    async def add(ctx: HttpContext, data: Note) -> str:
        return data.text

    @service.action("find", route="/notes")
    async def find(ctx: HttpContext, data: Note) -> str:
        return data.text

    @service.events.on("noted")
    async def noted(ctx: EventContext, data: Note) -> None:
        heard.append(data.text)

    async with run(service) as gateway:
        client = await gateway.connect()
        assert await client.send("note", {"text": "a\0"}) == ["a", "a"]
        assert await client.send("other", "a\0") == "a"
        assert (await gateway.request("POST", "/notes", body={"text": "a\0"})).body == b'"a"'
        assert (await gateway.request("GET", "/notes", query={"text": "a\0"})).body == b'"a"'
        assert await gateway.call("add", {"text": "a\0"}) == "a"
        await gateway.emit("noted", {"text": "a\0"})
    assert heard == ["a"]


async def test_service_refuses_unless_told() -> None:
    """The default; ``ctx.data`` raises it too, where a handler asks for no data."""
    service = Service("notes")

    @service.ws.on("note")
    async def note(ctx: WsContext, data: Any) -> Any:
        return data

    @service.ws.on("bare")
    async def bare(ctx: WsContext) -> Any:
        return ctx.data

    async with run(service) as gateway:
        client = await gateway.connect()
        for type in ("note", "bare"):
            with pytest.raises(ValidationError) as caught:
                await client.send(type, {"text": "a\0"})
            assert caught.value.details is not None
            assert caught.value.details["rule"] == "control"


@pytest.mark.parametrize("normalize", [False, True])
def test_control_characters_can_be_kept(normalize: bool) -> None:
    """For what is no text for people."""
    kept = Schema(Any, TextPolicy(controls="keep", normalize=normalize))

    assert kept.read(msgspec.json.encode("a\x00\u202e"), False) == "a\x00\u202e"
    assert kept.read(msgspec.msgpack.encode("a\x00\u202e"), True) == "a\x00\u202e"
