"""The client in Chromium, against a real gateway, through a network that breaks: nothing is lost or comes twice."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.async_api import Browser, Page

from ..chaos_proxy import ChaosProxy, Direction, Plan
from ..chat.browsers import chromium
from ..processes import Platform, platform
from .cdp import tab

SLEEP = float(os.environ.get("LINKD_TEST_SLEEP", "12"))
"""Seconds that a renderer is stopped for; `scripts/browser-sleep` takes 40."""

SERVICE = Path(__file__).parents[1] / "services" / "page.py"
_PATIENCE = 30.0

pytestmark = pytest.mark.timeout(120)


class Site:
    """A gateway behind a proxy, and windows on its page."""

    def __init__(self, running: Platform, proxy: ChaosProxy, browser: Browser) -> None:
        self._running = running
        self.proxy = proxy
        self._browser = browser
        self._numbers = 0

    def address(self, name: str) -> str:
        """The page, through the proxy."""
        return f"{self._running.http.replace(str(self._running.port), str(self.proxy.port))}/page#{name}"

    async def open(self, name: str = "a") -> Page:
        """A window on the page, connected."""
        context = await self._browser.new_context(ignore_https_errors=True)
        page = await context.new_page()
        await page.goto(self.address(name))
        await until(page, "linkd.client.state === 'open'")
        return page

    async def send_numbers(self, count: int) -> int:
        """Have everybody sent so many numbers; the last of them."""
        async with self._running.http_client() as client:
            first, self._numbers = self._numbers + 1, self._numbers + count
            answer = await client.post("/page/numbers", json={"first": first, "last": self._numbers})
            assert answer.status_code < 300, answer.text
        return self._numbers

    async def said(self, name: str = "a") -> list[int]:
        """What a window has sent, as the service got it."""
        async with self._running.http_client() as client:
            answer: httpx.Response = await client.get("/page/said")
            numbers: list[int] = answer.json().get(f"#{name}", [])
            return numbers


async def until(page: Page, condition: str) -> None:
    """Wait until it holds in the page."""
    await page.wait_for_function(condition, timeout=_PATIENCE * 1000, polling=50)


async def look(page: Page, expression: str) -> Any:
    """What it is in the page."""
    return await page.evaluate(expression)


async def check(site: Site, page: Page, *, first: int = 1, name: str = "a") -> None:
    """Everything that was sent has come, both ways, once and in order."""
    last = await site.send_numbers(3)
    await until(page, f"linkd.state.heard.at(-1) === {last}")
    assert await look(page, "linkd.state.heard") == list(range(first, last + 1))
    await look(page, "linkd.say(3)")
    sent = await look(page, "linkd.state.sent")
    assert await site.said(name) == list(range(1, sent + 1))
    assert await look(page, "[linkd.state.failed, linkd.state.gaps]") == [0, []]


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    """A gateway, a service and a browser."""
    async with platform(tmp_path, SERVICE) as running, chromium() as browser:
        proxy = ChaosProxy(running.port, random.Random(1), draw=lambda _: Plan())
        await proxy.start()
        try:
            yield Site(running, proxy, browser)
        finally:
            await proxy.close()


@pytest.mark.parametrize("fault", ["cut", "reset", "swallow up", "swallow down"])
async def test_page_comes_back_after_a_break(site: Site, fault: str) -> None:
    """While numbers go both ways."""
    page = await site.open()
    await site.send_numbers(5)
    await look(page, "void linkd.say(5)")
    for passage in site.proxy.passages:
        if fault == "cut":
            passage.cut()
        elif fault == "reset":
            passage.rst(Direction.DOWN)
        else:
            passage.blackhole(Direction.UP if fault == "swallow up" else Direction.DOWN)
    await look(page, "void linkd.say(5)")
    last = await site.send_numbers(5)
    if fault == "swallow up":  # whatever comes after the page has asked is a sign of life
        await until(page, f"linkd.state.heard.at(-1) === {last}")
    if fault.startswith("swallow"):  # nothing tells the page, until it asks
        await look(page, "window.dispatchEvent(new Event('online'))")
    await until(page, "linkd.state.states.length >= 5 && linkd.client.state === 'open'")
    await check(site, page)


async def test_reload_and_two_windows(site: Site) -> None:
    """Each window has a session of its own, and a page that is loaded anew a new one."""
    one, two = await site.open("one"), await site.open("two")
    await look(one, "void linkd.say(4)")
    await check(site, two, name="two")
    await one.reload()
    await until(one, "linkd.client.state === 'open'")
    last = await site.send_numbers(1)
    await until(one, f"linkd.state.heard.at(-1) === {last}")
    assert await look(one, "linkd.state.heard") == [last]
    await check(site, two, name="two")


async def test_page_that_slept_has_missed_nothing(site: Site) -> None:
    """Its process stands still, as with a lid that is closed; numbers come meanwhile, and the connection breaks."""
    page = await site.open()
    cdp = await page.context.browser.new_browser_cdp_session()  # type: ignore[union-attr]
    processes = (await cdp.send("SystemInfo.getProcessInfo"))["processInfo"]
    renderers = [process["id"] for process in processes if process["type"] == "renderer"]
    await look(page, "void linkd.say(5)")
    for pid in renderers:
        os.kill(pid, signal.SIGSTOP)
    try:
        await site.send_numbers(50)
        await asyncio.sleep(SLEEP / 2)  # this is the time that passes
        for passage in site.proxy.passages:
            passage.cut()
        await site.send_numbers(50)
        await asyncio.sleep(SLEEP / 2)
    finally:
        for pid in renderers:
            os.kill(pid, signal.SIGCONT)
    await check(site, page)


async def test_page_that_was_frozen_has_missed_nothing(site: Site, tmp_path: Path) -> None:
    """As browsers do with pages that nobody looks at. The page itself says that it was."""
    async with tab(site.address("a"), tmp_path / "browser") as page:
        await page.until("window.linkd?.client.state === 'open'")
        await page.send("Page.setWebLifecycleState", state="frozen")
        await site.send_numbers(20)
        for passage in site.proxy.passages:
            passage.cut()
        last = await site.send_numbers(20)
        await page.send("Page.setWebLifecycleState", state="active")
        await page.until(f"linkd.state.heard.at(-1) === {last}")
        assert await page.evaluate("linkd.state.heard") == list(range(1, last + 1))
        assert await page.evaluate("linkd.state.gaps") == []
        assert {"freeze", "resume"} <= set(await page.evaluate("linkd.state.lifecycle"))
