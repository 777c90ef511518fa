"""What handlers ask for, and what clients are told that does not fit."""

from __future__ import annotations

import dataclasses
import datetime
import enum
import uuid
from typing import Annotated, Any, Literal, TypedDict

import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pylinkd import BadRequestError, RegistrationError, Service, ValidationError, WsContext
from pylinkd.sdk.validation import Schema, encode
from pylinkd.testing import run


class Inner(msgspec.Struct):
    n: int


class StructUser(msgspec.Struct):
    name: Annotated[str, msgspec.Meta(min_length=1)]
    age: int = 0
    inner: list[Inner] = []


@dataclasses.dataclass
class DataclassUser:
    name: str
    age: int = 0


class TypedDictUser(TypedDict):
    name: str
    age: int


class ModelUser(pydantic.BaseModel):
    name: str
    age: int = 0


class Color(enum.Enum):
    RED = "red"


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        (StructUser, StructUser("Una", 5)),
        (DataclassUser, DataclassUser("Una", 5)),
        (TypedDictUser, {"name": "Una", "age": 5}),
        (ModelUser, ModelUser(name="Una", age=5)),
        (dict[str, Any], {"name": "Una", "age": 5}),
        (Any, {"name": "Una", "age": 5}),
        (StructUser | None, StructUser("Una", 5)),
    ],
    ids=["struct", "dataclass", "typeddict", "pydantic", "dict", "any", "optional"],
)
@pytest.mark.parametrize("msgpack", [False, True], ids=["json", "msgpack"])
def test_data_becomes_what_the_handler_asks_for(schema: Any, expected: Any, msgpack: bool) -> None:
    """In both codecs."""
    data = encode({"name": "Una", "age": 5}, msgpack)

    assert Schema(schema).read(data, msgpack) == expected


@pytest.mark.parametrize(
    ("schema", "data", "expected"),
    [
        (int, 5, 5), (str, "x", "x"), (list[int], [1, 2], [1, 2]), (tuple[int, str], [1, "a"], (1, "a")),
        (Color, "red", Color.RED), (Literal["a", "b"], "a", "a"), (int | None, None, None),
        (datetime.date, "2026-01-02", datetime.date(2026, 1, 2)),
        (uuid.UUID, "12345678123456781234567812345678", uuid.UUID("12345678-1234-5678-1234-567812345678")),
        (Annotated[int, msgspec.Meta(ge=0)], 0, 0), (bytes, "aGk=", b"hi"),
    ],
)  # fmt: skip
def test_plain_types_are_schemas_too(schema: Any, data: Any, expected: Any) -> None:
    """Whatever msgspec reads."""
    assert Schema(schema).read(encode(data) or b"null") == expected


FAULTS: list[tuple[Any, Any, str, str]] = [
    (StructUser, {"age": 5}, "name", "missing required field"),
    (StructUser, {"name": "Una", "age": "five"}, "age", "Expected `int`, got `str`"),
    (StructUser, {"name": ""}, "name", "length >= 1"),
    (StructUser, {"name": "Una", "inner": [{"n": 1}, {"n": "x"}]}, "inner[1].n", "Expected `int`"),
    (StructUser, {"name": "Una", "inner": [{}]}, "inner[0].n", "missing required field"),
    (StructUser, [1], "", "Expected `object`, got `array`"),
    (StructUser, None, "", "got `null`"),
    (DataclassUser, {"name": 5}, "name", "Expected `str`"),
    (TypedDictUser, {"name": "Una"}, "age", "missing required field"),
    (ModelUser, {"age": 5}, "name", "Field required"),
    (ModelUser, {"name": "Una", "age": "five"}, "age", "valid integer"),
    (ModelUser, [1], "", "valid dictionary"),
    (int, "x", "", "Expected `int`"),
    (list[int], [1, "x"], "[1]", "Expected `int`"),
    (dict[str, int], {"a": "x"}, "[...]", "Expected `int`"),
    (Color, "blue", "", "blue"),
]


@pytest.mark.parametrize(("schema", "data", "field", "reason"), FAULTS)
def test_data_that_does_not_fit_is_told_with_field_and_reason(schema: Any, data: Any, field: str, reason: str) -> None:
    """Where, and why; the message has both."""
    with pytest.raises(ValidationError) as caught:
        Schema(schema).read(encode(data))

    details = caught.value.details
    assert details is not None
    assert details["field"] == field
    assert reason in details["reason"]
    assert caught.value.message.startswith(field)
    assert details["reason"] in caught.value.message


def test_pydantic_tells_all_faults() -> None:
    """The first one as everywhere, and a list of all; values are not told back."""
    with pytest.raises(ValidationError) as caught:
        Schema(ModelUser).read(b'{"name":5,"age":"secret"}')

    details = caught.value.details
    assert details is not None
    assert [fault["field"] for fault in details["errors"]] == ["name", "age"]
    assert "secret" not in str(details)
    assert msgspec.json.encode(details)


def test_error_of_a_pydantic_validator_is_told() -> None:
    """Its ValueError is a fault of the data."""

    class Picky(pydantic.BaseModel):
        n: int

        @pydantic.field_validator("n")
        @classmethod
        def even(cls, n: int) -> int:
            if n % 2:
                raise ValueError("odd")
            return n

    with pytest.raises(ValidationError, match="n: Value error, odd"):
        Schema(Picky).read(b'{"n":1}')


@pytest.mark.parametrize(
    ("data", "msgpack"),
    [
        (b"{", False),
        (b"\xff", False),
        (b'{"name":"\xff"}', False),
        (b'{"name":"\\ud800"}', False),
        (b"[" * 100_000, False),
        (b"\xc1", True),
        (b"\xa1\xff", True),
        (b"\x91" * 100_000, True),
    ],
)
@pytest.mark.parametrize("schema", [StructUser, ModelUser, Any])
def test_data_that_is_not_even_data_is_a_bad_request(schema: Any, data: bytes, msgpack: bool) -> None:
    """Broken, not UTF-8, or nested without end."""
    with pytest.raises((BadRequestError, ValidationError)):
        Schema(schema).read(data, msgpack)


@given(data=st.binary(max_size=60), msgpack=st.booleans())
def test_any_data_is_read_or_refused(data: bytes, msgpack: bool) -> None:
    """Nothing else is raised."""
    for schema in (SCHEMA_STRUCT, SCHEMA_MODEL, SCHEMA_ANY):
        try:
            schema.read(data, msgpack)
        except (BadRequestError, ValidationError):
            pass


SCHEMA_STRUCT, SCHEMA_MODEL, SCHEMA_ANY = Schema(StructUser), Schema(ModelUser), Schema(Any)


class Unreadable:
    """A class of the author's, which no data becomes."""


@pytest.mark.parametrize(
    "schema", [Unreadable, list[Unreadable], list[ModelUser], ModelUser | None, dict[str, ModelUser]]
)
def test_type_that_cannot_be_read_is_refused_at_registration(schema: Any) -> None:
    """Rather than with each message: a model inside another type is not read, an arbitrary class neither."""
    with pytest.raises(RegistrationError, match="cannot be read"):
        Schema(schema)


@pytest.mark.parametrize("schema", [StructUser, DataclassUser, TypedDictUser, ModelUser])
def test_strings_of_a_query_are_converted(schema: Any) -> None:
    """Numbers come as text there."""
    user = Schema(schema).convert({"name": "Una", "age": "5"})

    assert (user["age"] if isinstance(user, dict) else user.age) == 5
    with pytest.raises(ValidationError, match="age"):
        Schema(schema).convert({"name": "Una", "age": "five"})


# results


@pytest.mark.parametrize("msgpack", [False, True], ids=["json", "msgpack"])
@pytest.mark.parametrize(
    ("value", "told"),
    [
        (StructUser("Una"), {"name": "Una", "age": 0, "inner": []}),
        (DataclassUser("Una"), {"name": "Una", "age": 0}),
        (ModelUser(name="Una"), {"name": "Una", "age": 0}),
        ([ModelUser(name="Una")], [{"name": "Una", "age": 0}]),
        ({"when": datetime.date(2026, 1, 2), "color": Color.RED}, {"when": "2026-01-02", "color": "red"}),
        (0, 0), (False, False), ("", ""), ([], []),
    ],
)  # fmt: skip
def test_results_are_told(value: Any, told: Any, msgpack: bool) -> None:
    """Structs, dataclasses and models alike."""
    data = encode(value, msgpack)

    assert (msgspec.msgpack.decode(data) if msgpack else msgspec.json.decode(data)) == told


def test_nothing_is_empty() -> None:
    """None costs no byte."""
    assert encode(None) == encode(None, True) == b""


def test_result_that_cannot_be_told_is_named() -> None:
    """A TypeError with the type."""
    with pytest.raises(TypeError, match="Unreadable"):
        encode({"x": Unreadable()})


# handlers


async def test_handler_gets_what_it_asks_for() -> None:
    """By the annotation of its second parameter, or by validate=; without either, plain data."""
    service = Service("chat")

    @service.ws.on("annotated")
    async def annotated(ctx: WsContext, user: StructUser) -> str:
        return user.name

    @service.ws.on("told", validate=StructUser)
    async def told(ctx: WsContext, user: Any) -> str:
        assert isinstance(user, StructUser)
        return user.name

    @service.ws.on("plain")
    async def plain(ctx, data):  # type: ignore[no-untyped-def]
        return data

    async with run(service) as gateway:
        client = await gateway.connect()
        assert await client.send("annotated", {"name": "Una"}) == "Una"
        assert await client.send("told", {"name": "Una"}) == "Una"
        assert await client.send("plain", {"any": [1]}) == {"any": [1]}
        with pytest.raises(ValidationError, match="name") as caught:
            await client.send("annotated", {"age": 5})
    assert caught.value.details is not None
    assert caught.value.details["field"] == "name"


async def test_handler_without_data_does_not_look_at_it() -> None:
    """Whatever is sent; ctx.data decodes it if asked."""
    service = Service("chat")

    @service.ws.on("a")
    async def handler(ctx: WsContext) -> Any:
        return ctx.data

    async with run(service) as gateway:
        client = await gateway.connect()
        assert await client.send("a", [1, {"x": None}]) == [1, {"x": None}]
        assert await client.send("a") is None
