"""RFC 6455 as clients see it: subprotocols, control frames, fragments, the closing handshake."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
import pytest_asyncio
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from tests.integration.client import WAIT, client
from tests.integration.raw_websocket import (
    BINARY,
    CLOSE,
    PING,
    PONG,
    TEXT,
    frame,
    http_exchange,
    opening,
    raw_connection,
    raw_websocket,
)
from tests.processes import Platform, make_token, platform

pytestmark = pytest.mark.asyncio(loop_scope="module")

ASK = b'{"type":"echo.any","data":1,"id":1}'
ANSWER = {"type": "response", "id": 1, "data": 1}


def unpacked(message: str | bytes) -> Any:
    """A binary message, decoded; text where MessagePack was agreed fails the test."""
    assert isinstance(message, bytes)
    return msgspec.msgpack.decode(message)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def echo(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Platform]:
    """A gateway and the service ``echo``; a client has a second to answer a close frame."""
    folder = tmp_path_factory.mktemp("p")
    async with platform(folder, "tests/services/echo.py", env={"LINKD_CLOSE_TIMEOUT_MS": "1000"}) as running:
        yield running


@pytest.mark.parametrize("offered", ["linkd.v1+json", "linkd.v1+msgpack"])
async def test_subprotocol_is_agreed_and_welcomed(echo: Platform, offered: str) -> None:
    """The first message of a client that speaks our subprotocol is linkd.welcome with session and limits."""
    async with connect(echo.url("/ws/echo"), ssl=echo.trust, subprotocols=[Subprotocol(offered)], proxy=None) as one:
        message = await one.recv()
        assert one.subprotocol == offered
        welcome: dict[str, Any] = msgspec.msgpack.decode(message) if isinstance(message, bytes) else json.loads(message)
        assert isinstance(message, bytes) == offered.endswith("msgpack")

    assert welcome["type"] == "linkd.welcome"
    assert welcome["data"]["session"]
    assert welcome["data"]["maxMessageSize"] == 65536
    assert welcome["data"]["window"] == 64


async def test_welcome_names_the_session_that_the_service_knows(echo: Platform) -> None:
    """The id in linkd.welcome is ctx.socket.id."""
    async with client(echo.url("/ws/echo"), subprotocol="linkd.v1+json") as one:
        welcome = await one.event("linkd.welcome")

        assert (await one.ask("echo.me"))["session"] == welcome["session"]


async def test_plain_client_gets_no_control_messages(echo: Platform) -> None:
    """Without a subprotocol the first message is the first answer."""
    async with client(echo.url("/ws/echo")) as one:
        await one.send_raw(ASK.decode())

        assert await one.receive() == ANSWER


async def test_unknown_subprotocols_are_passed_over(echo: Platform) -> None:
    """Of several that are offered ours is chosen; of none of ours, none."""
    ours = [Subprotocol("graphql-ws"), Subprotocol("linkd.v1+msgpack")]
    async with connect(echo.url("/ws/echo"), ssl=echo.trust, subprotocols=ours, proxy=None) as one:
        assert one.subprotocol == "linkd.v1+msgpack"
    async with connect(echo.url("/ws/echo"), ssl=echo.trust, subprotocols=ours[:1], proxy=None) as one:
        assert one.subprotocol is None


async def test_messagepack_carries_messages_answers_errors_and_events(echo: Platform) -> None:
    """With linkd.v1+msgpack everything is a MessagePack map, events that a service wrote as JSON too."""
    protocols = [Subprotocol("linkd.v1+msgpack")]
    async with connect(echo.url("/ws/echo", make_token()), ssl=echo.trust, subprotocols=protocols, proxy=None) as one:
        received: list[Any] = [unpacked(await one.recv())]

        async def say(message: dict[str, Any]) -> None:
            await one.send(msgspec.msgpack.encode(message))
            received.append(unpacked(await one.recv()))

        await say({"type": "echo.any", "data": {"a": [1, 2.5, None, "ü", b"\x00"]}, "id": 1})
        await say({"type": "echo.struct", "data": {"item": "tea", "count": 2}, "id": "s"})
        await say({"type": "echo.pydantic", "data": {"item": "tea", "count": "x"}, "id": 2})
        await say({"type": "nothing", "id": 3})
        await say({"type": "echo.events", "data": {"n": [1, "ü", None]}, "id": 4})
        received.append(unpacked(await one.recv()))

    _, echoed, struct, invalid, unknown, event, answer = received
    assert echoed == {"type": "response", "id": 1, "data": {"a": [1, 2.5, None, "ü", b"\x00"]}}
    assert struct == {"type": "response", "id": "s", "data": {"item": "tea", "count": 2}}
    assert (invalid["id"], invalid["error"]["code"], invalid["error"]["details"]["field"]) == (2, 422, "count")
    assert (unknown["id"], unknown["error"]["type"]) == (3, "UNKNOWN_MESSAGE_TYPE")
    assert event == {"type": "echo.event", "data": {"n": [1, "ü", None]}}
    assert answer == {"type": "response", "id": 4, "data": 1}


async def test_json_and_messagepack_clients_get_the_same_broadcast(echo: Platform) -> None:
    """One event, two codecs."""
    protocols = [Subprotocol("linkd.v1+msgpack")]
    async with (
        client(echo.url("/ws/echo")) as one,
        connect(echo.url("/ws/echo"), ssl=echo.trust, subprotocols=protocols, proxy=None) as other,
    ):
        await other.recv()
        await one.ask("echo.any")
        await http_exchange(echo, b"GET /echo/census HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")

        assert await one.event("echo.census") is None
        assert unpacked(await other.recv()) == {"type": "echo.census", "data": None}


@pytest.mark.parametrize("payload", [b"", b"x", bytes(range(125))])
async def test_ping_is_answered_with_its_payload(echo: Platform, payload: bytes) -> None:
    """RFC 6455 §5.5.3."""
    async with raw_websocket(echo, "/ws/echo") as one:
        await one.send(frame(PING, payload))

        assert await one.receive() == (PONG, payload)


async def test_pong_nobody_asked_for_is_passed_over(echo: Platform) -> None:
    """RFC 6455 §5.5.3: it may serve as a heartbeat in one direction."""
    async with raw_websocket(echo, "/ws/echo") as one:
        await one.send(frame(PONG, b"x"), frame(TEXT, ASK))

        assert json.loads((await one.receive())[1]) == ANSWER


async def test_pings_between_fragments_are_answered_at_once(echo: Platform) -> None:
    """Control frames may come within a message, which is put together all the same."""
    async with raw_websocket(echo, "/ws/echo") as one:
        await one.send(frame(TEXT, ASK[:7], fin=False), frame(PING, b"1"))
        assert await one.receive() == (PONG, b"1")
        await one.send(frame(0, b"", fin=False), frame(PING, b"2"), frame(0, ASK[7:12], fin=False))
        assert await one.receive() == (PONG, b"2")
        await one.send(frame(0, ASK[12:]))

        assert json.loads((await one.receive())[1]) == ANSWER


async def test_message_in_single_bytes_is_taken(echo: Platform) -> None:
    """However TCP cuts the bytes, the message is the same."""
    async with raw_websocket(echo, "/ws/echo") as one:
        for byte in frame(TEXT, ASK):
            await one.send(bytes([byte]))

        assert json.loads((await one.receive())[1]) == ANSWER


async def test_many_messages_in_one_segment_are_all_taken(echo: Platform) -> None:
    """100 frames that arrive together are 100 messages, answered in order."""
    async with raw_websocket(echo, "/ws/echo") as one:
        await one.send(*(frame(TEXT, b'{"type":"echo.any","id":%d}' % number) for number in range(100)))

        assert [json.loads((await one.receive())[1])["id"] for _ in range(100)] == list(range(100))


@pytest.mark.parametrize("size", [1, 100, 125, 126, 127, 65000])
async def test_every_length_of_frame_is_taken_and_sent(echo: Platform, size: int) -> None:
    """All three ways to write a length, in both directions."""
    async with client(echo.url("/ws/echo")) as one:
        assert await one.ask("echo.any", "x" * size) == "x" * size


async def test_answer_over_64_kilobytes_arrives(echo: Platform) -> None:
    """The limit is for what clients send; an answer of 3 MB has the 8-byte length."""
    async with client(echo.url("/ws/echo")) as one:
        assert len(await one.ask("echo.large", 3_000_000)) == 3_000_000


@pytest.mark.parametrize("code", [1000, 1001, 3000, 4999])
async def test_close_frame_is_echoed(echo: Platform, code: int) -> None:
    """The code that came goes back, and then TCP ends."""
    async with raw_websocket(echo, "/ws/echo") as one:
        await one.send(frame(CLOSE, code.to_bytes(2, "big") + b"bye"))

        opcode, payload = await one.receive()
        assert (opcode, payload[:2]) == (CLOSE, code.to_bytes(2, "big"))
        assert await one.ended() == b""


async def test_close_frame_without_code_is_echoed_without_code(echo: Platform) -> None:
    """RFC 6455 §5.5.1."""
    async with raw_websocket(echo, "/ws/echo") as one:
        await one.send(frame(CLOSE, b""))

        assert await one.receive() == (CLOSE, b"")


async def test_answers_leave_before_the_close_frame(echo: Platform) -> None:
    """What was answered when the connection is closed for a violation still arrives."""
    async with raw_websocket(echo, "/ws/echo") as one:
        await one.send(frame(TEXT, b'{"type":"echo.none","id":1}'), frame(TEXT, b"\xff"))

        assert json.loads((await one.receive())[1])["error"]["code"] == 401
        assert await one.close_code() == 1007


async def test_client_that_never_answers_a_close_frame_is_cut_off(echo: Platform) -> None:
    """After the close timeout TCP ends, whatever the client does."""
    async with raw_websocket(echo, "/ws/echo") as one:
        await one.send(frame(TEXT, b"\xff"))
        assert await one.close_code() == 1007

        assert await one.ended() == b""


async def test_messages_after_the_close_frame_are_not_handled(echo: Platform) -> None:
    """What a client sends behind its own close frame is not read."""
    async with raw_websocket(echo, "/ws/echo") as one:
        await one.send(frame(CLOSE, b"\x03\xe8"), frame(TEXT, ASK))

        assert await one.receive() == (CLOSE, b"\x03\xe8")
        assert await one.ended() == b""


async def test_clients_compression_offer_is_declined_or_honoured(echo: Platform) -> None:
    """The client library's default, which offers permessage-deflate, works."""
    async with connect(echo.url("/ws/echo"), ssl=echo.trust, proxy=None, open_timeout=WAIT) as one:
        await one.send(ASK.decode())

        assert json.loads(await one.recv()) == ANSWER


async def test_reserved_opcode_in_messagepack_is_refused_too(echo: Platform) -> None:
    """The checks are the same for both codecs."""
    async with raw_websocket(echo, "/ws/echo", "Sec-WebSocket-Protocol: linkd.v1+msgpack") as one:
        assert (await one.receive())[0] == BINARY
        await one.send(frame(BINARY, b"x", reserved=4))

        assert await one.close_code() == 1002


async def test_head_in_pieces_is_taken(echo: Platform) -> None:
    """An opening handshake that arrives in two TCP segments is one handshake."""
    head = opening("/ws/echo", echo.port)
    async with raw_connection(echo) as (reader, writer):
        writer.write(head[:40])
        await writer.drain()
        await asyncio.sleep(0)
        writer.write(head[40:])

        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
