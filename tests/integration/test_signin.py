"""Who a session is, while it is open: signing in by a message, renewing, and the end of a token."""

from __future__ import annotations

import asyncio
import signal
import time
from pathlib import Path

import msgspec
import pytest
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from tests.processes import make_token, platform

from .client import client, error_of, eventually, refused
from .raw_websocket import TEXT, frame, opening, raw_connection, raw_websocket

pytestmark = pytest.mark.plain("the same code over TLS; what is in it is not about the transport")

ECHO = "tests/services/echo.py"
MEMBERS = "tests/services/members.py"
PATH = "/ws/members"


async def test_service_that_wants_to_know_who_is_there_is_told_first(tmp_path: Path) -> None:
    """Before that nothing reaches it, not even that somebody came; afterwards everything is as with a token at once."""
    async with platform(tmp_path, MEMBERS) as running, client(running.url(PATH)) as one:
        for type in ("members.me", "members.rule", "members.nothing"):
            assert error_of(await one.request(type)) == (401, "UNAUTHORIZED")
        assert error_of(await one.request("linkd.auth", {"token": "nonsense"})) == (401, "UNAUTHORIZED")

        told = await one.ask("linkd.auth", {"token": make_token("una", name="Una", roles=("admin",), ttl=600)})

        assert (told["user"], told["name"]) == ("una", "Una")
        assert 0 < told["expiresAt"] / 1000 - time.time() <= 600
        assert await one.ask("members.me") == {"user": "una", "roles": ["admin"], "connected": ["una"]}
        assert await one.ask("members.rule") == "done"


async def test_who_does_not_sign_in_has_to_go(tmp_path: Path) -> None:
    """4401 after the time limit; messages do not prolong it; the service hears nothing of it."""
    env = {"LINKD_AUTH_TIMEOUT_MS": "500"}
    async with platform(tmp_path, MEMBERS, env=env) as running:
        async with client(running.url(PATH)) as one:
            await one.request("members.me")
            assert await one.closed() == (4401, "sign in first")
        async with client(running.url(PATH), token=make_token("una")) as una:
            assert (await una.ask("members.me"))["connected"] == ["una"]


async def test_sleep_of_the_gateway_is_no_time_to_sign_in(tmp_path: Path) -> None:
    """It was stopped (SIGSTOP) for longer than clients have; what one said meanwhile is read."""
    async with (
        platform(tmp_path, MEMBERS, env={"LINKD_AUTH_TIMEOUT_MS": "1500"}) as running,
        client(running.url(PATH)) as one,
    ):
        running.gateway.process.send_signal(signal.SIGSTOP)
        await one.send({"type": "linkd.auth", "data": {"token": make_token("una")}, "id": 1})
        await asyncio.sleep(3.0)  # that is what is tested
        running.gateway.process.send_signal(signal.SIGCONT)

        assert (await one.answer(1))["type"] == "response"


async def test_token_in_a_subprotocol_lets_in_and_is_not_told_back(tmp_path: Path) -> None:
    """The way of a page, which can set no header."""
    async with platform(tmp_path, MEMBERS) as running:
        token = make_token("una")
        offered = [Subprotocol("linkd.v1+json"), Subprotocol(f"linkd.bearer.{token}")]
        async with connect(running.url(PATH), ssl=running.trust, subprotocols=offered, proxy=None) as one:
            assert one.subprotocol == "linkd.v1+json"
            assert one.response is not None
            assert token not in str(one.response.headers)
        async with raw_websocket(running, PATH, f"Sec-WebSocket-Protocol: linkd.bearer.{token}") as raw:
            await raw.send(frame(TEXT, b'{"type":"members.me","id":1}'))
            assert msgspec.json.decode((await raw.receive())[1])["data"]["user"] == "una"
        async with raw_connection(running) as (reader, writer):
            writer.write(opening(PATH, running.port, f"Sec-WebSocket-Protocol: linkd.bearer.{token}"))
            head = await reader.readuntil(b"\r\n\r\n")
            assert b"sec-websocket-protocol" not in head.lower()


async def test_cookie_signs_in_the_own_page_alone(tmp_path: Path) -> None:
    """Sent by a foreign page, or by nobody's, it is worth nothing."""
    env = {"LINKD_TOKEN_COOKIE": "session"}
    async with platform(tmp_path, ECHO, env=env) as running:
        cookie = {"Cookie": f"session={make_token('una')}"}
        async with client(running.url("/ws/echo"), headers={**cookie, "Origin": running.http}) as own:
            assert (await own.ask("echo.me"))["user"] == "una"
        async with client(running.url("/ws/echo"), headers=cookie) as program:
            assert (await program.ask("echo.me"))["user"] is None
        assert (await refused(running.url("/ws/echo"), {**cookie, "Origin": "https://evil.example"}))[0] == 403


@pytest.mark.parametrize(
    "lines",
    [
        ['prefs={"theme":"dark"}; session=TOKEN'],
        ["other=1", "session=TOKEN", "last=2"],
        ['odd="', "name=Una Meier; session=TOKEN; city=K\u00f6ln"],
    ],
)
async def test_cookies_of_other_programs_do_not_hide_the_token(tmp_path: Path, lines: list[str]) -> None:
    """Over WebSocket and HTTP, in one line or in several."""
    cookies = [("Cookie", line.replace("TOKEN", make_token("una"))) for line in lines]
    async with platform(tmp_path, ECHO, "tests/services/web.py", env={"LINKD_TOKEN_COOKIE": "session"}) as running:
        sent = [*(f"{name}: {value}" for name, value in cookies), f"Origin: {running.http}"]
        async with raw_websocket(running, "/ws/echo", *sent) as raw:
            await raw.send(frame(TEXT, b'{"type":"echo.me","id":1}'))
            assert b'"user":"una"' in (await raw.receive())[1]
        async with running.http_client() as http:
            headers = [(name.encode(), value.encode()) for name, value in cookies]
            answer = await http.get("/items/1", headers=[*headers, (b"Sec-Fetch-Site", b"same-origin")])

        assert answer.json()["user"] == "una"


async def test_token_in_the_query_can_be_switched_off(tmp_path: Path) -> None:
    """It is refused then, and everything else goes on."""
    async with platform(tmp_path, ECHO, env={"LINKD_TOKEN_IN_QUERY": "false"}) as running:
        assert (await refused(running.url("/ws/echo", make_token())))[0] == 401
        async with client(running.url("/ws/echo"), token=make_token("una")) as una:
            assert (await una.ask("echo.me"))["user"] == "una"


async def test_session_may_sign_in_later(tmp_path: Path) -> None:
    """Where the service lets anybody in; from then on handlers for members are open, and events to the user arrive."""
    async with platform(tmp_path, ECHO) as running, client(running.url("/ws/echo")) as one:
        assert error_of(await one.request("echo.member"))[0] == 401
        await one.ask("linkd.auth", {"token": make_token("una")})

        assert await one.ask("echo.member") == "una"
        assert (await one.ask("echo.me"))["user"] == "una"


async def test_service_that_wants_to_know_is_not_told_of_others_on_the_shared_path(tmp_path: Path) -> None:
    """On /ws a client may use the other services meanwhile; once it has signed in, all of them."""
    async with platform(tmp_path, ECHO, MEMBERS) as running, client(running.url("/ws")) as one:
        assert await one.ask("echo.any", 1) == 1
        assert error_of(await one.request("members.me")) == (401, "UNAUTHORIZED")

        await one.ask("linkd.auth", {"token": make_token("una")})

        assert (await one.ask("members.me"))["connected"] == ["una"]
        assert (await one.ask("echo.me"))["user"] == "una"


async def test_signing_in_later_counts_as_a_connection(tmp_path: Path) -> None:
    """The bound on a user's connections is not to be got round."""
    env = {"LINKD_MAX_CONNECTIONS_PER_USER": "1"}
    async with (
        platform(tmp_path, ECHO, env=env) as running,
        client(running.url("/ws/echo"), token=make_token("una")) as first,
        client(running.url("/ws/echo")) as second,
    ):
        await second.send({"type": "linkd.auth", "data": {"token": make_token("una")}})

        assert (await second.closed())[0] == 4429
        assert (await first.ask("echo.me"))["user"] == "una"


async def test_token_is_renewed_in_the_connection(tmp_path: Path) -> None:
    """By the same user; the client is told ahead of the end, and goes on with the roles of the new token."""
    env = {"LINKD_AUTH_EXPIRING_MS": "3000"}
    async with (
        platform(tmp_path, ECHO, env=env) as running,
        client(running.url("/ws/echo"), token=make_token("una", ttl=3), subprotocol="linkd.v1+json") as one,
    ):
        left = (await one.event("linkd.auth.expiring"))["expiresInMs"]
        assert 0 <= left <= 3000
        other = await one.request("linkd.auth", {"token": make_token("bob")})
        assert error_of(other) == (403, "OTHER_USER")
        assert (await one.ask("echo.me"))["user"] == "una"

        await one.ask("linkd.auth", {"token": make_token("una", roles=("admin",))})

        assert (await one.ask("echo.me"))["roles"] == ["admin"]
        assert await one.ask("echo.any", 1) == 1


@pytest.mark.plain  # it waits for a clock
async def test_token_that_ends_ends_the_connection(tmp_path: Path) -> None:
    """With 4401, some seconds after: the clocks of issuer and gateway may differ. on_disconnect is told why."""
    async with platform(tmp_path, ECHO) as running:
        async with client(running.url("/ws/echo"), token=make_token("una", ttl=1)) as one:
            began = time.monotonic()
            assert await one.closed() == (4401, "the token has expired")
            assert time.monotonic() - began > 4

        async def told() -> bool:
            return any(line["reason"] == "token_expired" for line in running.programs[1].logged("test_disconnected"))

        await eventually(told, "the service was told")


async def test_sign_in_that_is_none_is_a_bad_request(tmp_path: Path) -> None:
    """And changes nothing."""
    wrong: list[object] = [None, 5, "token", {}, {"token": 5}, {"token": None}, []]
    async with platform(tmp_path, ECHO) as running, client(running.url("/ws/echo"), token=make_token("una")) as one:
        for data in wrong:
            assert error_of(await one.request("linkd.auth", data)) == (400, "BAD_REQUEST")
        assert (await one.ask("echo.me"))["user"] == "una"


async def test_no_token_ends_up_in_a_log(tmp_path: Path) -> None:
    """Whatever way it came, right or wrong, and however much is logged."""
    audit = tmp_path / "audit.jsonl"
    env = {"LINKD_LOG_LEVEL": "debug", "LINKD_AUDIT_FILE": str(audit), "LINKD_TOKEN_COOKIE": "session"}
    tokens = [make_token(f"user-{n}") for n in range(5)] + [make_token("una", secret="x" * 40)]
    async with platform(tmp_path, ECHO, env=env) as running:
        async with client(running.url("/ws/echo", tokens[0])) as one:
            await one.ask("linkd.auth", {"token": tokens[0]})
            await one.request("linkd.auth", {"token": tokens[1]})
        async with client(running.url("/ws/echo"), token=tokens[2], subprotocol=f"linkd.bearer.{tokens[2]}"):
            pass
        async with client(running.url("/ws/echo"), headers={"Cookie": f"session={tokens[3]}", "Origin": running.http}):
            pass
        async with running.http_client() as http:
            await http.get(f"/echo/census?token={tokens[4]}")
        await refused(running.url("/ws/echo", tokens[5]))
        text = "".join(program.text() for program in running.programs) + audit.read_text()

    assert "token_refused" in audit.read_text()
    for token in tokens:
        for part in token.split(".")[1:]:
            assert part not in text
