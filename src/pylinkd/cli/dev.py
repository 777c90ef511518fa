"""``linkd dev``: gateway and service in one command; the service restarts when a file changes, clients stay."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from asyncio.subprocess import Process
from pathlib import Path

import structlog
import watchfiles

log = structlog.get_logger("linkd.dev")

_STOP_TIMEOUT = 30.0  # seconds; longer than what gateway and service take by themselves


class _Filter(watchfiles.PythonFilter):
    """Python files, and what pages are made of."""

    def __init__(self) -> None:
        super().__init__(extra_extensions=(".html", ".css", ".js", ".toml"))


async def develop(target: str, watched: Path) -> int:
    """Run both until a signal or the gateway's end.

    Args:
        target: The service, as ``linkd run`` takes it.
        watched: Folder whose changes restart the service.

    Returns:
        The exit status: the gateway's, if it ended by itself.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    gateway = await _start("serve")
    service = await _start("run", target)
    watching = asyncio.create_task(_next_change(watched, stop))
    stopping = asyncio.create_task(stop.wait())
    ended = asyncio.create_task(gateway.wait())
    crashed = asyncio.create_task(service.wait())
    try:
        while not stop.is_set() and not ended.done():
            await asyncio.wait({watching, stopping, ended, crashed}, return_when=asyncio.FIRST_COMPLETED)
            if crashed.done() and not watching.done():
                if not stop.is_set():
                    log.error("service_ended", status=crashed.result(), advice="save a file to start it again")
                crashed = asyncio.create_task(stop.wait())  # nothing to wait for until then
            if watching.done() and not stop.is_set():
                log.info("service_restarting", changed=watching.result())
                crashed.cancel()
                await _end(service)
                service = await _start("run", target)
                watching = asyncio.create_task(_next_change(watched, stop))
                crashed = asyncio.create_task(service.wait())
    finally:
        stop.set()
        for task in (watching, stopping, ended, crashed):
            task.cancel()
        await asyncio.gather(watching, stopping, ended, crashed, return_exceptions=True)
        await _end(service)
        await _end(gateway)
    return gateway.returncode or 0


async def _start(*arguments: str) -> Process:
    # A group of its own: the terminal's Ctrl+C reaches this process alone, which then stops both in order.
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "pylinkd", *arguments, env=os.environ.copy(), process_group=0
    )


async def _end(process: Process) -> None:
    if process.returncode is not None:
        return
    process.terminate()
    try:
        async with asyncio.timeout(_STOP_TIMEOUT):
            await process.wait()
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def _next_change(folder: Path, stop: asyncio.Event) -> str:
    watching = watchfiles.awatch(folder, watch_filter=_Filter(), stop_event=stop, debounce=300)
    async for changes in watching:
        return Path(next(iter(changes))[1]).name
    return ""
