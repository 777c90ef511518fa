"""The same gateway, with a client of another language: Node and its library ws."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from tests.processes import Platform, make_token, platform
from tests.servers.npm import node_modules

pytestmark = pytest.mark.asyncio(loop_scope="module")

SCRIPT = Path(__file__).parent / "node_client.cjs"
VERSION = "8.18.3"
WAIT = 15.0


class NodeClient:
    """A Node process with one WebSocket."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def tell(self, **command: Any) -> None:
        """Give it a command; node_client.cjs lists them."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command).encode() + b"\n")
        await self._process.stdin.drain()

    async def heard(self) -> dict[str, Any]:
        """What happened next."""
        assert self._process.stdout is not None
        async with asyncio.timeout(WAIT):
            line = await self._process.stdout.readline()
        event: dict[str, Any] = json.loads(line)
        return event

    async def message(self) -> dict[str, Any]:
        """The next text message, decoded."""
        message: dict[str, Any] = json.loads((await self.heard())["text"])
        return message


Connect = Callable[..., AbstractAsyncContextManager[NodeClient]]


@pytest.fixture(scope="session")
def modules(pytestconfig: pytest.Config) -> Path:
    """A folder with the library ws, installed once and kept in pytest's cache."""
    return node_modules(pytestconfig, "ws", VERSION)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def echo(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Platform]:
    """A gateway and the service ``echo``."""
    async with platform(tmp_path_factory.mktemp("p"), "tests/services/echo.py") as running:
        yield running


@pytest.fixture
def node(modules: Path, echo: Platform) -> Connect:
    """Starts Node clients of the gateway."""

    @contextlib.asynccontextmanager
    async def connect(
        path: str = "/ws/echo", *, protocols: tuple[str, ...] = (), token: str | None = None
    ) -> AsyncIterator[NodeClient]:
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        trusted = {} if echo.certificate is None else {"NODE_EXTRA_CA_CERTS": str(echo.certificate.certfile)}
        process = await asyncio.create_subprocess_exec(
            "node", str(SCRIPT), echo.url(path), json.dumps(protocols), json.dumps(headers),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            env={**os.environ, "NODE_PATH": str(modules), **trusted},
        )  # fmt: skip
        try:
            yield NodeClient(process)
        finally:
            if process.returncode is None:
                process.kill()
            await process.communicate()

    return connect


async def test_node_client_is_answered(node: Connect) -> None:
    """Nothing but a WebSocket library is needed, and its default compression offer does no harm."""
    async with node() as one:
        assert await one.heard() == {"open": ""}
        await one.tell(send='{"type":"echo.any","data":{"a":"ü"},"id":"n-1"}')

        assert await one.message() == {"type": "response", "id": "n-1", "data": {"a": "ü"}}


async def test_node_client_gets_errors_and_goes_on(node: Connect) -> None:
    """Bad JSON is answered, and so is the next message."""
    async with node() as one:
        await one.heard()
        await one.tell(send="{")
        await one.tell(send='{"type":"echo.any","data":1,"id":1}')

        assert (await one.message())["error"]["type"] == "INVALID_JSON"
        assert (await one.message())["data"] == 1


async def test_node_client_signs_in(node: Connect) -> None:
    """A token in the header is the user."""
    async with node(token=make_token("nora")) as one:
        await one.heard()
        await one.tell(send='{"type":"echo.member","id":1}')

        assert (await one.message())["data"] == "nora"


async def test_node_client_with_a_bad_token_sees_401(node: Connect) -> None:
    """The refusal is an HTTP answer that Node reads."""
    async with node(token=make_token(ttl=-60)) as one:
        assert await one.heard() == {"status": 401}


async def test_node_client_speaks_messagepack(node: Connect) -> None:
    """Subprotocol and binary messages."""
    async with node(protocols=("linkd.v1+msgpack",)) as one:
        assert await one.heard() == {"open": "linkd.v1+msgpack"}
        welcome = msgspec.msgpack.decode(base64.b64decode((await one.heard())["binary"]))
        message = msgspec.msgpack.encode({"type": "echo.any", "data": [1], "id": 1})
        await one.tell(binary=base64.b64encode(message).decode())
        answer = msgspec.msgpack.decode(base64.b64decode((await one.heard())["binary"]))

    assert welcome["type"] == "linkd.welcome"
    assert answer == {"type": "response", "id": 1, "data": [1]}


async def test_node_client_pings_between_fragments(node: Connect) -> None:
    """ws's own fragments and pings."""
    async with node() as one:
        await one.heard()
        await one.tell(ping="hello")
        assert await one.heard() == {"pong": "hello"}
        await one.tell(fragments=['{"type":"echo.any",', '"data":"whole"', ',"id":1}'])

        assert (await one.message())["data"] == "whole"


async def test_node_client_sees_its_close_code_echoed(node: Connect) -> None:
    """The closing handshake as ws understands it."""
    async with node() as one:
        await one.heard()
        await one.tell(close=[4001, "bye"])

        assert (await one.heard())["close"][0] == 4001


async def test_node_client_that_sends_too_much_sees_1009(node: Connect) -> None:
    """The limit as ws sees it."""
    async with node() as one:
        await one.heard()
        await one.tell(send="x" * 70_000)

        assert (await one.heard())["close"][0] == 1009
