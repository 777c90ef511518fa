"""What docs/clients.md prints is right: its samples check, run, and show what they say in Chromium."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from playwright.async_api import Browser, ConsoleMessage, Page, expect

from ..chat.browsers import chromium
from ..processes import ROOT, Platform, make_token, platform
from ..servers.npm import node_modules, typescript_client
from .samples import PAGE, Workshop, at, named, python_module, run, samples, typescript_module

SERVICE = "tests/services/samples.py"
REACT = "19.3.1"

pytestmark = [pytest.mark.timeout(180), pytest.mark.plain("samples have ws:// in them")]


@pytest.fixture
async def chat(tmp_path: Path) -> AsyncIterator[Platform]:
    """A gateway and the service that the samples talk to."""
    async with platform(tmp_path / "platform", SERVICE) as running:
        yield running


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    """Chromium."""
    async with chromium() as browser:
        yield browser


def _address(running: Platform) -> str:
    return f"127.0.0.1:{running.port}"


# Python


def test_python_samples_have_right_types(tmp_path: Path) -> None:
    """As strict as the project itself."""
    (tmp_path / "samples.py").write_text(python_module())
    (tmp_path / "program.py").write_text(named("program.py"))
    for file in ("samples.py", "program.py"):
        config = ["--config-file", str(ROOT / "pyproject.toml"), "--cache-dir", str(ROOT / ".mypy_cache" / "samples")]
        run(sys.executable, "-m", "mypy", *config, str(tmp_path / file), folder=ROOT)


async def test_python_samples_run(chat: Platform, tmp_path: Path) -> None:
    """Against a real gateway; what they show is shown, and nothing fails beside."""
    (tmp_path / "samples.py").write_text(at(python_module(), _address(chat)))
    (tmp_path / "program.py").write_text(at(named("program.py"), _address(chat)))

    run(sys.executable, "-W", "error", str(tmp_path / "samples.py"), make_token("una"), folder=tmp_path)
    assert "Hello!" in run(sys.executable, str(tmp_path / "program.py"), folder=tmp_path)


# TypeScript


def test_typescript_samples_have_right_types(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    """TypeScript at its strictest, the example in React included."""
    workshop = Workshop(tmp_path, typescript_client(), _react(pytestconfig))
    (tmp_path / "samples.ts").write_text(typescript_module())
    (tmp_path / "node.ts").write_text(named("node.ts"))
    (tmp_path / "hooks.tsx").write_text(named("hooks.tsx"))
    (tmp_path / "react.tsx").write_text((ROOT / "examples/clients/react.tsx").read_text())

    workshop.check()


async def test_typescript_samples_run(chat: Platform, tmp_path: Path) -> None:
    """In Node, against a real gateway."""
    folder = tmp_path / "node"
    workshop = Workshop(folder, typescript_client())
    for name, text in (("samples.ts", typescript_module()), ("node.ts", named("node.ts"))):
        (folder / name).write_text(at(text, _address(chat)))

    run("node", str(workshop.bundle("samples.ts", "node")), folder=folder)
    assert run("node", str(workshop.bundle("node.ts", "node")), folder=folder) == "Hello!\n"


def test_example_in_react_has_the_hooks_of_the_page() -> None:
    """Word for word."""
    hooks = re.sub(r"^import .*\n", "", named("hooks.tsx"), flags=re.MULTILINE).strip()

    assert hooks in (ROOT / "examples/clients/react.tsx").read_text()


# in Chromium


def _complaints(page: Page) -> list[str]:
    """Errors of the page, but for the icon that it has not."""
    found: list[str] = []

    def note(message: ConsoleMessage) -> None:
        if message.type == "error" and not message.location["url"].endswith("/favicon.ico"):
            found.append(message.text)

    page.on("console", note)
    page.on("pageerror", lambda error: found.append(str(error)))
    return found


@asynccontextmanager
async def _live(folder: Path) -> AsyncIterator[Platform]:
    folder.mkdir()
    (folder / "live.py").write_text(named("live.py"))
    (folder / "live.html").write_text(named("live.html"))
    async with platform(folder / "platform", folder / "live.py") as running:
        yield running


async def test_live_page_lives(browser: Browser, tmp_path: Path) -> None:
    """What one window writes the other shows, over a restart of the service; a third has what was written before."""
    async with _live(tmp_path / "live") as running:
        context = await browser.new_context()
        one, two, three = [await context.new_page() for _ in range(3)]
        complaints = [_complaints(page) for page in (one, two, three)]
        await one.goto(f"{running.http}/wall")
        await two.goto(f"{running.http}/wall")
        await expect(one.locator("#count")).to_have_text("2")
        await one.fill("#text", "first")
        await one.click("button")
        await expect(two.locator("li")).to_have_text(["first"])
        await expect(one.locator("#text")).to_have_value("")
        await running.programs[-1].stop()
        await running.start_service(tmp_path / "live" / "live.py")
        await two.fill("#text", "<b>second</b>")
        await two.click("button")
        await expect(one.locator("li")).to_have_text(["<b>second</b>", "first"])
        await three.goto(f"{running.http}/wall")
        await expect(three.locator("li")).to_have_text(["<b>second</b>", "first"])
        assert complaints == [[], [], []]
        await context.close()


async def test_react_example_works(browser: Browser, tmp_path: Path, pytestconfig: pytest.Config) -> None:
    """With one connection, though StrictMode mounts everything twice."""
    folder = tmp_path / "react"
    folder.mkdir()
    workshop = Workshop(folder, typescript_client(), _react(pytestconfig))
    (folder / "react.tsx").write_text((ROOT / "examples/clients/react.tsx").read_text())
    script = workshop.bundle("react.tsx", "browser").read_text()
    async with _live(tmp_path / "live") as running:
        page = f'<!doctype html><div id="root"></div><script type="module">{script}</script>'
        (tmp_path / "live" / "live.html").write_text(page)
        window = await browser.new_page()
        complaints, sockets = _complaints(window), []
        window.on("websocket", lambda socket: sockets.append(socket.url))
        await window.goto(f"{running.http}/wall")
        await expect(window.locator("main")).to_have_attribute("data-state", "open")
        await expect(window.locator("b")).to_have_text("1")
        await window.fill("[name=text]", "hello")
        await window.click("button")
        await expect(window.locator("li")).to_have_text(["hello"])

        assert sockets == [running.url("/ws/live")]
        assert complaints == []


async def test_recipes_for_tabs_work(browser: Browser, chat: Platform) -> None:
    """A tab holds the lock that keeps it awake; one connection serves two tabs, and the second goes on with it."""
    awake, leader = (sample.text for sample in samples("javascript"))
    context = await browser.new_context()
    one, two = [await context.new_page() for _ in range(2)]
    for page in (one, two):
        await page.goto(f"{chat.http}/shell")
        await page.wait_for_function("typeof show === 'function'")
        await page.add_script_tag(content=awake, type="module")
        await page.add_script_tag(content=leader, type="module")
        await page.wait_for_function("heard.includes('chat.notice')")
    held = await two.evaluate("navigator.locks.query().then(({ held }) => held.map(({ name }) => name).sort())")
    states = [await page.evaluate("client.state") for page in (one, two)]
    await one.close()
    await two.wait_for_function("client.state === 'open'")
    await context.close()

    assert held == ["awake", "awake", "chat"]
    assert states == ["open", "idle"]


def _react(config: pytest.Config) -> Path:
    return node_modules(config, "react", REACT, f"react-dom@{REACT}", "@types/react@19", "@types/react-dom@19")


def test_every_sample_is_looked_at() -> None:
    """A language that no test knows would go unchecked."""
    known = {"python", "typescript", "tsx", "javascript", "html", "sh"}

    assert set(re.findall(r"^```(\w+)$", PAGE.read_text(), re.MULTILINE)) == known
    assert os.access(ROOT / "src/pylinkd/gateway/assets/client.js", os.R_OK)
