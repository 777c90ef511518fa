"""What operators do, over the admin address and from the command line."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from tests.processes import ROOT, Platform, make_token, platform

from .client import barred, client, refused
from .test_metrics import scrape

pytestmark = pytest.mark.plain("the same code over TLS; what is in it is not about the transport")

LIMITED = "tests/services/limited.py"
PATH = "/ws/limited"
KEY = "a key for the admin API of 32 bytes"
ENV = {"LINKD_ADMIN_KEY": KEY}


async def ask(running: Platform, method: str, path: str, key: str | None = KEY, **options: Any) -> httpx.Response:
    """Ask the admin API."""
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    async with httpx.AsyncClient(trust_env=False) as http:
        return await http.request(method, f"{running.admin}{path}", headers=headers, **options)


async def linkd(running: Platform, *arguments: str) -> str:
    """Run a command of ``linkd`` against the gateway; what it prints."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "pylinkd", *arguments, "--admin", running.admin,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, cwd=ROOT,
        env={"LINKD_ADMIN_KEY": KEY, "COLUMNS": "200", "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    output, _ = await asyncio.wait_for(process.communicate(), 20)
    return output.decode()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Platform]:
    """One gateway for the tests that change nothing in it."""
    async with platform(tmp_path_factory.mktemp("p"), LIMITED, env=ENV) as running:
        yield running


async def test_sessions_are_listed(tmp_path: Path) -> None:
    """Who, from where, since when, with what, in which rooms; all of them, or a user's."""
    async with (
        platform(tmp_path, LIMITED, env=ENV) as running,
        client(running.url(PATH), token=make_token("una"), headers={"User-Agent": "phone\u009b2J/1"}) as una,
        client(running.url(PATH)) as nobody,
    ):
        await una.ask("limited.join", "lobby")
        await nobody.ask("limited.often")

        all_ = (await ask(running, "GET", "/sessions")).json()
        one = (await ask(running, "GET", "/sessions?user=una")).json()
        printed = await linkd(running, "sessions", "list")

        assert (all_["total"], one["total"]) == (2, 1)
        (found,) = one["sessions"]
        assert (found["user"], found["path"], found["rooms"]) == ("una", PATH, ["limited/lobby"])
        assert found["address"] == "127.0.0.1"
        assert found["connectedAt"] > 1_600_000_000_000
        assert found["id"] in printed
        assert "limited/lobby" in printed
        assert "\u009b" not in printed, "what a client calls itself must not steer the operator's terminal"
        assert "2 of 2 sessions" in printed


@pytest.mark.parametrize("what", ["session", "user", "jti"])
async def test_revocation_holds_at_once(tmp_path: Path, what: str) -> None:
    """The connection is closed with 4401, and the token lets in no more; others go on."""
    token = make_token("una", jti="t-1")
    async with (
        platform(tmp_path, LIMITED, env=ENV) as running,
        client(running.url(PATH), token=token) as una,
        client(running.url(PATH), token=make_token("bob", jti="t-2")) as bob,
    ):
        await una.ask("limited.often")
        id = (await ask(running, "GET", "/sessions?user=una")).json()["sessions"][0]["id"]
        named = {"session": id, "user": "una", "jti": "t-1"}[what]
        printed = await linkd(running, "sessions", "revoke", f"--{what}", named)

        assert "closed 1 sessions" in printed
        assert await una.closed() == (4401, "revoked")
        assert (await refused(running.url(PATH, token)))[0] == 401
        assert await bob.ask("limited.often") == "often"
        if what != "session":
            assert len((await ask(running, "GET", "/revocations")).json()["revocations"]) == 1


async def test_bans_are_added_listed_and_lifted(tmp_path: Path) -> None:
    """Who is in from there is closed; nobody gets in; afterwards everybody does."""
    async with platform(tmp_path, LIMITED, env=ENV) as running:
        async with client(running.url(PATH)) as one:
            assert "closed 1 sessions" in await linkd(running, "bans", "add", "127.0.0.0/8", "--for", "10m")
            assert await one.closed() == (4403, "banned")
        assert await barred(running.url(PATH))
        assert "127.0.0.0/8" in await linkd(running, "bans", "list")
        assert (await scrape(running))("linkd_bans") == 1

        await linkd(running, "bans", "remove", "127.0.0.0/8")
        async with client(running.url(PATH)) as two:
            assert await two.ask("limited.often") == "often"
        assert "There is no such ban" in await linkd(running, "bans", "remove", "127.0.0.0/8")
        assert "no address and no network" in await linkd(running, "bans", "add", "nonsense")


@pytest.mark.parametrize("key", [None, "wrong", KEY + "x", "\u00e9"])
@pytest.mark.parametrize("path", ["/sessions", "/bans", "/revocations"])
@pytest.mark.asyncio(loop_scope="module")
async def test_key_is_needed(shared: Platform, key: str | None, path: str) -> None:
    """Whatever is asked; a refusal is recorded."""
    headers = {} if key is None else {b"Authorization": f"Bearer {key}".encode()}
    async with httpx.AsyncClient(trust_env=False) as http:
        answer = await http.get(f"{shared.admin}{path}", headers=headers)

    assert answer.status_code == 401
    assert shared.gateway.logged("admin_refused")


async def test_without_a_key_there_is_no_api(tmp_path: Path) -> None:
    """Metrics there are; clients reach neither."""
    async with platform(tmp_path, LIMITED) as running, running.http_client() as http:
        assert (await ask(running, "GET", "/sessions")).status_code == 404
        assert (await http.get("/sessions")).status_code == 404


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/revocations", b"{}", 400),
        ("POST", "/revocations", b'{"user":"a","jti":"b"}', 400),
        ("POST", "/revocations", b'{"session":"nobody"}', 404),
        ("POST", "/revocations", b"nonsense", 400),
        ("POST", "/revocations", b'{"user":"' + b"x" * 10_000 + b'"}', 413),
        ("POST", "/bans", b'{"network":"x"}', 400),
        ("POST", "/bans", b'{"network":"10.0.0.1","durationMs":0}', 400),
        ("DELETE", "/bans/x", b"", 400),
        ("DELETE", "/bans/10.0.0.1", b"", 404),
        ("GET", "/sessions?limit=0", b"", 400),
        ("GET", "/sessions?limit=x", b"", 400),
        ("GET", f"/sessions?limit={'9' * 5000}", b"", 400),
    ],
)
@pytest.mark.asyncio(loop_scope="module")
async def test_mistakes_are_told(shared: Platform, method: str, path: str, body: bytes, status: int) -> None:
    """As everywhere: code, type, and a sentence."""
    answer = await ask(shared, method, path, content=body)

    assert answer.status_code == status, answer.text
    assert answer.json()["error"]["code"] == status
