"""TLS on the gateway's port: what it changes, beside everything that runs over it with ``--tls``."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from tests.certificates import Certificate
from tests.processes import platform

from .client import eventually
from .raw_websocket import TEXT, frame, raw_connection, raw_websocket
from .test_metrics import scrape

ECHO = "tests/services/echo.py"


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (frame(TEXT, b"{}", masked=False), "protocol_error"),
        (b"\x81\xff" + (2**30).to_bytes(8, "big") + b"mask", "message_too_big"),
    ],
    ids=["unmasked", "too large"],
)
async def test_client_that_is_given_up_and_says_no_goodbye_is_cut(
    tmp_path: Path, certificate: Certificate, wrong: bytes, reason: str
) -> None:
    """A frame that is wrong by itself is refused before anything else sees it: the close timeout holds for it, too."""
    env = {"LINKD_CLOSE_TIMEOUT_MS": "500"}  # uvloop alone waits 30 s for the other side's goodbye
    async with (
        platform(tmp_path, ECHO, env=env, certificate=certificate) as running,
        raw_websocket(running, "/ws/echo") as one,
    ):
        one.stop_reading()  # neither the close frame nor TLS's goodbye is answered
        await one.send(wrong)

        async def given_up() -> bool:
            return (await scrape(running))("linkd_sessions_ended_total", reason) == 1

        await eventually(given_up, "the session ended")
        one.reset()


async def test_idle_https_connection_does_not_hold_up_the_stop(tmp_path: Path, certificate: Certificate) -> None:
    """A client that keeps its connection and does not read it has a second to say goodbye."""
    async with (
        platform(tmp_path, ECHO, certificate=certificate) as running,
        raw_connection(running) as (reader, writer),
    ):
        writer.write(b"GET /live HTTP/1.1\r\nHost: x\r\n\r\n")
        await reader.readuntil(b"}")
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        began = time.monotonic()

        assert await running.gateway.stop(signal.SIGTERM) == 0
        assert time.monotonic() - began < 10, "it waited for its deadline of 30 s"
        writer.transport.abort()
