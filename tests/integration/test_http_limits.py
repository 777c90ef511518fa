"""Clients of plain HTTP that want more than their share: what they cost, and how soon they are gone."""

from __future__ import annotations

import asyncio
import contextlib
import json
import resource
import socket
import time
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.certificates import Certificate
from tests.processes import Platform, platform, resident

from .client import eventually
from .raw_websocket import WAIT, http_exchange, raw_connection
from .test_metrics import scrape

WEB = "tests/services/web.py"
MEBIBYTE = 2**20
Raw = tuple[asyncio.StreamReader, asyncio.StreamWriter]
LIVE = b"GET /live HTTP/1.1\r\nHost: x\r\n\r\n"
CHUNKED = b"POST /upload HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"


async def send_until_cut(running: Platform, head: bytes, piece: bytes, most: int) -> tuple[int, bytes]:
    """Send a head, and then the same piece again and again: how many bytes the gateway took, and its answer."""
    async with raw_connection(running) as (reader, writer):
        writer.write(head)
        sent = 0
        with contextlib.suppress(OSError):
            while sent < most and not reader.at_eof():
                writer.write(piece)
                sent += len(piece)
                async with asyncio.timeout(WAIT):
                    await writer.drain()
                await asyncio.sleep(0)
        answer = b""
        with contextlib.suppress(OSError):
            async with asyncio.timeout(WAIT):
                answer = await reader.read()
        return sent, answer


@contextlib.asynccontextmanager
async def connections(running: Platform, count: int) -> AsyncIterator[list[Raw]]:
    """So many connections."""
    async with contextlib.AsyncExitStack() as stack:
        yield [await stack.enter_async_context(raw_connection(running)) for _ in range(count)]


async def stage(running: Platform, state: str) -> float:
    """How many connections are in a stage."""
    return (await scrape(running))("linkd_http_connections", state)


async def wait_for_stage(running: Platform, state: str, count: int) -> None:
    """Wait until so many connections are in a stage."""

    async def there() -> bool:
        return await stage(running, state) == count

    await eventually(there, f"{count} connections are {state}")


# before the end of a request


@pytest.mark.parametrize(
    ("head", "piece"),
    [
        (CHUNKED + b"0\r\n", b"a:b\r\n" * 1000),
        (CHUNKED + b"0\r\na:", b"x" * 5000),
        (CHUNKED + b"1;", b"x" * 5000),
        (CHUNKED, b"1;" + b"x" * 3000 + b"\r\ny\r\n"),
        (b"GET /health HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"a:b\r\n" * 1000),
        (b"", b"\r\n" * 2500),
    ],
    ids=["trailers", "trailer", "chunk extension", "chunk extensions", "trailers of a GET", "empty lines"],
)
async def test_what_surrounds_a_request_is_bounded(tmp_path: Path, head: bytes, piece: bytes) -> None:
    """Endless trailers, extensions and empty lines end with 431, or without a word, and are not kept."""
    async with platform(tmp_path, WEB) as running:
        await http_exchange(running, b"GET /live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        before = resident(running.gateway.process.pid)

        sent, answer = await send_until_cut(running, head, piece, 64 * MEBIBYTE)

        assert sent < 32 * MEBIBYTE
        assert b" 431 " in answer or b" 200 OK" in answer or answer == b""
        assert resident(running.gateway.process.pid) - before < 16 * MEBIBYTE


async def test_trailer_is_no_header(tmp_path: Path) -> None:
    """What stands behind the body says nothing about who asks, and does not reach the service."""
    async with platform(tmp_path, WEB) as running:
        request = CHUNKED + b"2\r\nhi\r\n0\r\nAuthorization: Bearer nonsense\r\nX-Late: 1\r\n\r\n"

        async with raw_connection(running) as (reader, writer):
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            seen = json.loads(await reader.readuntil(b"}"[:1] * 2) if b"}}" in head else await reader.read(2000))

        assert head.startswith(b"HTTP/1.1 200 ")
        assert (seen["size"], "x-late" in seen["headers"]) == (2, False)


async def test_trailers_that_do_not_come_are_not_waited_for(tmp_path: Path) -> None:
    """The end of a body has to come in the body's time."""
    async with platform(tmp_path, WEB, env={"LINKD_BODY_TIMEOUT_MS": "300"}) as running:
        answer = await http_exchange(running, CHUNKED + b"0\r\na: b\r\n")

        assert answer.startswith(b"HTTP/1.1 408 ")


async def test_many_small_chunks_are_a_body(tmp_path: Path) -> None:
    """A body in chunks of a byte has more around it than a head may have, and is a body all the same."""
    async with platform(tmp_path, WEB) as running, raw_connection(running) as (reader, writer):
        writer.write(CHUNKED + b"1\r\nx\r\n" * 20_000 + b"0\r\n\r\n")

        assert (await reader.readline()).startswith(b"HTTP/1.1 200 ")
        await reader.readuntil(b'"size":20000')


# pipelines


@pytest.mark.plain  # uvloop's TLS layer keeps a buffer of its own
async def test_pipelined_requests_wait_in_the_socket(tmp_path: Path) -> None:
    """40 clients that send 256 KiB of requests each and read no answer cost a read each."""
    async with platform(tmp_path, WEB) as running, connections(running, 40) as clients:
        before = resident(running.gateway.process.pid)
        for _, writer in clients:
            writer.transport.pause_reading()  # type: ignore[attr-defined]
            writer.write(LIVE * (256 * 1024 // len(LIVE)))
        async with running.http_client() as http:
            for _ in range(100):
                assert (await http.get("/live")).status_code == 200

        assert resident(running.gateway.process.pid) - before < 32 * MEBIBYTE
        for _, writer in clients:
            writer.transport.abort()


async def test_pipelined_requests_are_answered_in_order(tmp_path: Path) -> None:
    """Each once, bodies and empty lines between them included, and a slow one first."""
    async with platform(tmp_path, WEB) as running, raw_connection(running) as (reader, writer):
        post = b"POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s\r\n"
        slow = b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n"
        writer.write(slow + b"".join(post % (size, b"y" * size) for size in range(200)))
        await reader.readuntil(b'"done"')

        for size in range(200):
            await reader.readuntil(b'"size":%d,' % size)


# bodies


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"POST /nowhere HTTP/1.1\r\nHost: x\r\n", 404),
        (b"POST /items/newest HTTP/1.1\r\nHost: x\r\n", 405),
        (b"DELETE /items/1 HTTP/1.1\r\nHost: x\r\n", 401),
        (b"POST /upload HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer nonsense\r\n", 401),
        (b"POST /health HTTP/1.1\r\nHost: x\r\n", 405),
        (b"POST /ws HTTP/1.1\r\nHost: x\r\n", 400),
    ],
)
async def test_head_alone_is_refused(tmp_path: Path, head: bytes, status: int) -> None:
    """No byte of the body is waited for, nor asked for by 100 (Continue)."""
    async with platform(tmp_path, WEB) as running:
        answer = await http_exchange(running, head + b"Content-Length: 1000000\r\nExpect: 100-continue\r\n\r\n")

        assert answer.startswith(b"HTTP/1.1 %d " % status)


@pytest.mark.plain  # uvloop's TLS layer keeps a buffer of its own
@pytest.mark.parametrize(("path", "status"), [("/nowhere", b" 404 "), ("/upload", b" 200 ")])
async def test_large_bodies_of_many_clients_have_a_total(tmp_path: Path, path: str, status: bytes) -> None:
    """200 clients send 1 MiB each at once: those that are taken are answered, and memory stays where it was."""
    env = {"LINKD_BODIES_LIMIT": str(8 * MEBIBYTE)}
    async with platform(tmp_path, WEB, env=env) as running:
        pid = running.gateway.process.pid
        head = f"POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {MEBIBYTE}\r\n\r\n".encode()
        before, peak = resident(pid), 0

        async def post() -> bytes:
            nonlocal peak
            async with raw_connection(running) as (reader, writer):
                writer.write(head + b"x" * MEBIBYTE)
                with contextlib.suppress(OSError):
                    await writer.drain()
                peak = max(peak, resident(pid))
                async with asyncio.timeout(40):
                    return await reader.readline()

        answers = await asyncio.gather(*(post() for _ in range(200)))

    found = Counter(answer[8:13] for answer in answers)
    assert found[status] > 0
    assert found.keys() <= {status, b" 503 "}, "nobody is cut; a service whose link is full says so"
    assert peak - before < 64 * MEBIBYTE


async def test_body_that_waits_too_long_for_room_gets_503(tmp_path: Path) -> None:
    """Others that never finish hold the room for as long as a body may take, and no longer."""
    env = {"LINKD_BODIES_LIMIT": str(MEBIBYTE), "LINKD_BODY_TIMEOUT_MS": "1000"}
    head = b"POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 600000\r\n\r\n"
    async with platform(tmp_path, WEB, env=env) as running, raw_connection(running) as (reader, writer):
        writer.write(head + b"x")
        await wait_for_stage(running, "body", 1)
        answer = await http_exchange(running, head)
        small = await http_exchange(
            running, b"POST /upload HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx"
        )

        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"Retry-After: 1\r\n" in answer or b"retry-after: 1\r\n" in answer
        assert small.startswith(b"HTTP/1.1 200 ")
        assert (await reader.readline()).startswith(b"HTTP/1.1 408 ")


async def test_bodies_that_do_not_come_leave_room_for_others(tmp_path: Path) -> None:
    """One address announces as many as there is room for, and sends none."""
    head = b"POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"
    env = {"LINKD_BODIES_LIMIT": str(8 * MEBIBYTE)}
    async with platform(tmp_path, WEB, env=env) as running, connections(running, 8) as clients:
        for _, writer in clients:
            writer.write(head % MEBIBYTE)
        await wait_for_stage(running, "body", 8)

        reader, writer = await asyncio.open_connection(
            "127.0.0.1", running.port, local_addr=("127.0.0.2", 0), ssl=running.trust
        )
        writer.write(head % 20_000 + b"x" * 20_000)
        async with asyncio.timeout(WAIT / 3):
            assert (await reader.readline()).startswith(b"HTTP/1.1 200 ")
        writer.close()


# silence


@pytest.mark.parametrize(
    ("said", "state"),
    [
        (LIVE, "idle"),
        (LIVE + b"\r\n", "idle"),
        (LIVE + b"\r", "idle"),
        (LIVE + b"GET /", "head"),
        (b"GET /waits HTTP/1.1\r\nHost: x\r\n\r\n", "answering"),
        (b"POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nx", "body"),
    ],
)
async def test_every_stage_has_a_place_in_the_metrics_and_an_end(tmp_path: Path, said: bytes, state: str) -> None:
    """Whatever a client says before it falls silent."""
    timeouts = ("HEAD", "BODY", "KEEP_ALIVE", "ANSWER")
    env = {f"LINKD_{name}_TIMEOUT_MS": "1500" for name in timeouts}
    async with platform(tmp_path, WEB, env=env) as running, connections(running, 3) as clients:
        for _, writer in clients:
            writer.write(said)

        # A connection of the scrape itself is being answered on the admin port.
        await wait_for_stage(running, state, 3 + (state == "answering"))
        for reader, _ in clients:
            async with asyncio.timeout(WAIT):
                await reader.read()


async def test_connections_are_bounded_and_idle_ones_make_room(tmp_path: Path) -> None:
    """The one that was idle longest goes; where all are busy a new one is told to come back."""
    env = {"LINKD_MAX_HTTP_CONNECTIONS": "4", "LINKD_KEEP_ALIVE_TIMEOUT_MS": "60000"}
    async with platform(tmp_path, WEB, env=env) as running, connections(running, 4) as clients:
        for reader, writer in clients:
            writer.write(LIVE)
            await reader.readuntil(b"}")

        async with raw_connection(running) as (reader, writer):
            writer.write(LIVE)
            assert (await reader.readline()).startswith(b"HTTP/1.1 200 ")
            async with asyncio.timeout(WAIT):
                assert await clients[0][0].read() == b""

            for _, busy in [*clients[1:], (reader, writer)]:
                busy.write(b"GET /waits HTTP/1.1\r\nHost: x\r\n\r\n")
            await wait_for_stage(running, "answering", 5)
            assert (await http_exchange(running, LIVE)).startswith(b"HTTP/1.1 503 ")


async def test_who_has_too_many_connections_closes_no_idle_ones_of_others(tmp_path: Path) -> None:
    """An address beyond its own limit makes room among its own connections, or gets 503."""
    env = {"LINKD_MAX_HTTP_CONNECTIONS_PER_ADDRESS": "2", "LINKD_KEEP_ALIVE_TIMEOUT_MS": "60000"}
    async with platform(tmp_path, WEB, env=env) as running, connections(running, 2) as busy:
        other, writer = await asyncio.open_connection(
            "127.0.0.1", running.port, local_addr=("127.0.0.2", 0), ssl=running.trust
        )
        for reader, target in [(other, writer), (busy[0][0], busy[0][1])]:
            target.write(LIVE)
            await reader.readuntil(b"}")
        busy[1][1].write(b"GET /waits HTTP/1.1\r\nHost: x\r\n\r\n")
        await wait_for_stage(running, "answering", 2)

        async with raw_connection(running) as (reader, third):  # closes the idle one of its address
            third.write(b"GET /waits HTTP/1.1\r\nHost: x\r\n\r\n")
            async with asyncio.timeout(WAIT):
                assert await busy[0][0].read() == b""
            await wait_for_stage(running, "answering", 3)
            assert (await http_exchange(running, LIVE)).startswith(b"HTTP/1.1 503 ")

        writer.write(LIVE)
        assert (await other.readline()).startswith(b"HTTP/1.1 200 ")
        writer.close()


async def test_admin_port_has_limits_of_its_own(tmp_path: Path) -> None:
    """On the head and its time, as everywhere."""
    env = {"LINKD_HEAD_TIMEOUT_MS": "300", "LINKD_MAX_HEAD_SIZE": "2048"}
    async with platform(tmp_path, env=env) as running:
        port = int(running.admin.rpartition(":")[2])
        for said, status in (
            (b"", b" 408 "),
            (b"GET /m", b" 408 "),
            (b"GET /metrics HTTP/1.1\r\nA: " + b"x" * 5000, b" 431 "),
        ):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(said)
            async with asyncio.timeout(WAIT):
                assert status in await reader.readline()
            writer.close()


# answers that arrive


async def test_refusal_of_a_body_under_way_arrives(tmp_path: Path) -> None:
    """A client that sends everything before it reads finds its 413, and no reset."""
    async with platform(tmp_path, WEB) as running:
        for _ in range(5):
            head = b"POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 4000000\r\n\r\n"
            async with raw_connection(running) as (reader, writer):
                writer.write(head + b"x" * 4_000_000)
                await writer.drain()
                async with asyncio.timeout(WAIT):
                    answer = await reader.read()
            assert answer.startswith(b"HTTP/1.1 413 ")


async def test_large_answer_on_a_connection_that_closes_arrives(tmp_path: Path) -> None:
    """Closing begins when the client has it."""
    async with platform(tmp_path, WEB) as running:
        answer = await http_exchange(running, b"GET /large HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")

        assert len(answer.partition(b"\r\n\r\n")[2]) == 4_000_000


@pytest.mark.parametrize("more", ["", "Connection: close\r\n"])
async def test_slow_reader_gets_all_of_its_answer(tmp_path: Path, more: str) -> None:
    """However long it takes, as long as it reads; who does not read is cut."""
    env = {"LINKD_HEAD_TIMEOUT_MS": "100"}
    async with platform(tmp_path, WEB, env=env) as running, connections(running, 2) as clients:
        for _, writer in clients:
            connection = writer.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
            writer.write(f"GET /huge HTTP/1.1\r\nHost: x\r\n{more}\r\n".encode())
        for reader, _ in clients:
            await reader.readuntil(b"\r\n\r\n")
        reader, left, began = clients[0][0], 12_000_000, time.monotonic()
        while left:
            await asyncio.sleep(0.05)  # the pace of a slow line
            async with asyncio.timeout(WAIT):
                left -= len(await reader.readexactly(min(left, 250_000)))

        assert time.monotonic() - began > 2.0, "it was not slow"
        with pytest.raises(asyncio.IncompleteReadError):
            await clients[1][0].readexactly(12_000_000)


async def test_large_answers_that_nobody_reads_have_a_total(tmp_path: Path) -> None:
    """60 clients ask for 12 MB each and read nothing: a few are kept, and one that reads gets everything meanwhile."""
    env = {"LINKD_ANSWERS_LIMIT": str(16 * MEBIBYTE)}
    async with platform(tmp_path, WEB, env=env) as running, contextlib.AsyncExitStack() as stack:
        pid = running.gateway.process.pid
        before = resident(pid)
        for _ in range(60):
            _, writer = await stack.enter_async_context(raw_connection(running))
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            writer.transport.pause_reading()  # type: ignore[attr-defined]
            writer.write(b"GET /huge HTTP/1.1\r\nHost: x\r\n\r\n")

        await running.gateway.wait_logged("answer_cut", 40)

        # Without a total it is half a gigabyte; what is on its way from the service comes on top of the limit.
        assert resident(pid) - before < 160 * MEBIBYTE
        async with running.http_client(timeout=WAIT) as http:
            assert len((await http.get("/large")).content) == 4_000_000


async def test_client_that_reads_is_not_the_one_that_is_cut(tmp_path: Path) -> None:
    """It began before the others, which read nothing: it is they that have not read for longest."""
    env = {"LINKD_ANSWERS_LIMIT": str(32 * MEBIBYTE)}
    async with platform(tmp_path, WEB, env=env) as running, connections(running, 8) as clients:
        for reader, writer in clients:
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
            writer.write(b"GET /huge HTTP/1.1\r\nHost: x\r\n\r\n")
            if writer is not clients[0][1]:
                writer.transport.pause_reading()  # type: ignore[attr-defined]
            else:
                await reader.readuntil(b"\r\n\r\n")
                await reader.readexactly(MEBIBYTE)
        left = 12_000_000 - MEBIBYTE
        while left:
            left -= len(await clients[0][0].readexactly(min(left, 2**18)))
            await asyncio.sleep(0.02)  # the pace of a slow line

        await running.gateway.wait_logged("answer_cut")


async def test_aborted_downloads_over_tls_leave_nothing(tmp_path: Path, certificate: Certificate) -> None:
    """Neither the answers nor the buffers of TLS."""
    async with platform(tmp_path, WEB, certificate=certificate) as running:
        pid = running.gateway.process.pid
        sizes = []
        for _ in range(3):
            for _ in range(30):
                async with raw_connection(running) as (reader, writer):
                    writer.write(b"GET /huge HTTP/1.1\r\nHost: x\r\n\r\n")
                    await reader.readexactly(100)
                    writer.transport.abort()
            await wait_for_stage(running, "sending", 0)
            sizes.append(resident(pid))

        assert sizes[2] - sizes[0] < 24 * MEBIBYTE, sizes


async def test_requests_that_no_action_counts_are_counted(tmp_path: Path) -> None:
    """Health, and plain requests for a path of WebSockets, cost as much as others."""
    env = {"LINKD_LIMITS": "enforce", "LINKD_USER_MESSAGE_RATE": "4/1h"}
    async with platform(tmp_path, WEB, env=env) as running, running.http_client() as http:
        codes = [(await http.get(path)).status_code for path in ("/health", "/ws", "/live") * 2]

    assert 429 not in codes[:3]
    assert codes[4:] == [429, 429]


async def test_who_sends_on_after_the_last_answer_is_cut(tmp_path: Path) -> None:
    """Left-overs are read for a moment, and only so many."""
    async with platform(tmp_path, WEB) as running:
        head = b"POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n"

        sent, _ = await send_until_cut(running, head, b"x" * 65536, 256 * MEBIBYTE)

        assert sent < 128 * MEBIBYTE
        await wait_for_stage(running, "closing", 0)


# descriptors


async def test_exhausted_descriptors_are_logged_and_survived(tmp_path: Path) -> None:
    """Once for a burst; idle connections make room, and the gateway serves on."""
    async with platform(tmp_path, WEB, env={"LINKD_KEEP_ALIVE_TIMEOUT_MS": "60000"}) as running:
        pid = running.gateway.process.pid
        used = len(list(Path(f"/proc/{pid}/fd").iterdir()))
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (used + 5, used + 5))
        async with contextlib.AsyncExitStack() as stack:
            for _ in range(10):
                with contextlib.suppress(OSError):
                    _, writer = await stack.enter_async_context(raw_connection(running))
                    writer.write(LIVE)

            await running.gateway.wait_logged("descriptors_exhausted")

        async def serves() -> bool:
            with contextlib.suppress(OSError, AssertionError):
                return (await scrape(running))("linkd_descriptors_exhausted_total") >= 1
            return False

        await eventually(serves, "the gateway serves")
        assert len(running.gateway.logged("descriptors_exhausted")) == 1


async def test_connection_counts_until_it_is_gone(tmp_path: Path) -> None:
    """Also while a client does not read its last answer: so many of these as of others."""
    env = {"LINKD_MAX_HTTP_CONNECTIONS": "2"}
    async with platform(tmp_path, WEB, env=env) as running, connections(running, 2) as clients:
        for _, writer in clients:
            writer.transport.pause_reading()  # type: ignore[attr-defined]
            writer.write(b"GET /huge HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        await wait_for_stage(running, "sending", 2)

        assert (await http_exchange(running, LIVE)).startswith(b"HTTP/1.1 503 ")
        for _, writer in clients:
            writer.transport.abort()
