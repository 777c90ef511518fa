"""Tokens of a real OpenID provider: its keys are found, kept, renewed, and missed."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from tests.processes import make_token, platform, start_program
from tests.servers.npm import node_modules
from tests.servers.oidc import VERSION, Provider, provider

from .client import client, refused
from .test_metrics import scrape

ECHO = "tests/services/echo.py"

pytestmark = [pytest.mark.timeout(90), pytest.mark.plain]  # what is asked of a provider has its own scheme


@pytest.fixture(scope="session")
def modules(pytestconfig: pytest.Config) -> Path:
    """The provider's code."""
    return node_modules(pytestconfig, "oidc-provider", VERSION)


def issuers(folder: Path, *tables: str) -> dict[str, str]:
    """The settings of a gateway that believes these issuers."""
    file = folder / "issuers.toml"
    file.write_text("\n".join(f"[[issuer]]\n{table}" for table in tables))
    return {"LINKD_ISSUERS": str(file)}


def discovered(one: Provider, more: str = "") -> str:
    """A provider whose keys are found by its own description."""
    return f'issuer = "{one.issuer}"\naudience = "linkd"\ndiscovery = true\nalgorithms = ["ES256"]\n{more}'


def forged(one: Provider, kid: str) -> str:
    """A token that says it is the provider's, signed with a key that the provider never had."""
    claims = {"iss": one.issuer, "aud": "linkd", "sub": "una", "exp": 4102444800}
    return jwt.encode(claims, ec.generate_private_key(ec.SECP256R1()), algorithm="ES256", headers={"kid": kid})


async def test_tokens_of_the_provider_let_in(tmp_path: Path, modules: Path) -> None:
    """User and roles are told to services; the development secret counts for nothing any more."""
    async with provider(modules) as one:
        env = issuers(tmp_path, discovered(one))
        async with platform(tmp_path, ECHO, env=env) as running:
            async with client(running.url("/ws/echo"), token=await one.token()) as una:
                who = await una.ask("echo.me")
            status, _ = await refused(running.url("/ws/echo", make_token()))

            assert (who["user"], who["roles"]) == ("una", ["member"])
            assert status == 401


async def test_keys_are_fetched_once_for_all_and_renewed_when_they_change(tmp_path: Path, modules: Path) -> None:
    """Twenty handshakes that come together, then a rotation: nobody is refused, and the provider is asked twice."""
    async with provider(modules) as one:
        env = issuers(tmp_path, discovered(one))
        async with platform(tmp_path, ECHO, env=env) as running:

            async def come(token: str) -> str:
                async with client(running.url("/ws/echo"), token=token) as una:
                    return str((await una.ask("echo.me"))["user"])

            first = await one.token()
            assert await asyncio.gather(*(come(first) for _ in range(20))) == ["una"] * 20
            asked_before = await one.tell("count")
            await one.tell("rotate")
            second = await one.token()
            assert await asyncio.gather(*(come(second) for _ in range(20))) == ["una"] * 20

            assert (asked_before, await one.tell("count")) == (1, 2)
            status, _ = await refused(running.url("/ws/echo"), {"Authorization": f"Bearer {first}"})
            assert status == 401, "a key that is gone vouches for nobody, nor do tokens that it vouched for before"


async def test_provider_that_is_down_keeps_its_keys(tmp_path: Path, modules: Path) -> None:
    """Known keys go on; unknown ones are refused after one try for all who come; the metrics tell."""
    async with provider(modules) as one:
        env = issuers(tmp_path, discovered(one))
        async with platform(tmp_path, ECHO, env=env) as running:
            token = await one.token()
            async with client(running.url("/ws/echo"), token=token) as una:
                await una.ask("echo.me")
            another = await one.token("bob")
            await one.tell("down")

            strangers = [refused(running.url("/ws/echo", forged(one, f"unknown-{n}"))) for n in range(30)]
            statuses = [status for status, _ in await asyncio.gather(*strangers)]
            async with client(running.url("/ws/echo"), token=another) as bob:
                assert (await bob.ask("echo.me"))["user"] == "bob"

            assert statuses == [401] * 30
            found = await scrape(running)
            assert found("linkd_keys_fetched_total", one.issuer, "failed") == 1
            assert found("linkd_keys_fetched_total", one.issuer, "ok") == 1
            assert found("linkd_keys_age_seconds", one.issuer) > 0


async def test_gateway_starts_before_its_provider(tmp_path: Path, modules: Path) -> None:
    """Meanwhile its users are told to come again, and not that their tokens are wrong; then they get in."""
    async with provider(modules) as one:
        token = await one.token()
        await one.tell("down")
        env = issuers(tmp_path, discovered(one))
        async with platform(tmp_path, ECHO, env=env) as running:
            status, body = await refused(running.url("/ws/echo", token))
            assert (status, body["error"]["type"]) == (503, "SERVICE_UNAVAILABLE")
            assert body["error"]["retryAfterMs"] > 0
            await one.tell("up")

            async with client(running.url("/ws/echo"), token=token) as una:
                assert (await una.ask("echo.me"))["user"] == "una"


async def test_http_waits_for_keys_as_well(tmp_path: Path, modules: Path) -> None:
    """An action's caller is recognized by the same tokens."""
    async with provider(modules) as one:
        env = issuers(tmp_path, discovered(one))
        async with platform(tmp_path, "tests/services/web.py", env=env) as running, running.http_client(30) as http:
            answer = await http.get("/items/1", headers={"Authorization": f"Bearer {await one.token()}"})

            assert answer.status_code == 200, answer.text
            assert "una" in json.dumps(answer.json())


async def test_issuers_that_do_not_fit_stop_the_start(tmp_path: Path) -> None:
    """With one sentence that says what to change."""
    env = {**issuers(tmp_path, 'issuer = "http://id.example.com"\naudience = "x"\ndiscovery = true'), "LINKD_PORT": "0"}
    gateway = await start_program(tmp_path, "gateway", "serve", env={**env, "LINKD_LINK": str(tmp_path / "l.sock")})

    assert await asyncio.wait_for(gateway.process.wait(), 20) == 1
    assert "LINKD_ISSUERS" in gateway.text()
    assert "https://" in gateway.text()
    assert "Traceback" not in gateway.text()
