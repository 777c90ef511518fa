"""A real OpenID provider for tests, in a Node process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx

VERSION = "9.13.3"

_SCRIPT = Path(__file__).parent / "oidc.mjs"
_WAIT = 20.0  # seconds


class Provider:
    """The provider.

    Attributes:
        issuer: What its tokens are issued by.
    """

    def __init__(self, process: asyncio.subprocess.Process, port: int) -> None:
        self._process = process
        self.issuer = f"http://127.0.0.1:{port}"

    async def tell(self, command: str) -> Any:
        """Give it a command; oidc.mjs lists them."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": command}).encode() + b"\n")
        return (await _line(self._process))["result"]

    async def token(self, user: str = "una") -> str:
        """An access token, by the client's own credentials."""
        async with httpx.AsyncClient(trust_env=False) as http:
            answer = await http.post(
                f"{self.issuer}/token", data={"grant_type": "client_credentials"}, auth=(user, "secret")
            )
        assert answer.status_code == 200, answer.text
        return str(answer.json()["access_token"])


async def _line(process: asyncio.subprocess.Process) -> dict[str, Any]:
    assert process.stdout is not None
    async with asyncio.timeout(_WAIT):
        while True:
            line = await process.stdout.readline()
            assert line, "the provider ended"
            with contextlib.suppress(ValueError):  # it prints advice for production, too
                read: dict[str, Any] = json.loads(line)
                return read


@contextlib.asynccontextmanager
async def provider(modules: Path) -> AsyncIterator[Provider]:
    """A running provider."""
    process = await asyncio.create_subprocess_exec(
        "node", str(_SCRIPT), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL, env={**os.environ, "MODULES": str(modules)},
    )  # fmt: skip
    try:
        yield Provider(process, (await _line(process))["port"])
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()
