"""The edge over real sockets: heads, TLS, compression, and clients that fall silent."""

from __future__ import annotations

import asyncio
import json
import zlib
from pathlib import Path

import pytest
from websockets.asyncio.client import connect

from tests.certificates import Certificate
from tests.processes import platform

from .client import client
from .raw_websocket import frame, http_exchange, opening, raw_connection, raw_websocket

ECHO = "tests/services/echo.py"
OFFER = "Sec-WebSocket-Extensions: permessage-deflate"
TEXT, CONTINUATION, PING, PONG = 0x1, 0x0, 0x9, 0xA


def deflated(data: bytes) -> bytes:
    """A message's payload as a client compresses it."""
    deflater = zlib.compressobj(wbits=-15)
    return (deflater.compress(data) + deflater.flush(zlib.Z_SYNC_FLUSH))[:-4]


def request(text: str) -> bytes:
    """A message whose data is this text."""
    return json.dumps({"type": "echo.any", "data": text, "id": 1}).encode()


# heads


async def test_head_over_the_limit_is_refused(tmp_path: Path) -> None:
    """431, whether the head is complete or not."""
    async with platform(tmp_path, env={"LINKD_MAX_HEAD_SIZE": "2048"}) as running:
        for rest in (b"\r\n\r\n", b""):
            head = b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"x" * 4096 + rest

            answer = await http_exchange(running, head)

            assert answer.startswith(b"HTTP/1.1 431 ")


async def test_head_that_does_not_come_is_cut(tmp_path: Path) -> None:
    """408 for half a head and for none at all, on a second request of the connection too."""
    async with platform(tmp_path, env={"LINKD_HEAD_TIMEOUT_MS": "200"}) as running:
        for head in (b"", b"GET / HT", b"GET /live HTTP/1.1\r\nHost: x\r\n\r\nGET /live HTTP/1.1\r\nHo"):
            answer = await http_exchange(running, head)

            assert b"HTTP/1.1 408 " in answer


async def test_body_that_does_not_come_is_cut(tmp_path: Path) -> None:
    """408, and the connection ends: nobody holds a request open for ever."""
    async with platform(tmp_path, "tests/services/web.py", env={"LINKD_BODY_TIMEOUT_MS": "200"}) as running:
        head = b"POST /items HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nhalf"

        answer = await http_exchange(running, head)

        assert answer.startswith(b"HTTP/1.1 408 ")


async def test_opening_handshake_behind_a_request_waits_for_its_answer(tmp_path: Path) -> None:
    """It is a request of its own: the answer to the one before comes first, whole, and its head counts for nothing."""
    async with platform(tmp_path, ECHO) as running, raw_connection(running) as (reader, writer):
        before = b"GET /live HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer nonsense\r\n\r\n"
        writer.write(before + opening("/ws/echo", running.port))

        assert (await reader.readline()).startswith(b"HTTP/1.1 200 ")
        await reader.readuntil(b"}")
        assert (await reader.readline()).startswith(b"HTTP/1.1 101 ")


async def test_frame_over_the_limit_is_not_handled_when_it_comes_late(tmp_path: Path) -> None:
    """What follows the gateway's close frame is nobody's message."""
    env = {"LINKD_MAX_MESSAGE_SIZE": "256"}
    async with platform(tmp_path, ECHO, env=env) as running, raw_websocket(running, "/ws/echo") as raw:
        large = frame(TEXT, request("x" * 2000))
        await raw.send(large[:100])
        await raw.send(large[100:], frame(TEXT, request("late")))

        opcode, body = await raw.receive()
        assert (opcode, int.from_bytes(body[:2], "big")) == (0x8, 1009)
        assert b"late" not in await raw.ended()


async def test_flood_is_answered_in_full_and_in_order(tmp_path: Path) -> None:
    """20,000 small messages in one piece, far more than the window: none is lost, none overtakes."""
    async with platform(tmp_path, ECHO) as running, raw_websocket(running, "/ws/echo") as raw:
        count = 20_000
        flood = b"".join(frame(TEXT, b'{"type":"echo.any","id":%d,"data":1}' % number) for number in range(count))
        sending = asyncio.create_task(raw.send(flood))
        for number in range(count):
            _, answer = await raw.receive()
            assert json.loads(answer)["id"] == number
        await sending


async def test_plain_request_to_a_websocket_path_says_what_to_do(tmp_path: Path) -> None:
    """400 with one sentence; another version of the protocol gets 426 and the one that is spoken."""
    async with platform(tmp_path, ECHO) as running, running.http_client() as http:
        plain = await http.get("/ws/echo")
        upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "8"}
        old = await http.get("/ws/echo", headers=upgrade)

        assert (plain.status_code, plain.json()["error"]["type"]) == (400, "BAD_REQUEST")
        assert (old.status_code, old.headers["Sec-WebSocket-Version"]) == (426, "13")


# TLS


async def test_websocket_and_http_over_tls(tmp_path: Path, certificate: Certificate) -> None:
    """On the one port, with large messages both ways, in the run without ``--tls`` too."""
    async with platform(tmp_path, ECHO, certificate=certificate) as running:
        async with client(running.url("/ws/echo")) as one:
            for _ in range(3):
                assert await one.ask("echo.any", "x" * 60_000) == "x" * 60_000
        async with running.http_client() as http:
            assert (await http.get("/live")).status_code == 200
        assert running.url("/").startswith("wss://")


# compression


@pytest.mark.parametrize("compression", ["deflate", None])
async def test_large_messages_with_and_without_compression(tmp_path: Path, compression: str | None) -> None:
    """A client of another's making hears the same either way; only the one that asked is answered compressed."""
    text = "to be or not to be " * 2000
    async with (
        platform(tmp_path, ECHO) as running,
        connect(running.url("/ws/echo"), ssl=running.trust, compression=compression) as websocket,
    ):
        await websocket.send(request(text).decode())

        answer = json.loads(await websocket.recv())

        assert answer["data"] == text
        assert websocket.response is not None
        assert ("Sec-WebSocket-Extensions" in websocket.response.headers) == (compression is not None)


async def test_compression_that_is_off_is_not_offered(tmp_path: Path) -> None:
    """And a client that asked for it is served all the same."""
    async with (
        platform(tmp_path, ECHO, env={"LINKD_COMPRESSION": "false"}) as running,
        connect(running.url("/ws/echo"), ssl=running.trust) as websocket,
    ):
        await websocket.send(request("x" * 5000).decode())

        assert json.loads(await websocket.recv())["data"] == "x" * 5000
        assert websocket.response is not None
        assert "Sec-WebSocket-Extensions" not in websocket.response.headers


async def test_compressed_message_in_fragments_with_a_ping_between(tmp_path: Path) -> None:
    """RSV1 stands on the first frame alone (RFC 7692 §6.1)."""
    async with platform(tmp_path, ECHO) as running, raw_websocket(running, "/ws/echo", OFFER) as raw:
        body = deflated(request("x" * 300))
        half = len(body) // 2
        await raw.send(
            frame(TEXT, body[:half], fin=False, reserved=4),
            frame(PING, b"there?"),
            frame(CONTINUATION, body[half:]),
        )

        assert await raw.receive() == (PONG, b"there?")
        opcode, answer = await raw.receive()
        assert opcode == TEXT
        assert json.loads(answer)["data"] == "x" * 300


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        ([frame(TEXT, deflated(bytes(50_000_000)), reserved=4)], 1009),
        ([frame(TEXT, b"\xff\xff\xff", reserved=4)], 1007),
        ([frame(TEXT, deflated(b"\xff"), reserved=4)], 1007),
        ([frame(PING, b"", reserved=4)], 1002),
        ([frame(TEXT, b"a", fin=False), frame(CONTINUATION, b"b", reserved=4)], 1002),
        ([frame(TEXT, b"a", reserved=2)], 1002),
    ],
    ids=["bomb", "not-deflate", "not-utf-8", "control-frame", "continuation", "rsv2"],
)
async def test_bad_compressed_frames_close(tmp_path: Path, frames: list[bytes], code: int) -> None:
    """With the code that says why; a bomb of 50 MB costs no more than the limit on messages."""
    async with platform(tmp_path, ECHO) as running, raw_websocket(running, "/ws/echo", OFFER) as raw:
        await raw.send(*frames)

        assert await raw.close_code() == code


async def test_compressed_frame_that_nobody_agreed_on_closes(tmp_path: Path) -> None:
    """1002: the reserved bit has no meaning then."""
    async with platform(tmp_path, ECHO) as running, raw_websocket(running, "/ws/echo") as raw:
        await raw.send(frame(TEXT, deflated(request("x")), reserved=4))

        assert await raw.close_code() == 1002


# silence


async def test_client_that_answers_no_ping_is_cut(tmp_path: Path) -> None:
    """It is pinged first; its end is told with the reason."""
    env = {"LINKD_HEARTBEAT_INTERVAL_MS": "200"}
    async with platform(tmp_path, ECHO, env=env) as running, raw_websocket(running, "/ws/echo") as raw:
        assert await raw.receive() == (PING, b"")

        await raw.ended()

        async with client(running.url("/ws/echo")) as other:
            assert (await other.ask("echo.counts"))["reasons"] == {"timeout": 1}


async def test_client_that_answers_pings_stays(tmp_path: Path) -> None:
    """For many intervals, without a single message."""
    env = {"LINKD_HEARTBEAT_INTERVAL_MS": "100"}
    async with platform(tmp_path, ECHO, env=env) as running, raw_websocket(running, "/ws/echo") as raw:
        for _ in range(15):
            assert (await raw.receive())[0] == PING
            await raw.send(frame(PONG, b""))
        await raw.send(frame(TEXT, request("still here")))

        opcode, answer = await raw.receive()
        while opcode == PING:
            opcode, answer = await raw.receive()
        assert json.loads(answer)["data"] == "still here"


async def test_client_without_messages_is_idle(tmp_path: Path) -> None:
    """4408, though it answers every ping."""
    env = {"LINKD_HEARTBEAT_INTERVAL_MS": "100", "LINKD_IDLE_TIMEOUT_MS": "300"}
    async with platform(tmp_path, ECHO, env=env) as running, client(running.url("/ws/echo")) as one:
        assert (await one.closed())[0] == 4408


async def test_message_that_is_never_finished_is_refused(tmp_path: Path) -> None:
    """1008, though a fragment comes with every ping."""
    env = {"LINKD_HEARTBEAT_INTERVAL_MS": "200", "LINKD_MESSAGE_TIMEOUT_MS": "400"}
    async with platform(tmp_path, ECHO, env=env) as running, raw_websocket(running, "/ws/echo") as raw:
        await raw.send(frame(TEXT, b"{", fin=False))
        opcode, body = await raw.receive()
        while opcode == PING:
            await raw.send(frame(PONG, b""), frame(CONTINUATION, b" ", fin=False))
            opcode, body = await raw.receive()

        assert (opcode, int.from_bytes(body[:2], "big")) == (0x8, 1008)
