"""Signing out at the issuer ends the sockets: of one sign-in, of a user, and sessions whose clients are away."""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from pylinkd.client import State, connect
from pylinkd.tokens import issue

from ..processes import Platform, platform
from .client import client, refused

pytestmark = pytest.mark.plain("the same code over TLS; what is in it is not about the transport")

ECHO = Path(__file__).parents[1] / "services" / "echo.py"
ISSUER = "https://id.example.com"
EVENT = "http://schemas.openid.net/event/backchannel-logout"
KEY = ec.generate_private_key(ec.SECP256R1())
PEM = KEY.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
).decode()


def access(user: str, sid: str) -> str:
    """A user's token, of one sign-in."""
    claims = {"sid": sid}
    return issue(user, key=PEM, algorithm="ES256", issuer=ISSUER, audience="linkd", claims=claims)


def logout_token(**changes: Any) -> str:
    """What the issuer sends."""
    now = int(time.time())
    claims = {"iss": ISSUER, "aud": "chat", "iat": now, "exp": now + 60, "jti": uuid.uuid4().hex, **changes}
    return jwt.encode({"events": {EVENT: {}}, **claims}, KEY, algorithm="ES256", headers={"typ": "logout+jwt"})


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Platform]:
    """A gateway that believes the issuer, also about sign-outs."""
    public = tmp_path / "key.pem"
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    public.write_bytes(KEY.public_key().public_bytes(serialization.Encoding.PEM, form))
    file = tmp_path / "issuers.toml"
    file.write_text(
        f'[[issuer]]\nissuer = "{ISSUER}"\naudience = "linkd"\npublic_key = "{public}"\nlogout_clients = ["chat"]\n'
    )
    async with platform(tmp_path, ECHO, env={"LINKD_ISSUERS": str(file)}) as running:
        yield running


async def sign_out(running: Platform, **claims: Any) -> httpx.Response:
    """The issuer tells of a sign-out."""
    async with running.http_client() as http:
        return await http.post("/linkd/logout", data={"logout_token": logout_token(**claims)})


async def test_sockets_of_the_sign_in_end(running: Platform) -> None:
    """And nobody else's; its token lets nobody in any more."""
    url = running.url("/ws/echo")
    laptop, phone = access("una", "laptop"), access("una", "phone")
    async with client(url, token=laptop) as one, client(url, token=phone) as two:
        await one.ask("echo.me")
        answer = await sign_out(running, sid="laptop", sub="una")
        assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
        assert (await one.closed())[0] == 4401
        assert (await two.ask("echo.me"))["user"] == "una"
        assert (await refused(f"{url}?token={laptop}"))[0] == 401


async def test_sockets_of_the_user_end(running: Platform) -> None:
    """Where the issuer names no sign-in."""
    url = running.url("/ws/echo")
    async with client(url, token=access("una", "a")) as one, client(url, token=access("bob", "b")) as other:
        assert (await sign_out(running, sub="una")).status_code == 200
        assert (await one.closed())[0] == 4401
        assert (await other.ask("echo.me"))["user"] == "bob"


async def test_session_whose_client_is_away_ends_too(running: Platform) -> None:
    """It comes back, and is not let in."""
    tokens = [access("una", "a")]
    async with connect(
        running.url("/ws/echo"), token=lambda _: tokens.pop() if tokens else None, ssl=running.trust
    ) as una:
        await una.wait(State.OPEN)
        assert una._connections._websocket is not None
        una._connections._websocket.transport.abort()
        assert (await sign_out(running, sid="a")).status_code == 200
        await una.wait(State.CLOSED)
        assert una._change.code == 4401


@pytest.mark.parametrize("changes", [{"aud": "linkd"}, {"exp": 1}, {"nonce": "n"}, {"events": {}}, {}], ids=str)
async def test_token_that_is_not_valid_ends_nothing(running: Platform, changes: dict[str, Any]) -> None:
    """400, as the specification has it, and a line for whoever looks after the gateway."""
    async with client(running.url("/ws/echo"), token=access("una", "a")) as una:
        claims: dict[str, Any] = {"sid": "a", **changes} if changes else {}
        answer = await sign_out(running, **claims)
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")
        assert answer.headers["cache-control"] == "no-store"
        await una.ask("echo.me")


async def test_what_is_no_such_request(running: Platform) -> None:
    """A clear error each."""
    async with running.http_client() as http:
        token = logout_token(sid="a")
        assert (await http.get("/linkd/logout")).status_code == 405
        assert (await http.post("/linkd/logout", json={"logout_token": token})).status_code == 400
        assert (await http.post("/linkd/logout", data={})).status_code == 400
        assert (await http.post("/linkd/logout", data={"logout_token": [token, token]})).status_code == 400
        assert (await http.post("/linkd/logout", data={"logout_token": "x" * 40_000})).status_code == 413


async def test_nobody_signs_out_where_no_issuer_may_say_so(tmp_path: Path) -> None:
    """There is no such path."""
    async with platform(tmp_path, ECHO) as running:
        assert (await sign_out(running, sid="a")).status_code == 404
