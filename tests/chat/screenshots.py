"""Takes the pictures of the chat that the README shows: ``python -m tests.chat.screenshots``."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from playwright.async_api import expect

from examples.chat import development, seed
from tests.processes import ROOT

from .browsers import DESKTOP, PHONE, Window, chromium, window
from .clients import User, started

IMAGES = ROOT / "docs/images"

ALICE = User("Alice", development.ALICE)
BOB = User("Bob", development.BOB)
CHARLIE = User("Charlie", development.CHARLIE)
GENERAL = str(seed.GENERAL)


async def take() -> None:
    """Start a chat in which two more are there, and take the pictures."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        async with (
            started(path, f"sqlite:///{path}/chat.db") as chat,
            chromium() as browser,
            chat.window(BOB) as bob,
            chat.window(CHARLIE) as charlie,
        ):
            for there in (bob, charlie):
                await there.ask("room.join", room=GENERAL)
            address = f"{chat.platform.http}/?user=alice"
            for name, size, touch in (("chat-desktop", DESKTOP, False), ("chat-phone", PHONE, True)):
                async with window(browser, address, size, touch=touch) as shown:
                    await _settle(shown)
                    await charlie.tell("chat.typing", room=GENERAL, isTyping=True)
                    await expect(shown.part("typing")).to_be_visible()
                    await shown.page.screenshot(path=IMAGES / f"{name}.png", animations="disabled")


async def _settle(shown: Window) -> None:
    await expect(shown.message("Noon it is.")).to_be_in_viewport()
    await shown.page.evaluate("document.activeElement.blur()")


if __name__ == "__main__":
    asyncio.run(take())
