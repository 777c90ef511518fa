"""Clients that send as much as they can of what costs them nothing: everything is counted before it is read."""

from __future__ import annotations

import asyncio
import contextlib
import zlib
from collections.abc import Iterable
from pathlib import Path

import msgspec
import pytest

from tests.processes import Platform, platform, resident

from .client import client
from .raw_websocket import BINARY, PING, PONG, TEXT, RawWebSocket, frame, raw_websocket

ECHO = "tests/services/echo.py"
STREAMS = "tests/services/streams.py"
HANDOVER = "tests/services/handover.py"
MEBIBYTE = 2**20

ENFORCED = {"LINKD_LIMITS": "enforce"}  # with the default rates
DEFLATE = "Sec-WebSocket-Extensions: permessage-deflate"


def deflated(text: bytes) -> bytes:
    """The payload of a compressed message (RFC 7692 §7.2.1)."""
    compressor = zlib.compressobj(9, zlib.DEFLATED, -15)
    return (compressor.compress(text) + compressor.flush(zlib.Z_SYNC_FLUSH)).removesuffix(b"\x00\x00\xff\xff")


def in_fragments(count: int) -> bytes:
    """A message whose frames are empty but for the first."""
    message = b'{"type":"echo.any"}'
    return (
        frame(TEXT, message, fin=False)
        + frame(0, b"", fin=False) * (count - 2)
        + frame(0, b"")
    )  # fmt: skip


FLOODS = {
    "malformed": [frame(TEXT, b"{")],
    "junk, compressed": [frame(TEXT, deflated(b"junk" * 16_000), reserved=4)],
    "no envelopes": [frame(TEXT, b'{"id":1}')],
    "of the other kind": [frame(BINARY, b"\x81")],
    "pings": [frame(PING, b"")],
    "pongs": [frame(PONG, b"x" * 125)],
    "empty fragments": [in_fragments(1000)],
}


async def flood(one: RawWebSocket, pieces: Iterable[bytes], most: int = 20_000) -> int | None:
    """Send until the gateway closes, or ``most`` times; the close code."""
    piece = b"".join(pieces)

    async def send() -> None:
        with contextlib.suppress(ConnectionError):
            for _ in range(most):
                await one.send(piece)

    sending = asyncio.create_task(send())
    try:
        return await one.close_code()
    finally:
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)


@pytest.mark.parametrize("kind", FLOODS)
async def test_flood_of_anything_is_closed(tmp_path: Path, kind: str) -> None:
    """With 4429, as a flood of good messages is; others are served meanwhile."""
    async with (
        platform(tmp_path, ECHO, env=ENFORCED) as running,
        client(running.url("/ws/echo")) as other,
        raw_websocket(running, "/ws/echo", DEFLATE) as one,
    ):
        closing = asyncio.create_task(flood(one, FLOODS[kind]))
        assert await other.ask("echo.any", 1) == 1
        assert await closing == 4429
        assert await other.ask("echo.any", 2) == 2


async def test_few_bad_messages_and_pings_are_nobodys_trouble(tmp_path: Path) -> None:
    """Each is answered, and the connection stays."""
    async with platform(tmp_path, ECHO, env=ENFORCED) as running, raw_websocket(running, "/ws/echo") as one:
        for _ in range(5):
            await one.send(frame(TEXT, b"{"), frame(PING, b"p"))
        frames = [await one.receive() for _ in range(10)]

    assert sorted(opcode for opcode, _ in frames) == [TEXT] * 5 + [PONG] * 5


async def test_what_follows_the_answer_to_a_stream_is_counted(tmp_path: Path) -> None:
    """The stream was too large, and its client goes on: it is closed after a few megabytes."""
    async with platform(tmp_path, STREAMS, env=ENFORCED) as running, raw_websocket(running, "/ws/streams") as one:
        start = msgspec.json.encode({"type": "file.small", "id": 1, "stream": True})
        chunk = frame(BINARY, bytes(60_000))
        await one.send(frame(TEXT, start), chunk)
        opcode, answer = await one.receive()
        assert (opcode, msgspec.json.decode(answer)["error"]["code"]) == (TEXT, 413)

        assert await flood(one, [chunk], most=400) == 4429


async def test_nothing_is_read_of_a_client_that_sends_on_after_its_close(tmp_path: Path) -> None:
    """It is held until it is cut: neither memory nor time is its to take."""
    env = {"LINKD_CLOSE_TIMEOUT_MS": "3000"}
    async with (
        platform(tmp_path, ECHO, env=env) as running,
        raw_websocket(running, "/ws/echo") as one,
        client(running.url("/ws/echo")) as other,
    ):
        before = resident(running.gateway.process.pid)
        await one.send(frame(0, b"x"))  # a continuation of nothing
        assert await one.close_code() == 1002

        sent = 0
        with contextlib.suppress(ConnectionError, TimeoutError):
            async with asyncio.timeout(2.0):
                while True:
                    await one.send(frame(TEXT, bytes(60_000)))
                    sent += 60_000

        assert await other.ask("echo.any", 1) == 1
        assert sent < 32 * MEBIBYTE  # what the kernel takes for both ends
        assert resident(running.gateway.process.pid) - before < 8 * MEBIBYTE


async def test_what_came_before_a_violation_is_answered(tmp_path: Path) -> None:
    """Three good messages and a broken frame in one read: three answers, and then the close frame."""
    async with platform(tmp_path, ECHO) as running, raw_websocket(running, "/ws/echo") as one:
        good = [frame(TEXT, b'{"type":"echo.any","data":%d,"id":%d}' % (number, number)) for number in range(3)]
        await one.send(*good, b"\x83\x80")

        frames = [await one.receive() for _ in range(4)]

    answers = [msgspec.json.decode(payload) for _, payload in frames[:3]]
    assert [(answer["id"], answer["data"]) for answer in answers] == [(0, 0), (1, 1), (2, 2)]
    assert int.from_bytes(frames[3][1][:2], "big") == 1002


async def gone(running: Platform) -> None:
    """Wait until the gateway knows of no session."""
    async with running.http_client() as http, asyncio.timeout(20):
        while (await http.get("/echo/census")).json()["present"]:
            await asyncio.sleep(0.05)


async def test_client_that_vanishes_with_a_full_window_is_forgotten(tmp_path: Path) -> None:
    """Nothing is read from it, so its end is not read either; that nothing arrives there is noticed all the same."""
    env = {"LINKD_HEARTBEAT_INTERVAL_MS": "300", "LINKD_SESSION_WINDOW": "4"}
    async with platform(tmp_path, ECHO, env=env) as running:
        async with raw_websocket(running, "/ws/echo") as one:
            hold = b'{"type":"echo.hold","data":"/nowhere","id":%d}'
            await one.send(*(frame(TEXT, hold % number) for number in range(4)))
            await one.send(frame(TEXT, b'{"type":"echo.any"}') * 100)
            one.reset()

        await gone(running)


async def test_small_pieces_of_a_stream_are_read_as_fast_as_messages_may_come(tmp_path: Path) -> None:
    """They cannot be refused without losing the stream, so its client waits, and nobody else does."""
    env = {"LINKD_LIMITS": "enforce", "LINKD_MESSAGE_RATE": "100/s"}
    async with (
        platform(tmp_path, STREAMS, env=env) as running,
        client(running.url("/ws/streams")) as other,
        raw_websocket(running, "/ws/streams") as one,
    ):
        began = asyncio.get_running_loop().time()
        start = msgspec.json.encode({"type": "file.hash", "id": 1, "stream": True, "data": "x"})
        await one.send(frame(TEXT, start), frame(BINARY, b"x") * 250, frame(BINARY, b""))
        assert await other.ask("file.ping") == "pong"

        _, answer = await one.receive()

        assert msgspec.json.decode(answer)["data"]["size"] == 250
        assert asyncio.get_running_loop().time() - began > 1.0  # 100 at once, and 150 at 100 a second
