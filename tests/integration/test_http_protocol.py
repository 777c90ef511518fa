"""HTTP/1.1 as it is spoken: whose a request is, where it ends, and which host it is for."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.processes import Platform, make_token, platform, start_program

from .raw_websocket import WAIT, http_exchange, opening, raw_connection

pytestmark = pytest.mark.asyncio(loop_scope="module")

WEB = "tests/services/web.py"
ECHO = "tests/services/echo.py"
END = b"Connection: close\r\n\r\n"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def web(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Platform]:
    """The services ``web`` and ``echo``."""
    async with platform(tmp_path_factory.mktemp("p"), WEB, ECHO) as running:
        yield running


def seen_in(answer: bytes) -> Any:
    """What a handler was told, by its answer."""
    assert answer.startswith(b"HTTP/1.1 200 "), answer
    return json.loads(answer.partition(b"\r\n\r\n")[2])


@pytest.mark.parametrize("offer", [b"foo", b"h2c", b"h2c, foo/2", b"TLS/1.0"])
@pytest.mark.parametrize("chunked", [False, True])
async def test_unknown_upgrade_is_ignored_and_the_body_delivered_once(
    web: Platform, offer: bytes, chunked: bool
) -> None:
    """RFC 9110 §7.8: what is offered and unknown changes nothing."""
    body = b"Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n" if chunked else b"Content-Length: 4\r\n\r\nbody"
    head = b"POST /upload HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: " + offer + b"\r\n"
    async with raw_connection(web) as (reader, writer):
        writer.write(head + body + b"GET /items/1 HTTP/1.1\r\nHost: x\r\n" + END)
        async with asyncio.timeout(WAIT):
            answers = await reader.read()

    assert answers.count(b"HTTP/1.1 200 ") == 2
    assert answers.count(b'"size":4') == 1


async def test_each_head_starts_empty(web: Platform) -> None:
    """Two requests in one read are two: neither has the other's path or credentials."""
    first = b"GET /items/1 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + make_token().encode() + b"\r\n\r\n"
    async with raw_connection(web) as (reader, writer):
        writer.write(first + opening("/ws/echo", web.port))
        await reader.readuntil(b"}")
        async with asyncio.timeout(WAIT):
            head = await reader.readuntil(b"HTTP/1.1 101 Switching Protocols\r\n")
        assert b"404" not in head


@pytest.mark.parametrize(
    "head",
    [
        b"GET /items/1 HTTP/1.1\r\n",
        b"GET /items/1 HTTP/1.1\r\nHost: a\r\nHost: b\r\n",
        b"GET /items/1 HTTP/1.1\r\nHost: a\r\nHost: a\r\n",
        b"GET /items/1 HTTP/1.1\r\nHost: a b\r\n",
        b"GET /items/1 HTTP/1.1\r\nHost: a/b\r\n",
        b"GET /live HTTP/1.1\r\nHost: a@b\r\n",
        b"GET /items/1 HTTP/1.1\r\nHost : a\r\n",
        b"GET items/1 HTTP/1.1\r\nHost: a\r\n",
        b"POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n",
        b"POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n",
        b"POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n",
        b"POST /upload HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n",
        b"GET /items/1#top HTTP/1.1\r\nHost: a\r\n",
        b"GET http:///items/1 HTTP/1.1\r\nHost: a\r\n",
        b"nonsense\r\n",
    ],
)
async def test_ambiguous_request_is_refused(web: Platform, head: bytes) -> None:
    """400 in JSON, and the connection ends: another server might read another request (RFC 9112 §11.2)."""
    answer = await http_exchange(web, head + END)

    assert answer.startswith(b"HTTP/1.1 400 ")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["type"] == "BAD_REQUEST"


@pytest.mark.parametrize(
    ("version", "lines"),
    [
        ("1.0", ["Host: x", "Connection: Upgrade", "Upgrade: websocket"]),
        ("1.1", ["Connection: Upgrade", "Upgrade: websocket"]),
        ("1.1", ["Host: x", "Host: x", "Connection: Upgrade", "Upgrade: websocket"]),
        ("1.1", ["Host: a/b", "Connection: Upgrade", "Upgrade: websocket"]),
    ],
)
async def test_ambiguous_opening_handshake_is_refused(web: Platform, version: str, lines: list[str]) -> None:
    """No Host, two, a malformed one, or a version that knows no upgrades: 400."""
    end = ["Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "", ""]
    answer = await http_exchange(web, "\r\n".join([f"GET /ws/echo HTTP/{version}", *lines, *end]).encode())

    assert answer.startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize(
    "lines",
    [
        ["Connection: keep-alive", "Connection: Upgrade", "Upgrade: websocket"],
        ["Connection: keep-alive, Upgrade", "Upgrade: h2c", "Upgrade: websocket"],
        ["Connection: Upgrade", "Upgrade: websocket, h2c"],
        ["connection: upgrade", "upgrade: WebSocket"],
        ["Connection: Upgrade", "Connection: HTTP2-Settings", "Upgrade: h2c,websocket"],
    ],
)
@pytest.mark.parametrize("before", [b"", b"GET /live HTTP/1.1\r\nHost: x\r\n\r\n"])
async def test_websocket_among_other_options_is_accepted(web: Platform, lines: list[str], before: bytes) -> None:
    """Lists may stand in several lines (RFC 9110 §5.3), on a new connection and on one that was used."""
    end = ["Host: x", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "", ""]
    head = "\r\n".join(["GET /ws/echo HTTP/1.1", *lines, *end]).encode()
    async with raw_connection(web) as (reader, writer):
        writer.write(before)
        if before:
            await reader.readuntil(b"}")
        writer.write(head)
        async with asyncio.timeout(WAIT):
            assert (await reader.readline()).startswith(b"HTTP/1.1 101 ")


async def test_bytes_behind_an_opening_handshake_are_refused(web: Platform) -> None:
    """RFC 6455 §4.1 has the client wait; what it sends before would be lost."""
    answer = await http_exchange(web, opening("/ws/echo", web.port) + b"\x81")

    assert answer.startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("socket", [False, True])
async def test_two_authorization_headers_that_differ_are_refused(web: Platform, socket: bool) -> None:
    """Which of them counts would be a guess: 401, over HTTP as over WebSocket."""
    lines = [f"Authorization: Bearer {make_token(user)}" for user in ("ana", "bob")]
    plain = "\r\n".join(["GET /items/1 HTTP/1.1", "Host: x", *lines, "Connection: close", "", ""]).encode()

    answer = await http_exchange(web, opening("/ws/echo", web.port, *lines) if socket else plain)

    assert answer.startswith(b"HTTP/1.1 401 ")


async def test_repeated_headers_all_arrive(web: Platform) -> None:
    """Those of a request joined (RFC 9110 §5.3), those of an answer as they are."""
    asked = b"GET /items/1 HTTP/1.1\r\nHost: x\r\nX-A: 1\r\nX-B: 2\r\nX-A: 3\r\n" + END
    seen = seen_in(await http_exchange(web, asked))
    answer = await http_exchange(web, b"GET /cookies HTTP/1.1\r\nHost: x\r\n" + END)

    assert (seen["headers"]["x-a"], seen["headers"]["x-b"]) == ("1, 3", "2")
    assert answer.lower().count(b"set-cookie: ") == 2
    assert b"a=1; Path=/\r\n" in answer
    assert b"b=2, Path=/\r\n" in answer


@pytest.mark.parametrize(
    ("path", "id"), [("a%2Fb", "a/b"), ("a%2fb%252F", "a/b%2F"), ("%2F", "/"), ("a%0Ab", "a\nb"), ("..%2F..", "../..")]
)
async def test_encoded_slash_is_a_part_of_its_segment(web: Platform, path: str, id: str) -> None:
    """RFC 3986 §2.2: it separates nothing."""
    answer = await http_exchange(web, f"GET /items/{path} HTTP/1.1\r\nHost: x\r\n".encode() + END)

    assert seen_in(answer)["params"] == {"id": id}


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("PROPFIND /items", 405),
        ("PROPFIND /nowhere", 404),
        ("TRACE /live", 405),
        ("CONNECT example.com:443", 404),
        ("OPTIONS *", 404),
        ("GET /a%0Ab", 404),
        ("GET /%00", 404),
        ("GET /%ff", 404),
        ("gET /items", 405),
        ("BREW /health", 405),
    ],
)
async def test_whatever_is_asked_the_answer_is_json(web: Platform, line: str, status: int) -> None:
    """Odd methods, odd paths."""
    answer = await http_exchange(web, f"{line} HTTP/1.1\r\nHost: x\r\n".encode() + END)

    assert answer.startswith(b"HTTP/1.1 %d " % status)
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["code"] == status
    assert (b"\r\nallow: " in answer) == (status == 405)


@pytest.mark.parametrize("upgrade", [b"", b"Connection: Upgrade\r\nUpgrade: websocket\r\n"])
async def test_other_major_version_is_not_supported(web: Platform, upgrade: bytes) -> None:
    """505 (RFC 9110 §15.6.6), for an opening handshake too."""
    answer = await http_exchange(web, b"GET /items/1 HTTP/2.0\r\nHost: x\r\n" + upgrade + END)

    assert answer.startswith(b"HTTP/1.1 505 ")


@pytest.mark.parametrize(
    ("request_", "behind"),
    [
        (b"POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n" + END + b"{}", b"\r\n"),
        (b"GET /items/1 HTTP/1.1\r\nHost: x\r\n" + END, b"GET /items/2 HTTP/1.1\r\nHost: x\r\n\r\n"),
        (b"GET /items/1 HTTP/1.0\r\nHost: x\r\n\r\n", b"\r\n"),
        (b"GET /slow HTTP/1.1\r\nHost: x\r\n" + END, b"\r\n"),
        (b"GET /large HTTP/1.1\r\nHost: x\r\n" + END, b"GET "),
    ],
)
@pytest.mark.parametrize("later", [False, True])
async def test_what_follows_the_last_request_is_ignored(
    web: Platform, request_: bytes, behind: bytes, later: bool
) -> None:
    """RFC 9112 §9.6: the request that closes the connection is answered, and nothing else. §2.2: empty lines come."""
    async with raw_connection(web) as (reader, writer):
        writer.write(request_ if later else request_ + behind)
        if later:
            await asyncio.sleep(0.1)  # it should come alone
            writer.write(behind)
        async with asyncio.timeout(WAIT):
            answer = await reader.read()

    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    assert f"content-length: {len(body)}".encode() in head.lower()


@pytest.mark.plain  # TLS ends both directions (RFC 8446 §6.1 allows one, OpenSSL's users do not)
async def test_client_that_sends_no_more_gets_its_answer(web: Platform) -> None:
    """It closes its own side behind the request, as ``nc -N`` does: what was asked completely is answered."""
    complete = b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n"
    incomplete = b"POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nabcd"
    for request, status in ((complete, b"200"), (incomplete, b"400")):
        async with raw_connection(web) as (reader, writer):
            writer.write(request)
            writer.write_eof()
            async with asyncio.timeout(WAIT):
                assert (await reader.read()).startswith(b"HTTP/1.1 " + status)


async def test_empty_lines_before_a_request_are_passed_over(web: Platform) -> None:
    """RFC 9112 §2.2."""
    assert (
        seen_in(await http_exchange(web, b"\r\n\r\nGET /items/1 HTTP/1.1\r\nHost: x\r\n" + END))["path"] == "/items/1"
    )


async def test_absolute_target_counts_instead_of_host(web: Platform) -> None:
    """RFC 9112 §3.2.2: the path is the target's, and the host."""
    asked = b"GET http://api.example/items/7?a=1 HTTP/1.1\r\nHost: other\r\n" + END
    seen = seen_in(await http_exchange(web, asked))

    assert (seen["path"], seen["headers"]["host"]) == ("/items/7", "api.example")


async def test_body_is_asked_for_once_it_is_wanted(web: Platform) -> None:
    """100 (Continue), and then the answer; none for a body that is too large."""
    head = b"POST /upload HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: %d\r\n"
    async with raw_connection(web) as (reader, writer):
        writer.write(head % 4 + b"\r\n")
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100 ")
        writer.write(b"body")
        assert (await reader.readline()).startswith(b"HTTP/1.1 200 ")

    assert (await http_exchange(web, head % 2_000_000 + b"\r\n")).startswith(b"HTTP/1.1 413 ")


async def test_unread_small_body_keeps_the_connection(web: Platform) -> None:
    """What was refused by its head may be followed by another request."""
    async with raw_connection(web) as (reader, writer):
        writer.write(b"POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 20000\r\n\r\n" + b"x" * 20_000)
        writer.write(b"GET /items/1 HTTP/1.1\r\nHost: x\r\n" + END)
        async with asyncio.timeout(WAIT):
            answers = await reader.read()

    assert [answers.count(b"HTTP/1.1 404 "), answers.count(b"HTTP/1.1 200 ")] == [1, 1]


# hosts


@pytest.mark.parametrize(
    ("host", "served"),
    [
        ("api.example.com", True),
        ("API.Example.com.:8443", True),
        ("a.b.example.net", True),
        ("example.net", False),
        ("evil.example", False),
        ("api.example.com.evil.example", False),
        ("127.0.0.1:3000", True),
        ("[::1]", True),
        ("192.0.2.1", False),
        ("", False),
    ],
)
async def test_only_listed_hosts_are_served(tmp_path: Path, host: str, served: bool) -> None:
    """421 for others, whatever is asked: WebSockets, actions, health, metrics and the admin API."""
    env = {"LINKD_HOSTS": "api.example.com, *.example.net, 127.0.0.0/8, ::1", "LINKD_ADMIN_KEY": "k" * 32}
    async with platform(tmp_path, ECHO, env=env) as running:
        admin = int(running.admin.rpartition(":")[2])
        statuses = []
        for path in ("/live", "/echo/census", "/ws/echo"):
            head = opening(path, running.port) if path == "/ws/echo" else b"GET %s HTTP/1.1\r\n" % path.encode() + END
            head = head.replace(b"Host: 127.0.0.1:%d\r\n" % running.port, b"")
            named = head.replace(b" HTTP/1.1\r\n", f" HTTP/1.1\r\nHost: {host}\r\n".encode())
            async with raw_connection(running) as (reader, writer):
                writer.write(named)
                statuses.append(int((await reader.readline()).split()[1]))
        for path in ("/metrics", "/sessions"):
            reader, writer = await asyncio.open_connection("127.0.0.1", admin)
            writer.write(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {'k' * 32}\r\n\r\n".encode())
            statuses.append(int((await reader.readline()).split()[1]))
            writer.close()

    assert statuses == ([200, 200, 101, 200, 200] if served else [421] * 5)


async def test_host_that_is_none_stops_the_start(tmp_path: Path) -> None:
    """With one sentence that names it."""
    program = await start_program(tmp_path, "gateway", "serve", env={"LINKD_HOSTS": "https://a.example"})

    assert await program.process.wait() == 1
    assert "LINKD_HOSTS" in program.text()
    assert "'https://a.example' is not a host" in program.text()


# ports


async def test_two_gateways_on_one_port(tmp_path: Path) -> None:
    """The second ends with a sentence and status 1, however close they start."""
    async with platform(tmp_path) as running:
        env = {**running.env, "LINKD_PORT": str(running.port), "LINKD_LINK": str(tmp_path / "other.sock")}
        second = await start_program(tmp_path / "second", "gateway", "serve", env=env)

        assert await asyncio.wait_for(second.process.wait(), WAIT) == 1
        assert f"port {running.port}" in second.text()


async def test_localhost_is_both_families(tmp_path: Path) -> None:
    """Whoever takes the name for an address of either version finds the gateway."""
    async with platform(tmp_path, env={"LINKD_HOST": "localhost"}) as running:
        found = await asyncio.get_running_loop().getaddrinfo("localhost", running.port)
        for host in {str(address[0]) for *_, address in found}:
            _, writer = await asyncio.open_connection(host, running.port)
            writer.close()
