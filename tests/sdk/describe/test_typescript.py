"""The generated ``Api``, judged by the TypeScript compiler against the client that takes it."""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from examples.chat.service import service as chat
from pylinkd import Service, WsContext
from pylinkd.sdk.describe.typescript import typescript

from .test_documents import described

CLIENT = Path(__file__).parents[3] / "clients/typescript"
COMPILER = CLIENT / "node_modules/.bin/tsc"

USE = """
import { createClient } from "../../src/index.js";
import type { Api } from "./api.js";
const client = createClient<Api>("ws://127.0.0.1/ws");
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder beside the client's tests, so that its own compiler settings hold."""
    if not COMPILER.exists():
        pytest.skip("npm ci was not run in clients/typescript")
    with tempfile.TemporaryDirectory(dir=CLIENT / "tests", prefix="types-") as name:
        yield Path(name)


def faults(folder: Path, service: Service[Any], use: str) -> list[str]:
    """What the compiler says of a program against the service's types."""
    (folder / "api.ts").write_text(typescript(service))
    (folder / "use.ts").write_text(USE + use)
    (folder / "tsconfig.json").write_text('{"extends": "../../tsconfig.json", "include": ["."]}')
    ended = subprocess.run([COMPILER, "-p", str(folder)], capture_output=True, text=True, timeout=120)
    return re.findall(r"use\.ts\((\d+),|(api\.ts.*)", ended.stdout)


def test_chat_is_called_by_its_types(folder: Path) -> None:
    """Data, results and events of the example have their types."""
    use = """
    const sent = await client.call("chat.send", { room: "r", message: "m" });
    export const reached: number = sent.reached;
    await client.call("room.list");
    client.on("chat.message", (message) => { message.content.trim(); });
    """

    assert faults(folder, chat, use) == []


def test_wrong_data_and_unknown_types_are_refused(folder: Path) -> None:
    """One fault for each of the three lines."""
    use = """await client.call("chat.send", { room: 1, message: "m" });
    await client.call("chat.nothing", {});
    client.on("chat.message", (message) => { message.nowhere; });
    """

    assert len(faults(folder, chat, use)) == 3


class Odd(msgspec.Struct, tag="odd", rename={"a": "a-b"}):
    a: tuple[int, str]
    next: Odd | None = None
    many: dict[str, list[int | str]] = {}


def test_every_form_of_type_compiles(folder: Path) -> None:
    """Tuples, tags, recursion, generics, names that are none in TypeScript, pydantic models, services with nothing."""
    service = described()
    name_of_language = msgspec.defstruct("string", [("x", int)])
    service.ws.event("shop.odd", Odd)
    service.ws.event("shop.string", name_of_language)

    @service.ws.on("shop.odd.get")
    async def get(ctx: WsContext) -> Odd | list[Odd] | bool:
        return True

    assert faults(folder, service, 'client.on("shop.odd", (odd) => { odd["a-b"][0].toFixed(); });') == []
    assert faults(folder, Service("empty"), "export const all = client;") == []
