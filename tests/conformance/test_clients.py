"""The real gateway, with compression and without, and clients of five makers that offer it or do not."""

from __future__ import annotations

import functools
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from tests.chat.browsers import chromium
from tests.integration.test_node import modules
from tests.processes import Platform, platform

from .cases import envelope
from .clients import Talk, by_aiohttp, by_chromium, by_node, by_websocket_client, by_websockets

__all__ = ["modules"]

pytestmark = pytest.mark.asyncio(loop_scope="module")

MANY = 300  # several of the session's windows
DATA = {
    "small": ["x"],
    "large": ["to be or not to be " * 3150, "x" * 60_000],
    "non-ascii": ["κόσμε", "Größe \U0001f600", "\u2028\ufeff\uffff", "語" * 5000],
    "many": [f"message {number}" for number in range(MANY)],
}

Speak = Callable[[str, Sequence[str], bool], Awaitable[Talk]]


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=[True, False], ids=["deflate", "plain"])
async def gateway(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[tuple[Platform, bool]]:
    """A gateway and the service ``echo``, and whether it compresses."""
    env = {"LINKD_COMPRESSION": str(request.param).lower(), "ECHO_CONTROLS": "keep"}
    async with platform(tmp_path_factory.mktemp("clients"), "tests/services/echo.py", env=env) as running:
        yield running, request.param


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    """One browser for all tests of this module."""
    async with chromium() as running:
        yield running


async def _converse(gateway: tuple[Platform, bool], kind: str, speak: Speak, offering: bool) -> None:
    """Send the data of this kind, and check all that the client saw."""
    running, compresses = gateway
    data = DATA[kind]
    texts = [envelope(text, id).decode() for id, text in enumerate(data)]

    talk = await speak(running.url("/ws/echo"), texts, offering)

    answers = [{"type": "response", "id": id, "data": text} for id, text in enumerate(data)]
    same = [json.loads(text) for text in talk.heard] == answers
    assert same, "the answers are not what was sent, in its order"
    assert talk.code == 1000
    assert talk.extensions.startswith("permessage-deflate") == (compresses and offering)


@pytest.mark.parametrize("kind", DATA)
@pytest.mark.parametrize(
    ("speak", "offering"),
    [
        pytest.param(by_websockets, True, id="websockets-offering"),
        pytest.param(by_websockets, False, id="websockets"),
        pytest.param(by_aiohttp, True, id="aiohttp-offering"),
        pytest.param(by_aiohttp, False, id="aiohttp"),
        pytest.param(by_websocket_client, False, id="websocket-client"),
    ],
)
async def test_python_client_is_answered(
    gateway: tuple[Platform, bool], kind: str, speak: Speak, offering: bool
) -> None:
    """In full and in order, compressed where both sides want it; its close is answered with 1000."""
    await _converse(gateway, kind, speak, offering)


@pytest.mark.parametrize("kind", DATA)
@pytest.mark.parametrize("offering", [True, False], ids=["offering", "not"])
async def test_node_client_is_answered(
    gateway: tuple[Platform, bool], modules: Path, kind: str, offering: bool
) -> None:
    """As the clients in Python."""
    await _converse(gateway, kind, functools.partial(by_node, modules), offering)


@pytest.mark.parametrize("kind", DATA)
async def test_browser_is_answered(gateway: tuple[Platform, bool], browser: Browser, kind: str) -> None:
    """As the clients in Python. A browser's offer cannot be switched off."""

    async def speak(url: str, texts: Sequence[str], offering: bool) -> Talk:
        return await by_chromium(browser, url, texts)

    await _converse(gateway, kind, speak, True)
