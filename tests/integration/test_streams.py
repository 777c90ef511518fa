"""Messages too large to be kept, on their way to a handler in chunks."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from tests.processes import Platform, platform, resident

from .client import Client, client, error_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

STREAMS = "tests/services/streams.py"
CHUNK = 60_000


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def streams(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Platform]:
    """One gateway and service for all that leave nothing behind."""
    async with platform(tmp_path_factory.mktemp("streams"), STREAMS) as running:
        yield running


def announcement(type: str, data: Any = None, id: str = "up") -> dict[str, Any]:
    """The message that announces a stream."""
    return {"type": type, "data": data, "id": id, "stream": True}


async def send_stream(one: Client, type: str, chunks: list[bytes], data: Any = None, id: str = "up") -> None:
    """Announce a stream, send the chunks, one message each, and end it."""
    await one.send(announcement(type, data, id))
    for chunk in (*chunks, b""):
        await one.send_raw(chunk)


async def test_chunks_reach_the_handler_in_order(streams: Platform) -> None:
    """Its answer is the announcement's, and the next stream may follow."""
    chunks = [bytes([number]) * CHUNK for number in range(20)]
    async with client(streams.url("/ws/streams")) as one:
        for name in ("first", "second"):
            await send_stream(one, "file.hash", chunks, name)

            digest = hashlib.sha256(b"".join(chunks)).hexdigest()
            expected = {"name": name, "size": 20 * CHUNK, "sha256": digest}
            assert (await one.answer("up"))["data"] == expected


@pytest.mark.parametrize("compression", ["deflate", None])
async def test_fragments_of_a_message_are_chunks(streams: Platform, compression: str | None) -> None:
    """A library that sends fragments needs no messages of its own making for each chunk, compressed or not."""
    chunks = [bytes([number]) * CHUNK for number in range(20)]

    async def fragments() -> AsyncIterator[bytes]:
        for chunk in chunks:
            yield chunk

    async with connect(streams.url("/ws/streams"), ssl=streams.trust, compression=compression) as websocket:
        await websocket.send(json.dumps(announcement("file.hash")))
        await websocket.send(fragments())
        await websocket.send(b"")

        answer = json.loads(await websocket.recv())

    assert answer["data"]["sha256"] == hashlib.sha256(b"".join(chunks)).hexdigest()


async def test_chunks_are_binary_values_in_messagepack(streams: Platform) -> None:
    """Where a message is a map."""
    async with connect(
        streams.url("/ws/streams"), ssl=streams.trust, subprotocols=[Subprotocol("linkd.v1+msgpack")]
    ) as websocket:
        await websocket.recv()  # linkd.welcome
        await websocket.send(msgspec.msgpack.encode(announcement("file.hash")))
        for chunk in (b"ab", b"cd", b""):
            await websocket.send(msgspec.msgpack.encode(chunk))

        answer = msgspec.msgpack.decode(await websocket.recv(decode=False))

    assert answer["data"]["sha256"] == hashlib.sha256(b"abcd").hexdigest()


async def test_stream_that_nobody_takes_stays_with_its_client(tmp_path: Path) -> None:
    """100 MB on their way to a handler that does not take them: gateway and service keep a few chunks."""
    gate = tmp_path / "gate"
    async with (
        platform(tmp_path, STREAMS) as running,
        client(running.url("/ws/streams")) as one,
        client(running.url("/ws/streams")) as other,
    ):
        service = running.programs[1]
        assert await one.ask("file.ping") == "pong"
        before = resident(running.gateway.process.pid), resident(service.process.pid)
        await one.send(announcement("file.gate", str(gate)))
        sent = stuck = 0
        transport = one.websocket.transport
        while stuck < 20:  # questions of somebody else, during which nothing was taken
            waiting = transport.get_write_buffer_size()
            if not waiting:
                transport.write(_binary(CHUNK))
                sent += 1
            assert await other.ask("file.ping") == "pong"
            stuck = stuck + 1 if transport.get_write_buffer_size() == waiting > 0 else 0
        held = resident(running.gateway.process.pid), resident(service.process.pid)
        gate.touch()
        for _ in range(100):
            await one.send_raw(bytes(CHUNK))
        await one.send_raw(b"")

        assert (await one.answer("up"))["data"] == (sent + 100) * CHUNK
    assert held[0] - before[0] < 4 * 2**20
    assert held[1] - before[1] < 4 * 2**20


def _binary(size: int) -> bytes:
    """A masked binary frame of zeros, with a mask of zeros."""
    return bytes([0x82, 0x80 | 126]) + size.to_bytes(2, "big") + bytes(4 + size)


async def test_messages_are_handled_beside_a_stream(streams: Platform) -> None:
    """It holds nobody up."""
    async with client(streams.url("/ws/streams")) as one:
        await one.send(announcement("file.hash"))
        await one.send_raw(b"x")

        assert await one.ask("file.ping") == "pong"
        await one.send_raw(b"")
        assert (await one.answer("up"))["data"]["size"] == 1


async def test_stream_over_its_limit_is_refused(streams: Platform) -> None:
    """413 with the handler's own limit; what still comes is thrown away, and the connection goes on."""
    async with client(streams.url("/ws/streams")) as one:
        await send_stream(one, "file.small", [b"x" * 600] * 5)

        answer = await one.answer("up")
        assert error_of(answer) == (413, "PAYLOAD_TOO_LARGE")
        assert answer["error"]["details"] == {"limit": 1000}
        await send_stream(one, "file.small", [b"x"], id="again")
        assert (await one.answer("again"))["data"] == 1
        assert one.unasked == 0


async def test_stream_without_chunks_for_too_long_is_refused(streams: Platform) -> None:
    """408; a new stream may begin though the old one was never ended."""
    async with client(streams.url("/ws/streams")) as one:
        await one.send(announcement("file.idle"))

        assert error_of(await one.answer("up")) == (408, "TIMEOUT")
        await send_stream(one, "file.small", [b"x"], id="again")
        assert (await one.answer("again"))["data"] == 1


async def test_handler_may_answer_before_the_end(streams: Platform) -> None:
    """The rest is thrown away without a word."""
    async with client(streams.url("/ws/streams")) as one:
        await send_stream(one, "file.first", [b"first", *[bytes(CHUNK)] * 20])

        assert (await one.answer("up"))["data"] == "first"
        assert await one.ask("file.ping") == "pong"
        assert one.unasked == 0


async def test_client_gives_a_stream_up(streams: Platform) -> None:
    """The handler learns of it, and the answer says so."""
    async with client(streams.url("/ws/streams")) as one:
        await one.send(announcement("file.hash"))
        await one.send_raw(b"half")
        await one.send({"type": "linkd.abort"})

        assert error_of(await one.answer("up")) == (499, "STREAM_ABORTED")
        assert await one.ask("file.ping") == "pong"


async def test_giving_up_is_answered_where_that_is_wanted(streams: Platform) -> None:
    """With a stream, and without one: it may have been answered meanwhile."""
    async with client(streams.url("/ws/streams")) as one:
        await one.send(announcement("file.hash"))

        assert await one.ask("linkd.abort") is None
        assert error_of(await one.answer("up")) == (499, "STREAM_ABORTED")
        assert await one.ask("linkd.abort") is None


async def test_handler_learns_that_its_client_is_gone(tmp_path: Path) -> None:
    """In the midst of a stream."""
    async with platform(tmp_path, STREAMS) as running:
        async with client(running.url("/ws/streams")) as one:
            await one.send(announcement("file.hash"))
            await one.send_raw(b"half")
            await one.ask("file.ping")

        assert (await running.programs[1].wait_logged("test_aborted"))["reason"] == "gone"


async def test_handler_learns_that_its_client_broke_the_protocol(tmp_path: Path) -> None:
    """At once: the rest will not come, and the close frame waits for the handler's answer."""
    async with platform(tmp_path, STREAMS) as running, client(running.url("/ws/streams")) as one:
        await one.send(announcement("file.hash"))
        await one.send_raw(b"half")
        await one.ask("file.ping")
        one.websocket.transport.write(b"\xc1\x80\0\0\0\0")  # a reserved bit

        assert (await one.closed(timeout=3.0))[0] == 1002
        assert error_of(await one.answer("up")) == (499, "STREAM_ABORTED")
        assert (await running.programs[1].wait_logged("test_aborted"))["reason"] == "protocol_error"


async def test_stream_of_a_service_that_dies_is_answered(tmp_path: Path) -> None:
    """503, and what still comes is thrown away."""
    async with platform(tmp_path, STREAMS) as running, client(running.url("/ws/streams")) as one:
        await one.send(announcement("file.hash"))
        await one.send_raw(b"half")
        await one.ask("file.ping")

        await running.programs[1].kill()

        assert error_of(await one.answer("up")) == (503, "SERVICE_UNAVAILABLE")
        await one.send_raw(b"other half")
        await one.send_raw(b"")
        assert error_of(await one.request("file.ping")) == (503, "SERVICE_UNAVAILABLE")
        assert one.unasked == 0


@pytest.mark.parametrize(
    ("message", "error"),
    [
        ({"type": "file.ping", "stream": True}, (400, "BAD_REQUEST")),
        ({"type": "file.hash"}, (400, "BAD_REQUEST")),
        ({"type": "file.hash", "stream": "yes"}, (400, "BAD_REQUEST")),
        ({"type": "file.none", "stream": True}, (401, "UNAUTHORIZED")),
        ({"type": "file.member", "stream": True}, (401, "UNAUTHORIZED")),
    ],
)
async def test_stream_that_may_not_be_is_refused(
    streams: Platform, message: dict[str, Any], error: tuple[int, str]
) -> None:
    """A message that announces one to a handler that takes none, or the other way round, or without the rights."""
    async with client(streams.url("/ws/streams")) as one:
        await one.send({**message, "id": "up"})

        assert error_of(await one.answer("up")) == error


async def test_second_stream_has_to_wait(streams: Platform) -> None:
    """One at a time: 409, and the first goes on."""
    async with client(streams.url("/ws/streams")) as one:
        await one.send(announcement("file.hash"))
        await one.send(announcement("file.hash", id="second"))

        assert error_of(await one.answer("second")) == (409, "STREAM_OPEN")
        await one.send_raw(b"x")
        await one.send_raw(b"")
        assert (await one.answer("up"))["data"]["size"] == 1
