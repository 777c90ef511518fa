"""Health, the page and its files, and signing in for development."""

from __future__ import annotations

from pathlib import Path

import jwt
import pytest

from pylinkd.gateway.settings import DEVELOPMENT_SECRET
from tests.processes import ROOT

from .clients import Chat, User, started

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


async def test_seeded_users_are_offered_for_sign_in(chat: Chat) -> None:
    """Alice, Bob and Charlie come first."""
    users = (await chat.http("GET", "/chat/users")).json()["users"]

    assert [user["username"] for user in users[:3]] == ["Alice", "Bob", "Charlie"]


@pytest.mark.parametrize("user", ["alice", "Alice", "11111111-1111-1111-1111-111111111111"])
async def test_session_is_opened_by_name_or_id(chat: Chat, user: str) -> None:
    """The token is one that the gateway takes."""
    answer = (await chat.http("POST", "/chat/session", json={"user": user})).json()

    assert answer["user"] == {"id": "11111111-1111-1111-1111-111111111111", "username": "Alice"}
    claims = jwt.decode(answer["token"], DEVELOPMENT_SECRET, algorithms=["HS256"])
    assert (claims["sub"], claims["name"]) == (answer["user"]["id"], "Alice")
    rooms = await chat.http("GET", "/chat/rooms", headers={"Authorization": f"Bearer {answer['token']}"})
    assert rooms.status_code == 200


@pytest.mark.parametrize(("user", "status"), [("mallory", 404), (7, 422), ("nul\0", 422)])
async def test_session_of_nobody_is_refused(chat: Chat, user: object, status: int) -> None:
    """Who is not known cannot be chosen."""
    assert (await chat.http("POST", "/chat/session", json={"user": user})).status_code == status


async def test_production_offers_no_sign_in(tmp_path: Path) -> None:
    """There nobody gets a token for the asking, while tokens signed with the secret are taken."""
    secret = "a-secret-of-32-bytes-or-more-for-this-test"
    database = f"sqlite:///{tmp_path}/chat.db"
    async with started(tmp_path, database, LINKD_ENV="production", LINKD_JWT_SECRET=secret) as chat:
        assert (await chat.http("GET", "/chat/users")).status_code == 404
        assert (await chat.http("POST", "/chat/session", json={"user": "alice"})).status_code == 404
        assert (await chat.http("GET", "/chat/rooms", User("Una"))).status_code == 401
        assert (await chat.http("GET", "/")).status_code == 200
