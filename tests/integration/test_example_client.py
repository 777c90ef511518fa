"""The client of the examples, which was written from docs/protocol.md alone."""

from __future__ import annotations

import asyncio
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.processes import ROOT, platform

EXAMPLE = ROOT / "examples/clients/resuming.py"

pytestmark = pytest.mark.plain("it is about sessions, not about connections")


@pytest.fixture(scope="module")
def example() -> ModuleType:
    """The module."""
    spec = importlib.util.spec_from_file_location("resuming", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules["resuming"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


async def test_calls_and_events_outlive_connections(tmp_path: Path, example: ModuleType) -> None:
    """It is cut again and again in the middle of calls; all are answered, and every event comes once and in order."""
    async with (
        platform(tmp_path, "tests/services/contract.py", env={"LINKD_RECONNECT_DELAY_MS": "20"}) as running,
        example.ResumingClient(running.url("/ws/contract")) as one,
        example.ResumingClient(running.url("/ws/contract")) as other,
    ):
        gaps: list[str] = []
        one.on_gap = other.on_gap = gaps.append
        heard: list[Any] = []

        async def listen() -> None:
            async for event in one.events():
                if event["type"] == "contract.news":
                    heard.append(event["data"]["room"])

        listening = asyncio.create_task(listen())
        await one.call("contract.join", ["0", *(f"room-{number}" for number in range(60))])
        for number in range(60):
            calls = asyncio.gather(one.call("contract.echo", number), other.call("contract.receipt", f"room-{number}"))
            if number % 5 == 0 and one._websocket is not None:
                one._websocket.transport.abort()
            if number % 7 == 0 and other._websocket is not None:
                other._websocket.transport.abort()
            assert (await calls)[0] == number
        async with asyncio.timeout(10):
            while len(heard) < 60:
                await asyncio.sleep(0.01)
        listening.cancel()

        assert heard == [f"room-{number}" for number in range(60)]
        assert gaps == []
        assert await other.call("contract.ask_one", one._hello["session"]) is None, "it says that it has the event"
