"""Health, and the page with its files."""

from __future__ import annotations

import pytest

from tests.processes import ROOT

from .clients import Chat

PAGE = ROOT / "examples/chat/page"
POLICY = "default-src 'self'; connect-src 'self' ws: wss:; frame-ancestors 'none'"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/chat/live", {"live": True}),
        ("/chat/ready", {"ready": True}),
        ("/chat/health", {"status": "ok", "database": "ok"}),
    ],
)
async def test_health_is_told_without_a_token(chat: Chat, path: str, body: object) -> None:
    """What watches the service has none."""
    answer = await chat.http("GET", path)

    assert (answer.status_code, answer.json()) == (200, body)


async def test_page_is_at_the_root(chat: Chat) -> None:
    """The page comes with a policy that lets it talk to its own server only."""
    answer = await chat.http("GET", "/?user=alice")

    assert answer.status_code == 200
    assert answer.content == (PAGE / "index.html").read_bytes()
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert answer.headers["Content-Security-Policy"] == POLICY
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    ("name", "content_type"),
    [("app.js", "text/javascript"), ("style.css", "text/css"), ("icon.svg", "image/svg+xml")],
)
async def test_files_of_the_page_have_their_types(chat: Chat, name: str, content_type: str) -> None:
    """A browser that does not guess runs and shows them."""
    answer = await chat.http("GET", f"/chat/page/{name}")

    assert answer.content == (PAGE / name).read_bytes()
    assert answer.headers["Content-Type"].partition(";")[0] == content_type
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


async def test_unchanged_file_is_not_sent_again(chat: Chat) -> None:
    """A browser keeps files and asks each time; edits thus show at the next load."""
    first = await chat.http("GET", "/chat/page/app.js")
    again = await chat.http("GET", "/chat/page/app.js", headers={"If-None-Match": first.headers["ETag"]})
    other = await chat.http("GET", "/chat/page/app.js", headers={"If-None-Match": '"other"'})

    assert first.headers["Cache-Control"] == "no-cache"
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["ETag"] == first.headers["ETag"]
    assert other.status_code == 200


@pytest.mark.parametrize(
    "name",
    [
        "..%2Fservice.py",
        "%2e%2e%2fservice.py",
        "..\\service.py",
        "%2Fetc%2Fpasswd",
        "service.py",
        ".",
        "..",
        "%00",
        "x" * 300,
    ],
)
async def test_nothing_but_the_page_is_served(chat: Chat, name: str) -> None:
    """No name leads out of the page's folder."""
    # httpx resolves dots; the raw path goes out as it stands.
    answer = await chat.http("GET", "/", extensions={"target": f"/chat/page/{name}".encode()})

    assert answer.status_code == 404
