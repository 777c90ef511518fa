"""Pages of other hosts, over real sockets."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chat.browsers import chromium
from tests.processes import make_token, platform

from .client import client, refused

ECHO = "tests/services/echo.py"
FOREIGN = "https://evil.example"
FRIEND = "https://app.example.org"


@pytest.mark.parametrize("origin", [FOREIGN, "null"])
async def test_page_of_another_host_may_not_connect(tmp_path: Path, origin: str) -> None:
    """403 before the upgrade, though the token it brings is good."""
    async with platform(tmp_path, ECHO) as running:
        status, body = await refused(running.url("/ws/echo", make_token()), {"Origin": origin})

    assert (status, body["error"]["type"]) == (403, "FORBIDDEN_ORIGIN")


async def test_pages_of_the_own_host_and_of_the_list_may_connect(tmp_path: Path) -> None:
    """The one by default, the others by setting."""
    async with platform(tmp_path, ECHO, env={"LINKD_ALLOWED_ORIGINS": f"{FRIEND}, https://*.example.net"}) as running:
        for origin in (f"http://127.0.0.1:{running.port}", FRIEND, "https://a.example.net"):
            async with client(running.url("/ws/echo"), headers={"Origin": origin}) as one:
                assert await one.ask("echo.any", origin) == origin


async def test_answers_over_http_are_for_listed_pages(tmp_path: Path) -> None:
    """CORS, preflight included; others get an answer that their browser keeps from them."""
    async with (
        platform(tmp_path, ECHO, env={"LINKD_ALLOWED_ORIGINS": FRIEND}) as running,
        running.http_client() as http,
    ):
        friend = await http.get("/echo/census", headers={"Origin": FRIEND})
        foreign = await http.get("/echo/census", headers={"Origin": FOREIGN})
        preflight = await http.options(
            "/echo/census",
            headers={
                "Origin": FRIEND,
                "Access-Control-Request-Method": "GET",
                "Access-Control-Request-Headers": "authorization",
            },
        )

    assert friend.headers["Access-Control-Allow-Origin"] == FRIEND
    assert "Access-Control-Allow-Origin" not in foreign.headers
    assert (preflight.status_code, preflight.headers["Access-Control-Allow-Origin"]) == (204, FRIEND)


async def test_listed_page_may_read_and_send_what_it_needs(tmp_path: Path) -> None:
    """Where to look and when to come back; the headers it asks for, where they are names; cookies, where they count."""
    env = {"LINKD_ALLOWED_ORIGINS": FRIEND, "LINKD_TOKEN_COOKIE": "sid"}
    async with platform(tmp_path, ECHO, env=env) as running, running.http_client() as http:
        asked = {"Origin": FRIEND, "Access-Control-Request-Method": "PUT"}
        wanted = "x-request-id, If-Match, b\u00e4d".encode("latin-1")
        preflight = await http.options(
            "/echo/census",
            headers=[*((name.encode(), value.encode()) for name, value in asked.items()),
                     (b"Access-Control-Request-Headers", wanted)],
        )  # fmt: skip
        answer = await http.get("/nowhere", headers={"Origin": FRIEND})
        foreign = await http.options("/echo/census", headers={**asked, "Origin": FOREIGN})

    assert preflight.headers["Access-Control-Allow-Headers"] == "x-request-id, If-Match"
    assert "PUT" in preflight.headers["Access-Control-Allow-Methods"]
    for headers in (preflight.headers, answer.headers):
        assert headers["Access-Control-Allow-Credentials"] == "true"
        assert {"Location", "Retry-After"} <= set(headers["Access-Control-Expose-Headers"].split(", "))
        assert "Origin" in headers["Vary"]
    assert (foreign.status_code, foreign.json()["error"]["type"]) == (403, "FORBIDDEN_ORIGIN")
    assert "Access-Control-Allow-Origin" not in foreign.headers


async def test_every_page_is_sent_no_credentials(tmp_path: Path) -> None:
    """Where any page may ask, none may ask with a user's cookies."""
    async with (
        platform(tmp_path, ECHO, env={"LINKD_ALLOWED_ORIGINS": "*"}) as running,
        running.http_client() as http,
    ):
        answer = await http.get("/echo/census", headers={"Origin": FOREIGN})

    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert "Access-Control-Allow-Credentials" not in answer.headers


async def test_origin_of_no_known_form_stops_the_start(tmp_path: Path) -> None:
    """With one sentence that names it."""
    with pytest.raises(AssertionError, match=r"'example\.org' is no origin"):
        async with platform(tmp_path, env={"LINKD_ALLOWED_ORIGINS": "example.org"}):
            pass


_CONNECT = """url => new Promise(resolve => {
    const socket = new WebSocket(url);
    socket.onopen = () => resolve("open");
    socket.onclose = event => resolve(`closed ${event.code}`);
})"""


@pytest.mark.plain  # the certificate is for one of the two hosts
@pytest.mark.parametrize(("page_host", "outcome"), [("127.0.0.1", "open"), ("localhost", "closed 1006")])
async def test_browser_is_let_in_from_the_own_host_alone(tmp_path: Path, page_host: str, outcome: str) -> None:
    """A page of another host cannot connect in its visitor's name (cross-site WebSocket hijacking)."""
    async with platform(tmp_path, ECHO) as running, chromium() as browser:
        page = await browser.new_page()
        await page.goto(f"http://{page_host}:{running.port}/live")

        assert await page.evaluate(_CONNECT, running.url("/ws/echo")) == outcome
