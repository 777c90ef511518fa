"""HTTP bodies that are streamed, in either direction, through a real gateway."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from tests.chat.browsers import chromium
from tests.integration.raw_websocket import http_exchange, raw_connection
from tests.processes import Platform, make_token, platform, resident

pytestmark = pytest.mark.asyncio(loop_scope="module")

SERVICE = "tests/services/streaming.py"
WAIT = 10.0
MEBI = 2**20
ADMIN_KEY = "a key for the admin API of 32 bytes"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def files(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Platform]:
    """A service whose bodies are streamed; others may have 2 KiB, within a second."""
    env = {"LINKD_MAX_BODY_SIZE": "2048", "LINKD_BODY_TIMEOUT_MS": "1000", "LINKD_ANSWER_TIMEOUT_MS": "2000"}
    async with platform(tmp_path_factory.mktemp("p"), SERVICE, env=env) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def http(files: Platform) -> AsyncIterator[httpx.AsyncClient]:
    """An HTTP client of the gateway."""
    async with files.http_client() as session:
        yield session


async def test_large_answer_arrives_whole(http: httpx.AsyncClient) -> None:
    """More than a frame of the link may have."""
    answer = await http.get(f"/zeros/{24 * MEBI}")

    assert answer.status_code == 200
    assert answer.content == bytes(24 * MEBI)
    assert answer.headers["transfer-encoding"] == "chunked"


async def test_length_that_is_known_is_told(http: httpx.AsyncClient) -> None:
    """And the connection goes on behind it."""
    answer = await http.get("/zeros/100000?sized")

    assert answer.headers["content-length"] == "100000"
    assert "transfer-encoding" not in answer.headers
    assert len(answer.content) == 100_000
    head = await http.head("/zeros/100000?sized")
    assert (head.headers["content-length"], head.content) == ("100000", b"")
    assert (await http.get("/zeros/3")).content == bytes(3)


async def test_http_1_0_reads_until_the_end(files: Platform) -> None:
    """It knows no chunks."""
    answer = await http_exchange(files, b"GET /zeros/70000 HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n")
    head, _, body = answer.partition(b"\r\n\r\n")

    assert b"transfer-encoding" not in head.lower()
    assert body == bytes(70_000)


@pytest.mark.parametrize("path", ["/broken", "/longer?says=20", "/longer?says=5"])
async def test_answer_that_breaks_off_is_seen_to(http: httpx.AsyncClient, path: str) -> None:
    """No client takes a part for the whole."""
    with pytest.raises(httpx.RemoteProtocolError):
        await http.get(path)


async def test_client_that_does_not_read_stops_the_generator(files: Platform, http: httpx.AsyncClient) -> None:
    """What is under way is bounded, in the gateway and in the service, and goes on when the client reads."""
    size = 64 * MEBI
    before = resident(files.gateway.process.pid)
    async with raw_connection(files) as (reader, writer):
        writer.write(f"GET /zeros/{size} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
        await reader.readuntil(b"\r\n\r\n")
        made = await _stops_at(http)
        assert made < 32 * MEBI  # the most that the kernel takes on loopback
        assert resident(files.gateway.process.pid) - before < 16 * MEBI
        received = 0
        async with asyncio.timeout(60):
            while data := await reader.read(MEBI):
                received += len(data)
    assert received > size


async def _stops_at(http: httpx.AsyncClient) -> int:
    """How many bytes were made, once it is no more."""
    made = -1
    deadline = time.monotonic() + WAIT
    while time.monotonic() < deadline:
        before, made = made, int((await http.get("/made")).json()["made"])
        if made == before:
            return made
        await asyncio.sleep(0.3)
    raise AssertionError("it is made on and on")


async def test_generator_ends_with_its_client(files: Platform, http: httpx.AsyncClient) -> None:
    """It can stop listening to whatever it listens to."""
    count = len((await http.get("/made")).json()["ended"])
    async with http.stream("GET", "/ticks") as answer:
        async for line in answer.aiter_lines():
            assert line == "retry: 100"
            break

    await _until_ended(http, count + 1)


async def _until_ended(http: httpx.AsyncClient, count: int) -> None:
    deadline = time.monotonic() + WAIT
    while len((await http.get("/made")).json()["ended"]) < count:
        assert time.monotonic() < deadline, "no generator was closed"
        await asyncio.sleep(0.05)


async def test_events_outlive_the_time_for_an_answer(http: httpx.AsyncClient) -> None:
    """2 s here: as long as anything is sent, it goes on."""
    lines: list[str] = []
    began = time.monotonic()
    async with asyncio.timeout(WAIT), http.stream("GET", "/ticks?heartbeat=0.5") as answer:
        async for line in answer.aiter_lines():
            lines.append(line)
            if time.monotonic() - began > 3.0:
                break

    assert lines.count(":") >= 3


async def test_silence_is_no_answer(http: httpx.AsyncClient) -> None:
    """A generator that makes nothing for as long as an answer may take loses its client."""
    with pytest.raises(httpx.RemoteProtocolError):
        await asyncio.wait_for(_lines(http, "/ticks"), WAIT)


async def _lines(
    http: httpx.AsyncClient, path: str, began: asyncio.Event | None = None, headers: dict[str, str] | None = None
) -> list[str]:
    """All lines of an answer.

    Args:
        http: Who asks.
        path: Of the action.
        began: Set with the first line.
        headers: Of the request.
    """
    lines = []
    async with http.stream("GET", path, headers=headers) as answer:
        async for line in answer.aiter_lines():
            lines.append(line)
            if began is not None:
                began.set()
    return lines


# bodies


@pytest.mark.parametrize("chunked", [False, True])
async def test_large_body_passes_through(files: Platform, http: httpx.AsyncClient, chunked: bool) -> None:
    """Far larger than the gateway keeps, and it keeps little of it."""
    piece = bytes(range(256)) * 1024
    count = 160
    before = resident(files.gateway.process.pid)

    async def body() -> AsyncIterator[bytes]:
        for _ in range(count):
            yield piece

    headers = {} if chunked else {"Content-Length": str(len(piece) * count)}
    answer = await http.put("/digest", content=body(), headers=headers, timeout=60)

    found = answer.json()
    assert (found["sha256"], found["size"]) == (hashlib.sha256(piece * count).hexdigest(), len(piece) * count)
    assert found["largest"] <= 64 * 1024
    assert resident(files.gateway.process.pid) - before < 16 * MEBI


async def test_body_may_take_long_as_long_as_it_goes_on(http: httpx.AsyncClient) -> None:
    """A second is for a part of it, not for the whole."""

    async def body() -> AsyncIterator[bytes]:
        for _ in range(8):
            yield bytes(16 * 1024)
            await asyncio.sleep(0.25)

    assert (await http.put("/digest", content=body(), timeout=WAIT)).json()["size"] == 8 * 16 * 1024


async def test_handler_that_takes_its_time_is_no_fault_of_the_client(http: httpx.AsyncClient) -> None:
    """It is read from only as fast as the handler takes chunks, and has its time only while it is read from."""
    answer = await http.put("/digest?pause=0.3", content=bytes(8 * 64 * 1024), timeout=WAIT)

    assert answer.status_code == 200


async def test_body_that_does_not_go_on_is_given_up(files: Platform) -> None:
    """A drop now and then keeps no connection open."""
    async with raw_connection(files) as (reader, writer):
        writer.write(b"PUT /digest HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000\r\n\r\n")
        began = time.monotonic()
        answered = asyncio.ensure_future(reader.readuntil(b"\r\n\r\n"))
        while not answered.done() and time.monotonic() - began < WAIT:
            writer.write(b"x")
            await asyncio.wait({answered}, timeout=0.1)
    assert (await answered).startswith(b"HTTP/1.1 408 ")


async def test_service_waits_for_chunks_only_as_long_as_it_says(files: Platform, http: httpx.AsyncClient) -> None:
    """``idle_timeout``, which is the shorter one here."""
    async with raw_connection(files) as (reader, writer):
        writer.write(b"POST /waiting HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000\r\n\r\nx")
        async with asyncio.timeout(WAIT):
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize("chunked", [False, True])
async def test_body_above_the_actions_limit_is_refused(http: httpx.AsyncClient, chunked: bool) -> None:
    """By its announcement, or as soon as it is noticed."""

    async def body() -> AsyncIterator[bytes]:
        for _ in range(11):
            yield bytes(100)

    headers = {} if chunked else {"Content-Length": "1100"}
    answer = await http.post("/small", content=body(), headers=headers)

    assert (answer.status_code, answer.json()["error"]["details"]) == (413, {"limit": 1000})
    assert (await http.post("/small", content=bytes(1000))).json() == 1000


async def test_answer_before_the_body_is_there(files: Platform, http: httpx.AsyncClient) -> None:
    """The client learns at once that nobody wants the rest."""
    async with raw_connection(files) as (reader, writer):
        writer.write(b"POST /hasty HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000000\r\n\r\nx")
        async with asyncio.timeout(WAIT):
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200 ")
            assert b"connection: close" in head.lower()
            assert await reader.read() == b'"enough"'


async def test_body_is_asked_for_with_100_continue(files: Platform) -> None:
    """By clients that wait for that."""
    async with raw_connection(files) as (reader, writer):
        writer.write(
            b"POST /small HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 3\r\nExpect: 100-continue\r\n"
            b"Connection: close\r\n\r\n"
        )
        async with asyncio.timeout(WAIT):
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100 ")
            writer.write(b"abc")
            assert (await reader.read()).endswith(b"\r\n\r\n3")


async def test_handler_learns_that_its_client_has_gone(files: Platform, http: httpx.AsyncClient) -> None:
    """In the middle of a body."""
    count = len((await http.get("/made")).json()["ended"])
    async with raw_connection(files) as (_, writer):
        writer.write(b"POST /waiting HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000\r\n\r\nx")
        await writer.drain()

    await _until_ended(http, count + 1)
    assert (await http.get("/made")).json()["ended"][-1] in ("StreamAbortedError", "StreamIdleError")


# the ends of service and gateway


async def test_redeploy_ends_events_and_finishes_what_has_an_end(tmp_path: Path) -> None:
    """Clients that listen come back to the new instance; a download is not cut."""
    async with platform(tmp_path, SERVICE) as running, running.http_client(WAIT) as http:
        old = running.programs[-1]

        events_began, download_began = asyncio.Event(), asyncio.Event()
        listening = asyncio.ensure_future(_lines(http, "/ticks", events_began))
        downloading = asyncio.ensure_future(_lines(http, "/slowly", download_began))
        async with asyncio.timeout(WAIT):
            await events_began.wait()
            await download_began.wait()
        await running.start_service(SERVICE)
        await old.stop()

        assert "data: after 0" in await listening
        assert await downloading == [str(number) for number in range(100)]
        assert (await http.get("/zeros/3")).content == bytes(3)


async def test_killed_service_cuts_its_answers(tmp_path: Path) -> None:
    """A part is never taken for the whole."""
    async with platform(tmp_path, SERVICE) as running, running.http_client(WAIT) as http:
        began = asyncio.Event()
        downloading = asyncio.ensure_future(_lines(http, "/slowly", began))
        await asyncio.wait_for(began.wait(), WAIT)
        await running.programs[-1].kill()
        with pytest.raises(httpx.RemoteProtocolError):
            await downloading


async def test_gateway_that_stops_ends_events(tmp_path: Path) -> None:
    """At once, and not after the time that answers may take."""
    async with platform(tmp_path, SERVICE) as running, running.http_client(WAIT) as http:
        began = asyncio.Event()
        listening = asyncio.ensure_future(_lines(http, "/ticks", began))
        await asyncio.wait_for(began.wait(), WAIT)
        assert await running.gateway.stop(timeout=WAIT) == 0
        assert "data: after 0" in await listening


async def test_browser_listens_and_comes_back(tmp_path: Path) -> None:
    """With the id of the last event that it got."""
    async with platform(tmp_path, SERVICE) as running, running.http_client(WAIT) as http, chromium() as browser:
        context = await browser.new_context(ignore_https_errors=True)
        page = await context.new_page()
        await page.goto(f"{running.http}/page")
        await page.wait_for_function("heard.length === 1")
        await http.post("/tick", content=b"one")
        await page.wait_for_function("heard.length === 2")
        old = running.programs[-1]
        await running.start_service(SERVICE)
        await old.stop()
        await page.wait_for_function("heard.length === 3")
        await http.post("/tick", content=b"two")
        await page.wait_for_function("heard.length === 4")
        heard: Any = await page.evaluate("heard")
        assert heard == ["after 0", "one 1", "after 1", "two 2"]


async def test_client_that_reads_steadily_gets_all(tmp_path: Path) -> None:
    """However long it takes: what counts is that it reads."""
    size, hurried = 24 * MEBI, {"LINKD_HEAD_TIMEOUT_MS": "100"}  # a client that does not read has 0.6 s
    async with platform(tmp_path, SERVICE, env=hurried) as running, raw_connection(running) as (reader, writer):
        writer.write(f"GET /zeros/{size}?sized HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        await reader.readuntil(b"\r\n\r\n")
        began, left = time.monotonic(), size
        while left:
            await asyncio.sleep(0.05)
            async with asyncio.timeout(WAIT):
                left -= len(await reader.readexactly(min(left, MEBI // 2)))

    assert time.monotonic() - began > 2.0, "it was not slow"


@pytest.mark.parametrize("path", ["/broken", "/ticks"])
async def test_http_1_0_sees_that_an_answer_is_broken_off(files: Platform, path: str) -> None:
    """Where the end of the connection is that of the answer, a reset says that it is none."""
    with pytest.raises(ConnectionResetError):
        await http_exchange(files, f"GET {path} HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n".encode())


async def test_slow_uploads_keep_nobody_out(tmp_path: Path) -> None:
    """Neither other bodies, nor what is handled."""
    env = {"LINKD_BODIES_LIMIT": str(MEBI)}
    async with (
        platform(tmp_path, SERVICE, env=env) as running,
        running.http_client(WAIT) as http,
        contextlib.AsyncExitStack() as stack,
    ):
        for _ in range(40):
            _, writer = await stack.enter_async_context(raw_connection(running))
            writer.write(b"PUT /digest HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100000\r\n\r\nx")
        assert (await http.put("/digest", content=bytes(20_000))).json()["size"] == 20_000
        assert (await http.post("/tick", content=bytes(20_000))).status_code == 204


@pytest.mark.parametrize("how", ["token ends", "revoked", "banned"])
async def test_events_end_with_the_right_to_them(tmp_path: Path, how: str) -> None:
    """As a WebSocket does."""
    token = make_token("una", ttl=1 if how == "token ends" else 60)  # and clocks may differ by 5 s
    env = {"LINKD_ADMIN_KEY": ADMIN_KEY}
    async with platform(tmp_path, SERVICE, env=env) as running, running.http_client(WAIT) as http:
        began = asyncio.Event()
        headers = {"Authorization": f"Bearer {token}"}
        listening = asyncio.ensure_future(_lines(http, "/secrets", began, headers))
        await asyncio.wait_for(began.wait(), WAIT)
        if how != "token ends":
            path, body = {
                "revoked": ("/revocations", {"user": "una"}), "banned": ("/bans", {"network": "127.0.0.1"}),
            }[how]  # fmt: skip
            async with httpx.AsyncClient(base_url=running.admin, trust_env=False) as admin:
                answer = await admin.post(path, json=body, headers={"Authorization": f"Bearer {ADMIN_KEY}"})
            assert answer.json()["closed"] == 1

        assert "data: secret" in await asyncio.wait_for(listening, WAIT)
        if how != "banned":  # whose connections are not taken any more
            assert (await http.get("/secrets", headers=headers)).status_code == 401


async def test_events_that_begin_while_the_gateway_stops_end_at_once(tmp_path: Path) -> None:
    """It waits for no clients that would never leave."""
    async with platform(tmp_path, SERVICE) as running, running.http_client(WAIT) as http:
        listening = asyncio.ensure_future(_lines(http, "/ticks?delay=0.5"))
        await asyncio.sleep(0.2)
        began = time.monotonic()
        assert await running.gateway.stop(timeout=WAIT) == 0
        assert time.monotonic() - began < 8.0
        with contextlib.suppress(httpx.HTTPError):
            assert await listening == []


async def test_answer_that_begins_before_the_body_is_there_goes_on(files: Platform) -> None:
    """The client has not sent all, and nobody waits for it."""
    async with raw_connection(files) as (reader, writer):
        writer.write(b"POST /eager HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000000\r\n\r\nx")
        async with asyncio.timeout(WAIT):
            body = await reader.read()
    assert body.endswith(b"0\r\n\r\n")
    assert b"59\n" in body


async def test_streams_leave_connections_to_others(tmp_path: Path) -> None:
    """Half of those of an address, and of all."""
    env = {"LINKD_MAX_HTTP_CONNECTIONS_PER_ADDRESS": "8"}
    async with (
        platform(tmp_path, SERVICE, env=env) as running,
        running.http_client(WAIT) as http,
        contextlib.AsyncExitStack() as stack,
    ):
        listening = [await stack.enter_async_context(http.stream("GET", "/ticks")) for _ in range(5)]
        assert [answer.status_code for answer in listening] == [200, 200, 200, 200, 503]
        assert listening[-1].headers["retry-after"] == "5"
        assert (await http.get("/made")).status_code == 200
        await listening[0].aclose()
        async with asyncio.timeout(WAIT):
            while True:
                async with http.stream("GET", "/ticks") as answer:
                    if answer.status_code == 200:
                        break
                await asyncio.sleep(0.05)
