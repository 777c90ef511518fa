"""The example of a producer outside the services, as its README starts it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.processes import ROOT, Platform, platform

pytestmark = pytest.mark.plain("its client is not given the certificate of the tests")


@contextlib.asynccontextmanager
async def program(running: Platform, name: str, *arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A program of the example while it runs."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", f"examples.ticker.{name}", *arguments,
        stdout=asyncio.subprocess.PIPE, cwd=ROOT, env={**os.environ, **running.env},
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        await process.communicate()


async def test_client_prints_what_the_producer_sends(tmp_path: Path) -> None:
    """The client hears of the symbol that it watches, and of no other."""
    async with (
        platform(tmp_path, "examples/ticker/service.py") as running,
        program(running, "producer"),
        program(running, "watch", running.url("/ws"), "tea") as watching,
    ):
        assert watching.stdout is not None
        async with asyncio.timeout(20):
            lines = [await watching.stdout.readline() for _ in range(2)]

        assert [line.split()[0] for line in lines] == [b"tea", b"tea"]
