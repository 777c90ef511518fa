"""Messages that are wrong: each gets its exact answer, and costs nobody else anything."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from tests.integration.client import Client, client, error_of
from tests.integration.raw_websocket import BINARY, CLOSE, TEXT, frame, raw_websocket
from tests.processes import Platform, make_token, platform

pytestmark = pytest.mark.asyncio(loop_scope="module")

LIMIT = 8192


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def echo(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Platform]:
    """A gateway that takes messages of 8 KiB, and the service ``echo``."""
    folder = tmp_path_factory.mktemp("p")
    async with platform(folder, "tests/services/echo.py", env={"LINKD_MAX_MESSAGE_SIZE": str(LIMIT)}) as running:
        yield running


async def assert_unharmed(one: Client, other: Client) -> None:
    """The next message of this connection and of another one are handled."""
    assert await one.ask("echo.any", "mine") == "mine"
    assert await other.ask("echo.any", "yours") == "yours"


BAD_ENVELOPES = [
    pytest.param("{", 400, "INVALID_JSON", None, id="not-json"),
    pytest.param("", 400, "INVALID_JSON", None, id="empty"),
    pytest.param('{"type":"echo.any"} x', 400, "INVALID_JSON", None, id="text-after-the-object"),
    pytest.param('{"type":"echo.any","data":{]}', 400, "INVALID_JSON", None, id="data-is-not-json"),
    pytest.param('{"type":"echo.any","data":NaN}', 400, "INVALID_JSON", None, id="nan"),
    pytest.param("[]", 400, "BAD_REQUEST", None, id="array"),
    pytest.param('"echo.any"', 400, "BAD_REQUEST", None, id="string"),
    pytest.param("null", 400, "BAD_REQUEST", None, id="null"),
    pytest.param("17", 400, "BAD_REQUEST", None, id="number"),
    pytest.param('{"data":1}', 400, "BAD_REQUEST", None, id="no-type"),
    pytest.param('{"type":5}', 400, "BAD_REQUEST", None, id="type-is-a-number"),
    pytest.param('{"type":null}', 400, "BAD_REQUEST", None, id="type-is-null"),
    pytest.param('{"type":""}', 400, "BAD_REQUEST", None, id="type-is-empty"),
    pytest.param(json.dumps({"type": "t" * 129}), 400, "BAD_REQUEST", None, id="type-is-too-long"),
    pytest.param('{"type":"echo.any","id":1.5}', 400, "BAD_REQUEST", None, id="id-is-a-fraction"),
    pytest.param('{"type":"echo.any","id":true}', 400, "BAD_REQUEST", None, id="id-is-a-boolean"),
    pytest.param('{"type":"echo.any","id":[1]}', 400, "BAD_REQUEST", None, id="id-is-an-array"),
    pytest.param('{"type":"echo.any","id":{}}', 400, "BAD_REQUEST", None, id="id-is-an-object"),
    pytest.param(json.dumps({"type": "echo.any", "id": "i" * 129}), 400, "BAD_REQUEST", None, id="id-is-too-long"),
    pytest.param('{"type":"echo.any","id":9223372036854775808}', 400, "BAD_REQUEST", None, id="id-over-64-bits"),
    pytest.param(
        '{"type":"echo.any","data":' + "[" * 1500 + "]" * 1500 + "}", 400, "BAD_REQUEST", None, id="nested-too-deeply"
    ),
    pytest.param('{"data":1,"id":"c-7"}', 400, "BAD_REQUEST", "c-7", id="no-type-but-an-id"),
    pytest.param('{"type":5,"id":7}', 400, "BAD_REQUEST", 7, id="type-is-a-number-with-an-id"),
    pytest.param('{"type":"echo.none","id":7}', 404, "UNKNOWN_MESSAGE_TYPE", 7, id="unknown-type"),
    pytest.param('{"type":"echo.none"}', 404, "UNKNOWN_MESSAGE_TYPE", None, id="unknown-type-without-id"),
    pytest.param('{"type":"linkd.welcome","id":7}', 404, "UNKNOWN_MESSAGE_TYPE", 7, id="reserved-type"),
    pytest.param('{"type":"echo.any\\u0000","id":7}', 404, "UNKNOWN_MESSAGE_TYPE", 7, id="type-with-a-nul"),
]


@pytest.mark.parametrize(("payload", "code", "type", "id"), BAD_ENVELOPES)
async def test_bad_envelope_is_answered(
    echo: Platform, payload: str, code: int, type: str, id: str | int | None
) -> None:
    """The error has its code and type, and the id that the message had; the connection goes on."""
    token = make_token()  # without one, what is unknown looks like what asks for one
    async with client(echo.url("/ws/echo"), token=token) as one, client(echo.url("/ws/echo")) as other:
        await one.send_raw(payload)
        answer = await one.receive()

        assert error_of(answer) == (code, type)
        assert answer.get("id") == id
        await assert_unharmed(one, other)


@pytest.mark.parametrize("path", ["/ws/echo", "/ws"])
async def test_unknown_type_is_answered_on_both_paths(echo: Platform, path: str) -> None:
    """A service's own path and the shared one say the same of a type that nobody handles."""
    async with client(echo.url(path), token=make_token()) as one:
        answer = await one.request("nobody.knows")

    assert error_of(answer) == (404, "UNKNOWN_MESSAGE_TYPE")
    assert answer["error"]["details"] == {"type": "nobody.knows"}


@pytest.mark.parametrize("id", ["", "c-17", "ü" * 128, 0, -1, 2**63 - 1, -(2**63)])
async def test_id_comes_back_as_it_came(echo: Platform, id: str | int) -> None:
    """Strings of up to 128 characters and 64-bit integers are ids."""
    async with client(echo.url("/ws/echo")) as one:
        await one.send({"type": "echo.any", "data": 1, "id": id})

        assert await one.receive() == {"type": "response", "id": id, "data": 1}


async def test_message_without_id_gets_no_answer(echo: Platform) -> None:
    """Who gives no id wants no answer: the next thing that comes belongs to the next message."""
    async with client(echo.url("/ws/echo")) as one:
        await one.send({"type": "echo.any", "data": "unanswered"})
        await one.send({"type": "echo.any", "data": "answered", "id": 1})

        assert await one.receive() == {"type": "response", "id": 1, "data": "answered"}


async def test_null_id_is_no_id(echo: Platform) -> None:
    """An id of null asks for no answer."""
    async with client(echo.url("/ws/echo")) as one:
        await one.send({"type": "echo.any", "data": "unanswered", "id": None})
        await one.send({"type": "echo.any", "data": "answered", "id": 1})

        assert (await one.receive())["data"] == "answered"


CONTROL_CHARACTERS = [
    pytest.param(r'"a\u0000b"', id="nul"),
    pytest.param(r'"a\u001bb"', id="escape"),
    pytest.param(r'"a\bb"', id="short-escape"),
    pytest.param('"a\x7fb"', id="delete"),
    pytest.param('"a\x85b"', id="c1"),
    pytest.param('"a\u202eb"', id="override"),
    pytest.param(r'{"a\u0000b":1}', id="nul-in-a-name"),
]


@pytest.mark.parametrize("type", ["echo.any", "echo.bare"])
@pytest.mark.parametrize("data", CONTROL_CHARACTERS)
async def test_control_character_is_refused(echo: Platform, type: str, data: str) -> None:
    """It reaches no handler; the answer has the id and the rule, and nothing of the text."""
    async with client(echo.url("/ws/echo")) as one, client(echo.url("/ws/echo")) as other:
        await one.send_raw(f'{{"type":"{type}","id":7,"data":{data}}}')
        answer = await one.receive()

        assert error_of(answer) == (422, "VALIDATION_ERROR")
        assert answer["id"] == 7
        assert answer["error"]["details"]["rule"] == "control"
        assert not {"\0", "\x1b", "\b", "\x7f", "\x85", "\u202e"} & set("".join(map(str, answer["error"].values())))
        await assert_unharmed(one, other)


@pytest.mark.parametrize("data", [r'"a\ud800b"', r'"a\udfffb"', r'{"a\ud800\ud800b":1}'])
async def test_half_of_a_surrogate_pair_is_refused(echo: Platform, data: str) -> None:
    """By the gateway: it is no JSON that text can be made of."""
    async with client(echo.url("/ws/echo")) as one, client(echo.url("/ws/echo")) as other:
        await one.send_raw(f'{{"type":"echo.any","id":7,"data":{data}}}')
        answer = await one.receive()

        assert error_of(answer) == (400, "INVALID_JSON")
        await assert_unharmed(one, other)


async def test_control_character_in_messagepack_is_refused(echo: Platform) -> None:
    """While bytes, which are no text, may be any."""
    async with raw_websocket(echo, "/ws/echo", "Sec-WebSocket-Protocol: linkd.v1+msgpack") as one:
        await one.receive()  # linkd.welcome
        await one.send(frame(BINARY, msgspec.msgpack.encode({"type": "echo.any", "id": 1, "data": {"a": "\0"}})))
        refused = msgspec.msgpack.decode((await one.receive())[1])
        await one.send(frame(BINARY, msgspec.msgpack.encode({"type": "echo.any", "id": 2, "data": [b"\0", 0, "é\n"]})))
        taken = msgspec.msgpack.decode((await one.receive())[1])

    assert error_of(refused) == (422, "VALIDATION_ERROR")
    assert refused["error"]["details"]["field"] == "a"
    assert taken == {"type": "response", "id": 2, "data": [b"\0", 0, "é\n"]}


@pytest.mark.parametrize("type", ["echo.any", "echo.bare", "echo.sleep", "echo.struct"])
@pytest.mark.parametrize(
    "number", ["1e999", "-1e999", "1e" + "9" * 3800, "1" + "0" * 5000], ids=["large", "small", "exponent", "digits"]
)
@pytest.mark.parametrize("form", ["{}", '{{"item":"tea","count":{}}}'], ids=["bare", "inside"])
async def test_huge_number_is_refused(echo: Platform, type: str, number: str, form: str) -> None:
    """It does not become infinite on its way."""
    async with client(echo.url("/ws/echo")) as one, client(echo.url("/ws/echo")) as other:
        await one.send_raw(f'{{"type":"{type}","id":7,"data":{form.format(number)}}}')
        answer = await one.receive()

        assert error_of(answer) == (422, "VALIDATION_ERROR")
        assert answer["id"] == 7
        await assert_unharmed(one, other)


@pytest.mark.parametrize("id", ["1e999", "1" + "0" * 5000, r'"\ud800"'], ids=["large", "digits", "half-of-a-pair"])
async def test_id_that_cannot_be_told_is_answered(echo: Platform, id: str) -> None:
    """With 400 and without an id."""
    async with client(echo.url("/ws/echo")) as one, client(echo.url("/ws/echo")) as other:
        await one.send_raw(f'{{"type":"echo.any","id":{id}}}')
        answer = await one.receive()

        assert error_of(answer) == (400, "INVALID_JSON")
        assert "id" not in answer
        await assert_unharmed(one, other)


# Python's limit to recursion is 1000 levels. The service stands some levels deeper in its own calls than the gateway,
# so that just below it is the service that refuses; where exactly is nobody's business.
@pytest.mark.parametrize("depth", [*range(960, 1001, 4), 4000])
@pytest.mark.parametrize("type", ["echo.any", "echo.bare"])
@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"":', "}")], ids=["arrays", "objects"])
async def test_deep_data_is_answered(echo: Platform, type: str, depth: int, opening: str, closing: str) -> None:
    """It comes back, or the answer is 400 and tells nothing of the inside, whoever cannot read it."""
    depth = min(depth, (LIMIT - 100) // len(opening + closing))
    async with client(echo.url("/ws/echo")) as one, client(echo.url("/ws/echo")) as other:
        await one.send_raw(f'{{"type":"{type}","id":7,"data":{opening * depth}1{closing * depth}}}')
        payload = str(await one.websocket.recv())

        if payload.startswith('{"type":"response"'):  # deeper than this test can read itself
            assert depth < 1000
            assert payload == f'{{"type":"response","id":7,"data":{opening * depth}1{closing * depth}}}'
        else:
            answer = json.loads(payload)
            assert error_of(answer) == (400, "BAD_REQUEST")
            assert answer["error"].keys() == {"code", "type", "message"}
        await assert_unharmed(one, other)


SCHEMAS = ["echo.struct", "echo.dataclass", "echo.typeddict", "echo.pydantic"]
BAD_DATA: list[Any] = [
    pytest.param({"item": "tea", "count": "two"}, "count", id="wrong-type"),
    pytest.param({"item": "tea"}, "count", id="missing-field"),
    pytest.param({"item": None, "count": 2}, "item", id="null"),
    pytest.param([], "", id="array"),
    pytest.param(None, "", id="no-data"),
    pytest.param("tea", "", id="string"),
]


@pytest.mark.parametrize("schema", SCHEMAS)
@pytest.mark.parametrize(("data", "field"), BAD_DATA)
async def test_data_of_the_wrong_shape_names_field_and_reason(
    echo: Platform, schema: str, data: Any, field: str
) -> None:
    """Whatever the schema is written in, the answer is 422 and says where the fault is."""
    async with client(echo.url("/ws/echo")) as one, client(echo.url("/ws/echo")) as other:
        answer = await one.request(schema, data)

        assert error_of(answer) == (422, "VALIDATION_ERROR")
        assert answer["error"]["details"]["field"] == field
        assert answer["error"]["details"]["reason"]
        await assert_unharmed(one, other)


@pytest.mark.parametrize("schema", SCHEMAS)
async def test_data_of_the_right_shape_is_taken(echo: Platform, schema: str) -> None:
    """A Struct, a dataclass, a TypedDict and a pydantic model are equal."""
    async with client(echo.url("/ws/echo")) as one:
        assert await one.ask(schema, {"item": "tea", "count": 2}) == {"item": "tea", "count": 2}


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
async def test_message_over_the_limit_closes_with_1009(echo: Platform, opcode: int) -> None:
    """One byte too many in one frame ends this connection, and only this one."""
    async with client(echo.url("/ws/echo")) as other, raw_websocket(echo, "/ws/echo") as one:
        await one.send(frame(opcode, b"x" * (LIMIT + 1)))

        assert await one.close_code() == 1009
        assert await other.ask("echo.any", 1) == 1


async def test_message_at_the_limit_is_taken(echo: Platform) -> None:
    """The limit itself is allowed."""
    head = '{"type":"echo.any","id":1,"data":"'
    async with client(echo.url("/ws/echo")) as one:
        await one.send_raw(head + "x" * (LIMIT - len(head) - 2) + '"}')

        assert (await one.receive())["type"] == "response"


async def test_fragments_over_the_limit_close_with_1009(echo: Platform) -> None:
    """The limit is the message's, however many frames it comes in."""
    async with raw_websocket(echo, "/ws/echo") as one:
        half = b"x" * (LIMIT // 2 + 1)
        await one.send(frame(TEXT, half, fin=False), frame(0, half))

        assert await one.close_code() == 1009


async def test_length_alone_over_the_limit_closes_with_1009(echo: Platform) -> None:
    """A frame that only announces too much is refused before its payload comes."""
    async with raw_websocket(echo, "/ws/echo") as one:
        await one.send(frame(TEXT, b"x" * 70_000)[:14])

        assert await one.close_code() == 1009


async def test_binary_where_json_was_agreed_is_refused(echo: Platform) -> None:
    """A binary message is answered with 400, and the connection goes on."""
    async with client(echo.url("/ws/echo")) as one, client(echo.url("/ws/echo")) as other:
        await one.send_raw(b'{"type":"echo.any","id":1}')
        answer = await one.receive()

        assert error_of(answer) == (400, "BAD_REQUEST")
        assert "id" not in answer
        await assert_unharmed(one, other)


async def test_text_where_messagepack_was_agreed_is_refused(echo: Platform) -> None:
    """A text message is answered with 400, in MessagePack."""
    async with raw_websocket(echo, "/ws/echo", "Sec-WebSocket-Protocol: linkd.v1+msgpack") as one:
        await one.receive()  # linkd.welcome
        await one.send(frame(TEXT, b'{"type":"echo.any","id":1}'))
        opcode, payload = await one.receive()

        assert opcode == BINARY
        assert error_of(msgspec.msgpack.decode(payload)) == (400, "BAD_REQUEST")


@pytest.mark.parametrize(
    "payload", [b"\x00", b"\xc1", b"\x93\x01\x02\x03", b"\x81\xa4type\x05", b"\x81\xa4type", b"\x91" * 2000, b""]
)
async def test_bad_messagepack_is_answered(echo: Platform, payload: bytes) -> None:
    """What is no MessagePack map with a type is answered with 400."""
    async with raw_websocket(echo, "/ws/echo", "Sec-WebSocket-Protocol: linkd.v1+msgpack") as one:
        await one.receive()  # linkd.welcome
        await one.send(frame(BINARY, payload))
        answer = msgspec.msgpack.decode((await one.receive())[1])

        assert error_of(answer) == (400, "BAD_REQUEST")


@pytest.mark.parametrize("payload", [b"\xff\xfe", b'{"type":"\xc3\x28"}', b"\xed\xa0\x80", b"\xf4\x90\x80\x80"])
async def test_text_that_is_not_utf8_closes_with_1007(echo: Platform, payload: bytes) -> None:
    """RFC 6455 §8.1: the connection fails, and only this one."""
    async with client(echo.url("/ws/echo")) as other, raw_websocket(echo, "/ws/echo") as one:
        await one.send(frame(TEXT, payload))

        assert await one.close_code() == 1007
        assert await other.ask("echo.any", 1) == 1


async def test_utf8_split_between_fragments_is_taken(echo: Platform) -> None:
    """A character may begin in one frame and end in the next."""
    payload = '{"type":"echo.any","id":1,"data":"ü"}'.encode()
    cut = payload.index("ü".encode()) + 1
    async with raw_websocket(echo, "/ws/echo") as one:
        await one.send(frame(TEXT, payload[:cut], fin=False), frame(0, payload[cut:]))

        assert json.loads((await one.receive())[1]) == {"type": "response", "id": 1, "data": "ü"}


BROKEN_FRAMES = [
    pytest.param(frame(TEXT, b"{}", masked=False), 1002, id="not-masked"),
    pytest.param(frame(TEXT, b"{}", reserved=4), 1002, id="reserved-bit"),
    pytest.param(frame(0x3, b""), 1002, id="unknown-opcode"),
    pytest.param(frame(0xB, b""), 1002, id="unknown-control-opcode"),
    pytest.param(frame(0x0, b"x"), 1002, id="continuation-of-nothing"),
    pytest.param(frame(TEXT, b"x", fin=False) + frame(TEXT, b"y"), 1002, id="message-in-a-message"),
    pytest.param(frame(0x9, b"x", fin=False), 1002, id="fragmented-ping"),
    pytest.param(frame(0x9, b"x" * 126), 1002, id="long-ping"),
    pytest.param(frame(CLOSE, b"\x03"), 1002, id="close-with-half-a-code"),
    pytest.param(frame(CLOSE, (1005).to_bytes(2, "big")), 1002, id="close-with-1005"),
    pytest.param(frame(CLOSE, (999).to_bytes(2, "big")), 1002, id="close-with-999"),
    pytest.param(frame(TEXT, b"x", fin=False) + 1100 * frame(0, b"", fin=False), 1008, id="too-many-fragments"),
]


@pytest.mark.parametrize(("data", "code"), BROKEN_FRAMES)
async def test_broken_frame_closes_the_connection(echo: Platform, data: bytes, code: int) -> None:
    """A breach of RFC 6455 ends this connection with its code, and only this one."""
    async with client(echo.url("/ws/echo")) as other, raw_websocket(echo, "/ws/echo") as one:
        await one.send(data)

        assert await one.close_code() == code
        assert await other.ask("echo.any", 1) == 1
