"""The module that ``linkd types --python`` writes, in use against a real gateway."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from pylinkd import ValidationError
from pylinkd.client import connect
from pylinkd.sdk.describe.python import python
from tests.processes import platform
from tests.services.typed import service

pytestmark = pytest.mark.plain("it is about types, not about connections of clients")


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module, imported."""
    module = ModuleType("typed_api")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    exec(python(service), module.__dict__)
    return module


@pytest.mark.parametrize("encoding", ["json", "msgpack"])
async def test_calls_and_events_have_their_types(tmp_path: Path, api: ModuleType, encoding: Any) -> None:
    """In both encodings: structs go there and come back, and errors are those of the client."""
    seen: asyncio.Queue[Any] = asyncio.Queue()
    async with (
        platform(tmp_path, "tests/services/typed.py") as running,
        connect(running.url("/ws/typed"), encoding=encoding) as client,
    ):
        calls = api.Api(client)
        calls.on_typed_item(seen.put_nowait)

        answer = await calls.typed_echo(api.Item(name="tea", parts=[api.Item(name="leaf")]))
        with pytest.raises(ValidationError):
            await calls.typed_echo(api.Item(name=1))

        assert answer == api.Item(name="tea", parts=[api.Item(name="leaf")])
        async with asyncio.timeout(5):
            assert await seen.get() == answer
        assert await calls.typed_nothing() is None
