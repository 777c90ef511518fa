"""Keycloak as a process: taken from its distribution, with the realm of examples/keycloak."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import httpx

VERSION = "26.5.6"
_REALM = Path(__file__).parents[2] / "examples" / "keycloak" / "realm.json"
_STARTUP = 180.0
_ADMIN = "admin"


class Keycloak:
    """A running one.

    Attributes:
        url: Where it is.
        issuer: The realm's name for itself.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.issuer = f"{url}/realms/linkd"
        self._http = httpx.AsyncClient(trust_env=False, timeout=30.0)

    async def sign_in(self, user: str, password: str) -> dict[str, Any]:
        """Tokens of a new sign-in, by the password alone: what a browser does takes a person."""
        form = {"grant_type": "password", "client_id": "linkd-test", "username": user, "password": password}
        return await self._post(f"{self.issuer}/protocol/openid-connect/token", {**form, "scope": "openid"})

    async def sign_out(self, tokens: dict[str, Any]) -> None:
        """End that sign-in, as its client does."""
        form = {"client_id": "linkd-test", "refresh_token": tokens["refresh_token"]}
        await self._post(f"{self.issuer}/protocol/openid-connect/logout", form)

    async def end_all(self, user: str) -> None:
        """End all sign-ins of a user, as an administrator does."""
        form = {"grant_type": "password", "client_id": "admin-cli", "username": _ADMIN, "password": _ADMIN}
        tokens = await self._post(f"{self.url}/realms/master/protocol/openid-connect/token", form)
        headers = {"Authorization": f"Bearer {tokens['access_token']}"}
        users = f"{self.url}/admin/realms/linkd/users"
        found = await self._http.get(users, params={"username": user, "exact": "true"}, headers=headers)
        answer = await self._http.post(f"{users}/{found.json()[0]['id']}/logout", headers=headers)
        answer.raise_for_status()

    async def _post(self, url: str, form: dict[str, str]) -> dict[str, Any]:
        answer = await self._http.post(url, data=form)
        assert answer.status_code < 300, f"{url} answered {answer.status_code}: {answer.text}"
        return answer.json() if answer.content else {}

    async def wait(self) -> None:
        """Wait until the realm answers."""
        async with asyncio.timeout(_STARTUP):
            while True:
                with contextlib.suppress(httpx.HTTPError):
                    if (await self._http.get(f"{self.issuer}/.well-known/openid-configuration")).status_code == 200:
                        return
                await asyncio.sleep(0.5)

    async def close(self) -> None:
        """Ask nothing more."""
        await self._http.aclose()


def free_port() -> int:
    """A port of this machine that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def download(folder: Path) -> Path:
    """Its distribution, by Maven."""
    artifact = f"org.keycloak:keycloak-quarkus-dist:{VERSION}:zip"
    found = folder / f"keycloak-quarkus-dist-{VERSION}.zip"
    if not found.exists():
        command = ["mvn", "-q", "-B", "dependency:copy", f"-Dartifact={artifact}", f"-DoutputDirectory={folder}"]
        subprocess.run(command, check=True, timeout=600)
    return found


@contextlib.asynccontextmanager
async def keycloak(archive: Path, folder: Path, gateway: str) -> AsyncIterator[Keycloak]:
    """A running one, which tells this gateway of sign-outs."""
    with ZipFile(archive) as files:
        files.extractall(folder)
    home = folder / f"keycloak-{VERSION}"
    imports = home / "data" / "import"
    imports.mkdir(parents=True)
    (imports / "realm.json").write_text(_REALM.read_text().replace("http://127.0.0.1:3000", gateway))
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with (folder / "keycloak.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            "sh", str(home / "bin" / "kc.sh"), "start-dev", "--import-realm", f"--http-port={port}",
            "--http-host=127.0.0.1", f"--hostname={url}", stdout=log, stderr=log, start_new_session=True,
            env={
                **os.environ, "KC_BOOTSTRAP_ADMIN_USERNAME": _ADMIN, "KC_BOOTSTRAP_ADMIN_PASSWORD": _ADMIN,
                "JAVA_OPTS_APPEND": "-Xmx512m",
            },
        )  # fmt: skip
    running = Keycloak(url)
    try:
        await running.wait()
        yield running
    finally:
        await running.close()
        os.killpg(process.pid, signal.SIGTERM)  # the shell, and Java below it
        await process.wait()
