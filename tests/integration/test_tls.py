"""TLS on the gateway's port: what it changes, beside everything that runs over it with ``--tls``."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal
import ssl
import time
from pathlib import Path

import pytest

from tests.certificates import Certificate, make_certificate
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


HALF_A_HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"


@pytest.mark.parametrize("said", [b"", HALF_A_HELLO], ids=["nothing", "half a hello"])
async def test_tls_handshakes_that_stand_still_are_bounded_and_end(
    tmp_path: Path, certificate: Certificate, said: bytes
) -> None:
    """They count as unfinished, and have as long as a head; others get in afterwards."""
    env = {"LINKD_MAX_UNFINISHED": "5", "LINKD_HEAD_TIMEOUT_MS": "1500"}
    async with platform(tmp_path, ECHO, env=env, certificate=certificate) as running:
        silent = [await asyncio.open_connection("127.0.0.1", running.port) for _ in range(40)]
        for _, writer in silent:
            writer.write(said)

        async def cut() -> bool:
            metrics = await scrape(running)
            assert metrics("linkd_unfinished") <= 5
            return metrics("linkd_handshakes_total", "unfinished") == 35

        await eventually(cut, "those beyond the bound were cut")
        for reader, writer in silent:
            with contextlib.suppress(ConnectionError):
                async with asyncio.timeout(10):
                    await reader.read()
            writer.close()
        async with raw_websocket(running, "/ws/echo"):
            metrics = await scrape(running)
        assert metrics("linkd_unfinished") == 0
        assert metrics("linkd_http_connections", "tls") == 0
        assert metrics("linkd_handshakes_total", "tls") == 5


async def test_renewed_certificate_is_taken_without_a_restart(tmp_path: Path, certificate: Certificate) -> None:
    """By who connects afterwards; a broken one is logged, and the old one kept."""
    (tmp_path / "new").mkdir()
    new = make_certificate(tmp_path / "new", trusted=False)
    used = Certificate(tmp_path / "cert.pem", tmp_path / "key.pem")
    shutil.copy(certificate.certfile, used.certfile)
    shutil.copy(certificate.keyfile, used.keyfile)
    async with platform(tmp_path, certificate=used) as running, raw_connection(running) as (reader, writer):
        first = await shown(running.port)
        used.certfile.write_text("broken")
        await running.gateway.wait_logged("certificate_unusable")
        kept = await shown(running.port)
        shutil.copy(new.keyfile, used.keyfile)
        shutil.copy(new.certfile, used.certfile)
        running.gateway.process.send_signal(signal.SIGUSR1)
        await running.gateway.wait_logged("certificate_renewed")
        second = await shown(running.port)
        writer.write(b"GET /live HTTP/1.1\r\nHost: x\r\n\r\n")

        assert (await reader.readline()).startswith(b"HTTP/1.1 200 "), "who was there before stays"
        assert (kept == first, second == first) == (True, False)
        assert second == ssl.PEM_cert_to_DER_cert(new.certfile.read_text())


async def shown(port: int) -> bytes | None:
    """The certificate that a new client is shown."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    der: bytes | None = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    return der
