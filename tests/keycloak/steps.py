"""The steps of docs/keycloak.md, one after the other. Ends with status 1 where one of them does not hold."""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from pathlib import Path

import httpx
import jwt

from pylinkd.client import Client, State, connect

from ..processes import Platform
from .server import Keycloak, download, free_port, keycloak

_ROOT = Path(__file__).parents[2]
_ECHO = _ROOT / "tests" / "services" / "echo.py"
_PATIENCE = 20.0


class Steps:
    """Says what was looked at, and whether it holds."""

    failed = 0

    def check(self, holds: bool, what: str) -> None:
        """One of them."""
        self.failed += not holds
        print(f"{'ok    ' if holds else 'FAILED'}  {what}", flush=True)  # noqa: T201


async def _closed(client: Client) -> bool:
    try:
        async with asyncio.timeout(_PATIENCE):
            await client.wait(State.CLOSED)
    except TimeoutError:
        return False
    return client._change.code == 4401


async def _take_steps(steps: Steps, running: Platform, provider: Keycloak) -> None:
    url = running.url("/ws/echo")
    first, second = await provider.sign_in("una", "una"), await provider.sign_in("una", "una")
    one = connect(url, token=lambda reason: first["access_token"] if reason == "connect" else None)
    two = connect(url, token=lambda reason: second["access_token"] if reason == "connect" else None)
    async with one, two:
        who = await one.call("echo.me")
        claims = jwt.decode(first["access_token"], options={"verify_signature": False})
        steps.check(who["user"] == claims["sub"], "a token of Keycloak lets its user in")
        steps.check("member" in who["roles"], "with the roles of the realm")
        await two.call("echo.me")

        async with httpx.AsyncClient(trust_env=False) as http:
            forged = jwt.encode({**claims, "events": {}}, "x" * 32, algorithm="HS256")
            answer = await http.post(f"{running.http}/linkd/logout", data={"logout_token": forged})
        steps.check(answer.status_code == 400, "a logout token that is forged gets 400")
        steps.check(await one.call("echo.me") == who, "and ends nothing")

        assert one._connections._websocket is not None
        one._connections._websocket.transport.abort()
        await one.wait(State.WAITING)
        await provider.sign_out(first)
        steps.check(await _closed(one), "signing out ends a session whose client is away: it comes back, and gets 4401")
        logged = await running.gateway.wait_logged("signed_out", timeout=_PATIENCE)
        steps.check(logged.get("sid") == claims["sid"], "it was of that one sign-in")
        steps.check((await two.call("echo.me"))["user"] == who["user"], "the other sign-in of the user goes on")

        await provider.end_all("una")
        steps.check(await _closed(two), "an administrator who signs the user out ends that as well, with 4401")

    refused = connect(url, token=lambda reason: first["access_token"] if reason == "connect" else None)
    async with refused:
        steps.check(await _closed(refused), "a token of before lets nobody in any more")


async def main() -> int:
    """All of it; the exit status."""
    steps = Steps()
    kept = Path(os.environ.get("KEYCLOAK_FOLDER", tempfile.gettempdir()))
    archive = await asyncio.to_thread(download, kept)
    with tempfile.TemporaryDirectory(prefix="linkd-keycloak-") as name:
        folder, port = Path(name), free_port()
        async with keycloak(archive, folder, f"http://127.0.0.1:{port}") as provider:
            issuers = (_ROOT / "examples" / "keycloak" / "issuers.toml").read_text()
            file = folder / "issuers.toml"
            file.write_text(issuers.replace("http://127.0.0.1:8080/realms/linkd", provider.issuer))
            running = Platform(folder, {"LINKD_ISSUERS": str(file)})
            running.port = port
            try:
                await running.start_gateway()
                await running.start_service(_ECHO)
                await _take_steps(steps, running, provider)
            finally:
                await running.close()
    return 1 if steps.failed else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
