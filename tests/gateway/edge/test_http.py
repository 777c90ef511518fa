"""The HTTP face, without a socket."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Sequence
from typing import Any, NamedTuple

import httpx
import pytest
import structlog

from pylinkd.gateway.edge.bodies import Bodies
from pylinkd.gateway.edge.http import HttpApplication
from pylinkd.gateway.guard.unfinished import Unfinished
from pylinkd.protocol.errors import LinkdError, NotFoundError, ServiceUnavailableError
from pylinkd.protocol.identity import Identity
from pylinkd.protocol.link_pb2 import Header, HttpRequest, HttpResponse
from pylinkd.protocol.routes import MethodNotAllowedError
from pylinkd.version import __version__

from ...processes import make_token
from ..guards import make_door, make_guard

LIMIT = 100


class Target(NamedTuple):
    """Who answers, of whom only this is of interest."""

    identity: Identity | None
    cookies: Sequence[str]
    max_body: int | None = None
    stream: bool = False


class Answer(NamedTuple):
    """What it answers."""

    head: HttpResponse
    body: None = None


class Face:
    """An HTTP face with one service behind it, which keeps what it is asked.

    Attributes:
        asked: The requests that reached the service, and on whose behalf.
        found: Why no service takes the request; ``None``: one does.
        answer: What it answers, or raises.
        cookies: Those that it reads.
        max_body: The bytes that it takes.
    """

    def __init__(self) -> None:
        self.asked: list[tuple[HttpRequest, Identity | None]] = []
        self.answer: HttpResponse | Exception = HttpResponse(status=200, body=b"{}")
        self.found: Exception | None = None
        self.cookies: Sequence[str] = ()
        self.max_body: int | None = None
        self.ready = True
        guard = make_guard()
        app = HttpApplication(
            door=make_door(guard),
            proxies=guard.proxies,
            router=self,
            bodies=Bodies(2**20, 5.0),
            streams=Unfinished(1, 1),
            ready=lambda: self.ready,
            is_websocket=lambda path: path == "/ws",
            max_body_size=LIMIT,
        )
        transport = httpx.ASGITransport(app=app, client=("192.0.2.9", 4711))
        self.client = httpx.AsyncClient(transport=transport, base_url="http://gateway")

    def find(self, method: str, segments: Sequence[str], identity: Identity | None) -> Target:
        if isinstance(self.found, Exception):
            raise self.found
        return Target(identity, self.cookies, self.max_body)

    def answers(self, segments: Sequence[str]) -> bool:
        return self.found is None

    async def request(self, request: HttpRequest, target: Target, chunks: AsyncIterable[bytes] | None = None) -> Answer:
        self.asked.append((request, target.identity))
        if isinstance(self.answer, Exception):
            raise self.answer
        return Answer(self.answer)


@pytest.fixture
async def face() -> AsyncIterator[Face]:
    """Closed afterwards."""
    face = Face()
    async with face.client:
        yield face


@pytest.mark.parametrize(("ready", "status", "health"), [(True, 200, "ok"), (False, 503, "starting")])
async def test_probes_say_what_is(face: Face, ready: bool, status: int, health: str) -> None:
    """/live and /health as long as the process lives, /ready once a service takes messages."""
    face.ready = ready

    answers = [await face.client.get(path) for path in ("/live", "/ready", "/health")]

    assert [answer.status_code for answer in answers] == [200, status, 200]
    assert [answer.json() for answer in answers] == [
        {"live": True}, {"ready": ready}, {"status": health, "version": __version__},
    ]  # fmt: skip
    assert {answer.headers["cache-control"] for answer in answers} == {"no-store"}
    assert face.asked == []


async def test_request_reaches_the_service_without_its_credentials(face: Face) -> None:
    """Who asks is told as an identity; tokens and cookies stay at the gateway."""
    token = make_token("una")

    await face.client.post(
        f"/chat/rooms?x=1&%74oken={token}&x=2",
        headers={"Authorization": f"Bearer {token}", "Cookie": "s=1", "X-Mine": "yes"},
        content=b'{"a":1}',
    )

    ((request, identity),) = face.asked
    assert (request.method, request.path, request.body) == ("POST", "/chat/rooms", b'{"a":1}')
    assert request.query == "x=1&x=2"
    names = {header.name: header.value for header in request.headers}
    assert names["x-mine"] == "yes"
    assert not names.keys() & {"authorization", "cookie", "connection"}
    assert token not in str(request.headers)
    assert identity is not None
    assert (identity.user, request.identity.user) == ("una", "una")
    assert request.remote_address == "192.0.2.9"


@pytest.mark.parametrize(
    ("headers", "shown"),
    [
        ({"Origin": "http://gateway"}, True),
        ({"Sec-Fetch-Site": "same-origin"}, True),
        ({"Origin": "https://evil.example"}, False),
        ({"Origin": "null"}, False),
        ({"Origin": "http://gateway:8080"}, False),
        ({"Sec-Fetch-Site": "same-site"}, False),
        ({}, False),
    ],
)
async def test_action_reads_its_cookies_of_its_own_pages(face: Face, headers: dict[str, str], shown: bool) -> None:
    """Those that it names, and no others. A browser sends them along whoever made the page, and says so."""
    face.cookies = ["refresh", "absent"]

    await face.client.post("/session", headers={**headers, "Cookie": 'other=1; refresh="a=b"; refresh=2'})

    ((request, _),) = face.asked
    assert dict(request.cookies) == ({"refresh": "a=b"} if shown else {})


async def test_path_is_the_requests_own(face: Face) -> None:
    """Decoded once, whatever is in it, and whatever the Host header says."""
    await face.client.get("/rooms/a%3Fb%2520c?q=1", headers={"Host": "elsewhere/x"})

    request = face.asked[0][0]
    assert (request.path, request.query) == ("/rooms/a?b%20c", "q=1")


async def test_nobody_is_nobody(face: Face) -> None:
    """Without a token there is no identity on the link either."""
    await face.client.get("/x")

    request, identity = face.asked[0]
    assert identity is None
    assert not request.HasField("identity")


async def test_answer_comes_back(face: Face) -> None:
    """Status, body and headers; those that concern the connection are the server's own."""
    face.answer = HttpResponse(
        status=201,
        body=b"made",
        headers=[
            Header(name="Content-Type", value="text/plain"),
            Header(name="X-A", value="1"),
            Header(name="X-A", value="2"),
            Header(name="Connection", value="close"),
            Header(name="Content-Length", value="999"),
            Header(name="Transfer-Encoding", value="chunked"),
        ],
    )

    answer = await face.client.get("/x")

    assert (answer.status_code, answer.content) == (201, b"made")
    assert answer.headers.get_list("x-a") == ["1", "2"]
    assert answer.headers["content-length"] == "4"
    assert answer.headers["content-type"] == "text/plain"
    assert not answer.headers.keys() & {"connection", "transfer-encoding"}


@pytest.mark.parametrize("headers", [{}, {"Content-Length": "5"}])
async def test_body_over_the_limit_is_refused(face: Face, headers: dict[str, str]) -> None:
    """By its announced length, and by what really comes."""

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(11):
            yield b"x" * 10

    answer = await face.client.post("/x", content=chunks() if not headers else b"x" * 101)

    assert answer.status_code == 413
    assert answer.json()["error"]["details"] == {"limit": LIMIT}
    assert face.asked == []


async def test_body_of_the_very_limit_is_taken(face: Face) -> None:
    """The limit is the largest size."""
    await face.client.post("/x", content=b"x" * LIMIT)

    assert len(face.asked[0][0].body) == LIMIT


@pytest.mark.parametrize(
    ("error", "status", "headers"),
    [
        (NotFoundError(), 404, {}),
        (ServiceUnavailableError(retry_after=2.0), 503, {"retry-after": "2"}),
        (MethodNotAllowedError({"GET", "POST"}), 405, {"allow": "GET, POST, HEAD, OPTIONS"}),
        (MethodNotAllowedError({"PUT"}), 405, {"allow": "PUT, OPTIONS"}),
        (LinkdError("Odd.", code=499, type="ODD"), 499, {}),
    ],
)
async def test_error_is_an_http_answer(face: Face, error: LinkdError, status: int, headers: dict[str, str]) -> None:
    """With the error of the wire as its body."""
    face.answer = error

    answer = await face.client.get("/x")

    assert answer.status_code == status
    assert answer.json()["error"]["type"] == error.type
    assert headers.items() <= dict(answer.headers).items()


async def test_bad_token_is_refused(face: Face) -> None:
    """401 rather than nobody; the service is not asked."""
    for query in ("token=nonsense", f"token={make_token('a')}&token={make_token('b')}"):
        answer = await face.client.get(f"/x?{query}")

        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"
    assert face.asked == []


async def test_fault_of_the_gateway_says_nothing_of_its_cause(face: Face) -> None:
    """500, and the log has the rest; the path may hold secrets and is not in it."""
    face.answer = RuntimeError("password=hunter2")

    with structlog.testing.capture_logs() as logs:
        answer = await face.client.get("/reset/s3cret")

    assert answer.status_code == 500
    assert "hunter2" not in answer.text
    assert [line["event"] for line in logs] == ["request_failed"]
    assert "s3cret" not in str(logs)


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
async def test_every_method_reaches_the_services(face: Face, method: str) -> None:
    """Which of them an action takes is its own business."""
    await face.client.request(method, "/x")

    assert face.asked[0][0].method == method


@pytest.mark.parametrize(
    "fields",
    [
        {"status": 0},
        {"status": 99},
        {"status": 1000},
        {"status": 200, "headers": [Header(name="X", value="a\r\nSet-Cookie: b")]},
        {"status": 200, "headers": [Header(name="X Y", value="a")]},
        {"status": 200, "headers": [Header(name="X", value="€")]},
    ],
    ids=["0", "99", "1000", "line-break", "name", "euro"],
)
async def test_answer_that_http_cannot_carry_is_an_internal_error(face: Face, fields: dict[str, Any]) -> None:
    """A service's odd status or header costs its own request, and splits no answer (RFC 9110 §5.5)."""
    face.answer = HttpResponse(**fields)

    with structlog.testing.capture_logs():
        answer = await face.client.get("/x")

    assert answer.status_code == 500
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    ("limit", "size", "status"), [(3, 3, 200), (3, 4, 413), (0, 1, 413), (2 * LIMIT, LIMIT + 1, 413)]
)
@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_above_its_actions_limit_is_refused(
    face: Face, limit: int, size: int, status: int, chunked: bool
) -> None:
    """An action's limit holds below the gateway's, and its service does not see the request."""
    face.max_body = limit

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(size):
            yield b"x"

    answer = await face.client.post("/", content=chunks() if chunked else b"x" * size)

    assert answer.status_code == status
    assert len(face.asked) == (status == 200)
    if status == 413:
        assert answer.json()["error"]["details"] == {"limit": min(limit, LIMIT)}


async def test_repeated_headers_are_kept_both_ways(face: Face) -> None:
    """Each value of a repeated header arrives as a header of its own."""
    face.answer = HttpResponse(status=200)
    for value in ("<a>", "<b>"):
        face.answer.headers.add(name="Link", value=value)

    answer = await face.client.get("/", headers=[("X-Tag", "a"), ("X-Tag", "b")])

    request, _ = face.asked[0]
    assert [header.value for header in request.headers if header.name == "x-tag"] == ["a", "b"]
    assert answer.headers.get_list("Link") == ["<a>", "<b>"]


async def test_options_tells_the_methods_of_a_path(face: Face) -> None:
    """It is no error to ask; the service does not see it."""
    face.found = MethodNotAllowedError({"GET", "PUT"})

    answer = await face.client.options("/items")

    assert (answer.status_code, answer.headers["allow"], answer.content) == (204, "GET, PUT, HEAD, OPTIONS", b"")
    assert face.asked == []
