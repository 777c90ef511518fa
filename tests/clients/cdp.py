"""Chromium spoken to in its own protocol, since Playwright keeps every page it opens from ever being frozen."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from ..chat.browsers import ARGUMENTS, CHROMIUM

_PATIENCE = 20.0


class Tab:
    """A page.

    Args:
        websocket: Where the browser listens.
        session: Which page is meant.
    """

    def __init__(self, websocket: ClientConnection, session: str | None = None) -> None:
        self._websocket = websocket
        self._session = session
        self._id = 0

    async def send(self, method: str, **parameters: Any) -> Any:
        """Have the browser do something; its answer."""
        self._id += 1
        command: dict[str, Any] = {"id": self._id, "method": method, "params": parameters}
        if self._session is not None:
            command["sessionId"] = self._session
        await self._websocket.send(json.dumps(command))
        async with asyncio.timeout(_PATIENCE):
            while True:
                answer = json.loads(await self._websocket.recv())
                if answer.get("id") == self._id and answer.get("sessionId") == self._session:
                    assert "error" not in answer, answer
                    return answer["result"]

    async def evaluate(self, expression: str) -> Any:
        """What it is in the page."""
        result = await self.send("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    async def until(self, condition: str) -> None:
        """Wait until it holds in the page."""
        async with asyncio.timeout(_PATIENCE):
            while not await self.evaluate(condition):
                await asyncio.sleep(0.05)


@contextlib.asynccontextmanager
async def tab(address: str, folder: Path) -> AsyncIterator[Tab]:
    """A page at an address, in a browser of its own."""
    process = await asyncio.create_subprocess_exec(
        str(CHROMIUM), *ARGUMENTS, "--headless=new", "--remote-debugging-port=0", f"--user-data-dir={folder}",
        stderr=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        assert process.stderr is not None
        async with asyncio.timeout(_PATIENCE):
            while b"DevTools listening on " not in (line := await process.stderr.readline()):
                assert line, "the browser did not start"
        url = line.decode().partition("listening on ")[2].strip()
        async with connect(url, max_size=None, proxy=None) as websocket:
            browser = Tab(websocket)
            target = await browser.send("Target.createTarget", url=address)
            attached = await browser.send("Target.attachToTarget", targetId=target["targetId"], flatten=True)
            yield Tab(websocket, attached["sessionId"])
    finally:
        process.terminate()
        await process.wait()
