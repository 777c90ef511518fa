"""Forms, limits of bodies, conditional requests and files, over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from tests.integration.raw_websocket import http_exchange
from tests.processes import Platform, platform

pytestmark = pytest.mark.asyncio(loop_scope="module")

SERVICE = Path(__file__).parents[1] / "services" / "site.py"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Platform]:
    """The service ``site``."""
    async with platform(tmp_path_factory.mktemp("p"), "tests/services/site.py") as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def http(site: Platform) -> AsyncIterator[httpx.AsyncClient]:
    """An HTTP client of the gateway."""
    async with site.http_client() as session:
        yield session


async def test_a_form_with_a_file_is_read(http: httpx.AsyncClient) -> None:
    """As a client of HTTP sends it."""
    answer = await http.post("/upload", data={"title": "ä"}, files={"file": ("a.png", b"\x00\xff", "image/png")})

    assert answer.status_code == 200, answer.text
    assert answer.json() == {"fields": [["title", "ä"]], "files": [["a.png", "image/png", 2]]}


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_above_the_actions_limit_is_refused(http: httpx.AsyncClient, chunked: bool) -> None:
    """Below the gateway's own limit; the error says which limit."""

    async def chunks() -> AsyncIterator[bytes]:
        yield b"x" * 1001

    answer = await http.post("/upload", content=chunks() if chunked else b"x" * 1001)

    assert (answer.status_code, answer.json()["error"]["details"]) == (413, {"limit": 1000})


async def test_repeated_headers_are_kept(http: httpx.AsyncClient) -> None:
    """In both directions, cookies among them."""
    answer = await http.get("/page", headers=[("X-Tag", "a"), ("X-Tag", "b")])

    assert answer.text == "a,b"
    assert answer.headers.get_list("link") == ["<a>", "<b>"]
    assert answer.headers.get_list("set-cookie") == ["a=1", "b=2"]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_a_current_copy_is_answered_with_304(http: httpx.AsyncClient, method: str) -> None:
    """Without a body, and with the validator."""
    answer = await http.request(method, "/page", headers={"If-None-Match": '"v1"'})

    assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", '"v1"')
    assert "content-type" not in answer.headers


async def test_a_file_of_a_folder_is_answered(http: httpx.AsyncClient) -> None:
    """Whole; HEAD has its length; a client that has it gets 304."""
    answer = await http.get("/files/site.py")
    head = await http.head("/files/site.py")
    again = await http.get("/files/site.py", headers={"If-Modified-Since": answer.headers["last-modified"]})

    assert (answer.status_code, answer.content) == (200, SERVICE.read_bytes())
    assert (head.headers["content-length"], head.content) == (str(len(answer.content)), b"")
    assert again.status_code == 304
    assert (await http.put("/files/site.py")).status_code == 405


@pytest.mark.parametrize("path", ["../conftest.py", "..%2fconftest.py", "%2e%2e/conftest.py", "%2fetc/passwd", "x%00"])
async def test_nothing_outside_the_folder_is_answered(site: Platform, path: str) -> None:
    """Paths as they are sent, which a client of HTTP would resolve before."""
    request = f"GET /files/{path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    answer = await http_exchange(site, request.encode())

    assert answer.split(b" ", 2)[1] in (b"404", b"400")
