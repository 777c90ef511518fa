"""A log that cannot be written, or that nobody reads, costs lines and nothing else."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import httpx
import pytest

from tests.processes import ROOT, STARTUP, platform

from .client import client, error_of, eventually, refused

pytestmark = pytest.mark.plain  # what a log is written to has nothing to do with TLS

SERVICE = """
from pylinkd import Service
service = Service("odd")


class Odd(Exception):
    def __str__(self):
        raise RuntimeError("no text")
    __repr__ = __str__


@service.ws.on("odd.fails")
async def fails(ctx):
    secret = Odd()
    raise Odd(secret)


@service.ws.on("odd.echo")
async def echo(ctx, data: int):
    return data
"""


def gone() -> int:
    """A pipe whose reader is gone."""
    reading, writing = os.pipe()
    os.close(reading)
    return writing


def full() -> int:
    """A disk without room."""
    return os.open("/dev/full", os.O_WRONLY)


unread: list[int] = []


def slow() -> int:
    """A pipe that is full, since its reader does not read."""
    reading, writing = os.pipe()
    unread.append(reading)
    os.set_blocking(writing, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writing, b"x" * 4096)
    os.set_blocking(writing, True)
    return writing


def free_port() -> int:
    """One that nobody listens on now."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


async def start(env: dict[str, str], error: int | None, *arguments: str) -> Process:
    """Start a program with this as standard error; ``None``: it has none."""
    known = {key: value for key, value in os.environ.items() if not key.startswith("LINKD_")}
    command = [sys.executable, "-m", "pylinkd", *arguments]
    if error is None:
        command = ["sh", "-c", 'exec "$@" 2>&-', "sh", *command]
    process = await asyncio.create_subprocess_exec(
        *command, stdin=DEVNULL, stdout=DEVNULL, stderr=error, cwd=ROOT, env={**known, **env}
    )
    if error is not None:
        os.close(error)
    return process


@contextlib.asynccontextmanager
async def running(
    folder: Path, make: Callable[[], int] | None, **env: str
) -> AsyncIterator[tuple[int, httpx.AsyncClient]]:
    """Gateway and service with such a standard error: the gateway's port, and a client of its admin port."""
    port, admin = free_port(), free_port()
    (folder / "odd.py").write_text(SERVICE)
    settings = {
        "LINKD_LINK": str(folder / "link.sock"),
        "LINKD_PORT": str(port),
        "LINKD_ADMIN_PORT": str(admin),
        "LINKD_LIMITS": "off",
        "LINKD_LOG_LEVEL": "debug",
        **env,
    }
    processes = []
    try:
        for arguments in (["serve"], ["run", str(folder / "odd.py")]):
            processes.append(await start(settings, None if make is None else make(), *arguments))
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{admin}", trust_env=False) as http:

            async def ready() -> bool:
                with contextlib.suppress(httpx.HTTPError):
                    return (await http.get(f"http://127.0.0.1:{port}/ready")).status_code == 200
                return False

            await eventually(ready, "gateway and service start", timeout=STARTUP)
            yield port, http
        for process in reversed(processes):
            process.terminate()
            async with asyncio.timeout(10):
                assert await process.wait() == 0
    finally:
        for process in processes:
            if process.returncode is None:
                process.kill()
                await process.wait()
        while unread:
            os.close(unread.pop())


async def lost(http: httpx.AsyncClient, metric: str) -> float:
    """A metric of what is missing."""
    lines = (await http.get("/metrics")).text.splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith(f"{metric} "))


@pytest.mark.parametrize("make", [gone, full, slow, None], ids=["reader-gone", "disk-full", "reader-slow", "closed"])
async def test_everybody_is_served_though_the_log_is_not_written(
    tmp_path: Path, make: Callable[[], int] | None
) -> None:
    """Refusals, failing handlers, whose exception has no text, and messages are answered; the gateway counts lines."""
    async with running(tmp_path, make) as (port, http):
        url = f"ws://127.0.0.1:{port}/ws/odd"
        for _ in range(20):
            assert (await refused(f"{url}?token=x"))[0] == 401
        async with client(url) as one:
            for number in range(100):
                assert error_of(await one.request("odd.fails")) == (500, "INTERNAL_ERROR")
                assert await one.ask("odd.echo", number) == number
        if make is not slow:  # there they wait

            async def counted() -> bool:
                return await lost(http, "linkd_log_lines_lost_total") >= 20

            await eventually(counted, "the lines that were lost are counted")


async def test_audit_file_that_cannot_be_written_costs_records_and_nothing_else(tmp_path: Path) -> None:
    """The decisions hold, and are counted."""
    async with running(tmp_path, full, LINKD_AUDIT_FILE="/dev/full") as (port, http):
        for _ in range(20):
            assert (await refused(f"ws://127.0.0.1:{port}/ws/odd?token=x"))[0] == 401

        async def counted() -> bool:
            return await lost(http, "linkd_audit_lost_total") == 20

        await eventually(counted, "the records that were lost are counted")


@pytest.mark.parametrize("format", ["json", "console"])
async def test_exception_without_a_text_is_logged(tmp_path: Path, format: str) -> None:
    """Under the id that the client got, and with its type."""
    (tmp_path / "odd.py").write_text(SERVICE)
    log = tmp_path / "log"
    async with platform(tmp_path) as both:
        env = {**both.env, "LINKD_LOG_FORMAT": format}
        service = await start(env, os.open(log, os.O_WRONLY | os.O_CREAT), "run", str(tmp_path / "odd.py"))
        try:
            await both.wait_ready()
            async with client(both.url("/ws/odd")) as one:
                error = (await one.request("odd.fails"))["error"]
        finally:
            service.terminate()
            assert await service.wait() == 0

        assert (error["code"], error["type"]) == (500, "INTERNAL_ERROR")
        (line,) = [line for line in log.read_text().splitlines() if error["details"]["errorId"] in line]
        assert "handler_failed" in line
        assert "Odd" in log.read_text()
