"""The system's Chromium, and the page in it as its users see it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, Locator, Page, async_playwright, expect

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PATIENCE = 15_000  # milliseconds; how long to wait for what should show at once
PHONE = (390, 844)
DESKTOP = (1280, 800)


@contextlib.asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """A browser without windows."""
    if not CHROMIUM.exists():
        pytest.fail(f"Chromium is not installed ({CHROMIUM} not found): apt-get install chromium", pytrace=False)
    expect.set_options(timeout=PATIENCE)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        try:
            yield browser
        finally:
            await browser.close()


class Window:
    """The page in a window of its own, signed in as one user.

    Attributes:
        page: What Playwright knows of it.
        complaints: What the browser's console had to complain about.
    """

    def __init__(self, page: Page) -> None:
        self.page = page
        self.complaints: list[str] = []
        page.on("console", lambda message: self.complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def part(self, test_id: str) -> Locator:
        """A part of the page."""
        return self.page.get_by_test_id(test_id)

    def message(self, text: str) -> Locator:
        """The messages with this text."""
        return self.part("message").filter(has_text=text)

    async def enter(self, room: str, name: str) -> None:
        """Open a room, and wait until it can be used."""
        await expect(self.part("room-name")).not_to_be_empty()
        if await self.part("menu").is_visible():
            await self.part("menu").click()
        await self.part(f"room-{room}").click()
        await expect(self.part("room-name")).to_have_text(name)
        await expect(self.part("composer")).to_be_enabled()

    async def say(self, text: str) -> None:
        """Write a message and wait until it is confirmed."""
        await self.part("composer").fill(text)
        await self.part("send").click()
        await expect(self.message(text).last).to_have_attribute("data-state", "sent")


@contextlib.asynccontextmanager
async def window(
    browser: Browser, address: str, size: tuple[int, int] = DESKTOP, *, touch: bool = False
) -> AsyncIterator[Window]:
    """A window on this address, with cookies and storage of its own."""
    width, height = size
    context = await browser.new_context(
        viewport={"width": width, "height": height},
        has_touch=touch,
        is_mobile=touch,
        device_scale_factor=2,
        ignore_https_errors=True,  # a browser cannot be given the certificate of the run without changing the machine
    )
    try:
        shown = Window(await context.new_page())
        await shown.page.goto(address)
        yield shown
    finally:
        await context.close()
