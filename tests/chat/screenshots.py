"""Takes the pictures of the chat that the README shows: ``python -m tests.chat.screenshots``."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from playwright.async_api import expect

from tests.processes import ROOT

from .browsers import DESKTOP, PHONE, Window, chromium, window
from .clients import User, started

IMAGES = ROOT / "docs/images"

ALICE = User("Alice", "11111111-1111-1111-1111-111111111111")
BOB = User("Bob", "22222222-2222-2222-2222-222222222222")
CHARLIE = User("Charlie", "33333333-3333-3333-3333-333333333333")
GENERAL = "aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa"
RANDOM = "bbbbbbbb-bbbb-bbbb-bbbb-bbbbbbbbbbbb"

TALK = [
    (BOB, "Morning! I am about to restart the chat service. Does anybody mind?"),
    (CHARLIE, "Will it throw us out?"),
    (BOB, "No. The gateway keeps every connection, the service comes back behind it."),
    (ALICE, "Go ahead, I will keep typing and see what happens."),
    (BOB, "Done, it is back."),
    (ALICE, "Nothing happened here 🎉"),
    (CHARLIE, "Nor here. Deploy at noon, then?"),
]


async def take() -> None:
    """Start a chat, let three people talk, and take the pictures."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        async with (
            started(path, f"sqlite:///{path}/chat.db") as chat,
            chromium() as browser,
            chat.window(BOB) as bob,
            chat.window(CHARLIE) as charlie,
            chat.window(ALICE) as quiet,
        ):
            people = {BOB: bob, CHARLIE: charlie, ALICE: quiet}
            for user, text in TALK:
                sent = await people[user].ask("chat.send", room=GENERAL, message=text)
                await quiet.ask("chat.read", message=sent["messageId"])
            await quiet.close()
            await bob.ask("chat.send", room=RANDOM, message="Who takes the last croissant?")
            address = f"{chat.platform.http}/?user=alice"
            for name, size, touch in (("chat-desktop", DESKTOP, False), ("chat-phone", PHONE, True)):
                async with window(browser, address, size, touch=touch) as shown:
                    await _settle(shown)
                    await charlie.tell("chat.typing", room=GENERAL, isTyping=True)
                    await expect(shown.part("typing")).to_be_visible()
                    await shown.page.screenshot(path=IMAGES / f"{name}.png", animations="disabled")


async def _settle(shown: Window) -> None:
    await expect(shown.message(TALK[-1][1])).to_be_in_viewport()
    await shown.page.evaluate("document.activeElement.blur()")


if __name__ == "__main__":
    asyncio.run(take())
