"""``linkd dev``: gateway and services in one command; a service restarts when a file changes, clients stay."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import Sequence
from pathlib import Path
from time import monotonic
from typing import Any

import structlog
import watchfiles

from .child import arguments_for

log = structlog.get_logger("linkd.dev")

_STOP_TIMEOUT = 30.0  # seconds; longer than what gateway and service take by themselves
_START_TIME = 5.0  # seconds; what fails sooner cannot start, and would fail again
_FIRST_DELAY = 0.5  # seconds until a service that was killed is started again; the delay doubles from here
_LONGEST_DELAY = 30.0


class _Filter(watchfiles.PythonFilter):
    """Python files, and what pages are made of."""

    def __init__(self) -> None:
        super().__init__(extra_extensions=(".html", ".css", ".js", ".toml"))


class _Supervisor:
    """One service: running, being restarted, or waiting for a file to be saved.

    Args:
        target: The service, as ``linkd run`` takes it.
        folder: Changes in it restart the service.
        stop: Set to end it.
    """

    def __init__(self, target: str, folder: Path, stop: asyncio.Event) -> None:
        self._target = target
        self._folder = folder.resolve()
        self._stop = stop
        self._changed = asyncio.Event()
        self._delay = _FIRST_DELAY

    def note_changes(self, paths: Sequence[Path]) -> None:
        """Files were saved."""
        own = [path.name for path in paths if path.resolve().is_relative_to(self._folder)]
        if own:
            log.info("service_restarting", target=self._target, changed=own[0])
            self._delay = _FIRST_DELAY
            self._changed.set()

    async def run(self) -> None:
        """Keep the service running until ``stop`` is set."""
        while not self._stop.is_set():
            self._changed.clear()
            process = await _start("run", self._target)
            began = monotonic()
            try:
                await self._until_news(process)
            finally:
                ended_itself = process.returncode is not None
                await _end(process)
            if ended_itself and not self._stop.is_set() and not self._changed.is_set():
                await self._wait_to_restart(process.returncode or 0, monotonic() - began)

    async def _until_news(self, process: Process | None, timeout: float | None = None) -> None:
        """Return when a file has changed, all is to stop, the process has ended or the time is up."""
        waits: list[asyncio.Task[Any]] = [
            asyncio.create_task(self._changed.wait()),
            asyncio.create_task(self._stop.wait()),
        ]
        if process is not None:
            waits.append(asyncio.create_task(process.wait()))
        try:
            await asyncio.wait(waits, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)

    async def _wait_to_restart(self, status: int, lived: float) -> None:
        if status > 0 and lived < _START_TIME:
            log.error("service_ended", target=self._target, status=status, advice="save a file to start it again")
            await self._until_news(None)
            return
        if lived > _LONGEST_DELAY:
            self._delay = _FIRST_DELAY
        reason = {"status": status} if status >= 0 else {"signal": signal.Signals(-status).name}
        log.error("service_ended", target=self._target, **reason, restart_in=self._delay)
        await self._until_news(None, self._delay)
        self._delay = min(_LONGEST_DELAY, self._delay * 2)


async def develop(targets: Sequence[str], watched: Path | None = None) -> int:
    """Run all of them until a signal or the gateway's end.

    Args:
        targets: The services, as ``linkd run`` takes them.
        watched: Folder whose changes restart every service; ``None``: for each the folder of its file, or the
            working directory.

    Returns:
        The exit status: the gateway's, if it ended by itself.
    """
    stop = asyncio.Event()
    _stop_on_signals(stop)
    gateway = await _start("serve")
    folders = {target: watched or folder_of(target) for target in targets}
    services = [_Supervisor(target, folder, stop) for target, folder in folders.items()]
    running = [asyncio.create_task(service.run()) for service in services]
    watching = asyncio.create_task(_watch(set(folders.values()), services, stop))
    stopping = asyncio.create_task(stop.wait())
    ended = asyncio.create_task(gateway.wait())
    try:
        await asyncio.wait({stopping, ended}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stop.set()
        await asyncio.gather(*running, watching, return_exceptions=True)
        await _end(gateway)
        await asyncio.gather(stopping, ended)
    return gateway.returncode or 0


def folder_of(target: str) -> Path:
    """The folder of the file that a target names; of a module's, the working directory."""
    place = target.partition(":")[0]
    return Path(place).parent if place.endswith(".py") else Path.cwd()


def _stop_on_signals(stop: asyncio.Event) -> None:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup means what it says
            asyncio.get_running_loop().add_signal_handler(number, stop.set)


async def _start(*arguments: str) -> Process:
    # A group of its own: the terminal's Ctrl+C reaches this process alone, which then stops all in order.
    return await asyncio.create_subprocess_exec(
        sys.executable, *arguments_for(*arguments), env=os.environ.copy(), process_group=0
    )


async def _end(process: Process) -> None:
    if process.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(_STOP_TIMEOUT):
            await process.wait()
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def _watch(folders: set[Path], services: Sequence[_Supervisor], stop: asyncio.Event) -> None:
    """Tell each service of the files that were saved."""
    try:
        async for changes in watchfiles.awatch(*folders, watch_filter=_Filter(), stop_event=stop, debounce=300):
            for service in services:
                service.note_changes([Path(name) for _, name in changes])
    except OSError as error:  # too many watches, for example: the services run all the same
        log.error("files_not_watched", error=str(error))
