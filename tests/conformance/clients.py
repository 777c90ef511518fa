"""Clients of other people's making, each with the same conversation: send every text, hear as many, close with 1000."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import websocket
from playwright.async_api import Browser
from websockets.asyncio.client import connect

WAIT = 30.0  # seconds; a busy machine may take long over anything
SCRIPT = Path(__file__).parent / "talk.js"


@dataclass(frozen=True)
class Talk:
    """What a client saw.

    Attributes:
        heard: The texts of the answers.
        code: Of the close frame that answered its own.
        extensions: What was agreed on.
    """

    heard: list[str]
    code: int | None
    extensions: str


async def by_websockets(url: str, texts: Sequence[str], offering: bool) -> Talk:
    """The library ``websockets``."""
    async with connect(url, compression="deflate" if offering else None, proxy=None, max_size=2**20) as socket:
        for text in texts:
            await socket.send(text)
        heard = [str(await socket.recv()) for _ in texts]
        await socket.close()
        assert socket.response is not None
        return Talk(heard, socket.close_code, socket.response.headers.get("Sec-WebSocket-Extensions", ""))


async def by_aiohttp(url: str, texts: Sequence[str], offering: bool) -> Talk:
    """The client of ``aiohttp``."""
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(url, compress=15 if offering else 0, autoping=True) as socket,
    ):
        for text in texts:
            await socket.send_str(text)
        heard = [await socket.receive_str() for _ in texts]
        extensions = "permessage-deflate" if socket.compress else ""
        await socket.close()
        return Talk(heard, socket.close_code, extensions)


async def by_websocket_client(url: str, texts: Sequence[str], offering: bool) -> Talk:
    """The library ``websocket-client``, which blocks and knows no compression."""
    assert not offering

    def talk() -> Talk:
        socket = websocket.create_connection(url, timeout=WAIT)
        for text in texts:
            socket.send(text)
        heard = [str(socket.recv()) for _ in texts]
        socket.send_close()
        opcode, payload = socket.recv_data()
        assert opcode == websocket.ABNF.OPCODE_CLOSE
        headers = socket.getheaders() or {}
        socket.shutdown()  # type: ignore[no-untyped-call]  # the library is typed in parts
        return Talk(heard, int.from_bytes(payload[:2], "big"), headers.get("sec-websocket-extensions", ""))

    return await asyncio.to_thread(talk)


async def by_node(modules: Path, url: str, texts: Sequence[str], offering: bool) -> Talk:
    """Node's library ``ws``."""
    process = await asyncio.create_subprocess_exec(
        "node", "-e", f"{SCRIPT.read_text()}; main(require('ws'))",
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "NODE_PATH": str(modules)},
    )  # fmt: skip
    try:
        async with asyncio.timeout(WAIT):
            said, _ = await process.communicate(json.dumps({"url": url, "texts": texts, "offering": offering}).encode())
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return Talk(**json.loads(said))


async def by_chromium(browser: Browser, url: str, texts: Sequence[str]) -> Talk:
    """A page in Chromium, which always offers compression."""
    page = await browser.new_page()
    try:
        # A blank page hides where it is from, and is refused.
        address = urlsplit(url)
        await page.goto(f"http://{address.netloc}/live")
        await page.add_script_tag(content=SCRIPT.read_text())
        async with asyncio.timeout(WAIT):
            return Talk(**await page.evaluate("([url, texts]) => talk(new WebSocket(url), texts)", [url, list(texts)]))
    finally:
        await page.close()
