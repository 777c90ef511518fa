"""Clients that come back by themselves learn why they were refused, which browsers hide."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as connect_websocket
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Subprotocol

from ..processes import Platform, make_token, platform

ECHO = Path(__file__).parents[1] / "services" / "echo.py"
RESUMING = ["linkd.v1+json", "linkd.resume"]


def _connect(
    running: Platform, path: str, subprotocols: list[str], headers: dict[str, str]
) -> AbstractAsyncContextManager[ClientConnection]:
    return connect_websocket(
        running.url(path),
        subprotocols=[Subprotocol(name) for name in subprotocols] or None,
        additional_headers=headers,
        ssl=running.trust,
        proxy=None,
    )


async def _closed(running: Platform, token: str | None, subprotocols: list[str]) -> ConnectionClosed:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    async with _connect(running, "/ws/echo", subprotocols, headers) as websocket:
        with pytest.raises(ConnectionClosed) as closed:
            await websocket.recv()
        return closed.value


@pytest.mark.parametrize(
    "subprotocols", [RESUMING, ["linkd.v1+msgpack", "linkd.resume.SLOE.0"]], ids=["first", "coming back"]
)
async def test_token_that_is_not_valid_is_seen(tmp_path: Path, subprotocols: list[str]) -> None:
    """4401, before anything else, and no session."""
    async with platform(tmp_path, ECHO) as running:
        closed = await _closed(running, make_token(secret="x" * 40), subprotocols)
        assert closed.rcvd is not None
        assert (closed.rcvd.code, closed.rcvd.reason) == (4401, "The token is not valid.")
        assert running.gateway.logged("session_opened") == []
        refused = running.gateway.logged("handshake_refused")
        assert [line["code"] for line in refused] == [401]


async def test_service_that_is_away_is_seen(tmp_path: Path) -> None:
    """1013: come back later."""
    async with platform(tmp_path, ECHO, env={"LINKD_SERVICE_GRACE_MS": "0"}) as running:
        await running.programs[1].stop()
        closed = await _closed(running, None, RESUMING)
        assert closed.rcvd is not None
        assert closed.rcvd.code == 1013


@pytest.mark.parametrize("subprotocols", [[], ["linkd.v1+json"], ["linkd.resume"]])
async def test_others_are_refused_as_ever(tmp_path: Path, subprotocols: list[str]) -> None:
    """With a plain answer and its status."""
    async with platform(tmp_path, ECHO) as running:
        with pytest.raises(InvalidStatus) as refused:
            await _closed(running, make_token(secret="x" * 40), subprotocols)
        assert refused.value.response.status_code == 401


async def test_what_a_page_may_not_know_stays_plain(tmp_path: Path) -> None:
    """A path that is nobody's, and a foreign page."""
    async with platform(tmp_path, ECHO) as running:
        for path, headers, status in (("/ws/nobody", {}, 404), ("/ws/echo", {"Origin": "https://evil.example"}, 403)):
            with pytest.raises(InvalidStatus) as refused:
                async with _connect(running, path, RESUMING, headers):
                    pass
            assert refused.value.response.status_code == status
