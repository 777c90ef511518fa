"""A service that is redeployed a thousand times under a client that asks: what is left of it in either process.

All instances live in this process, one after the other, the next before the last one stops: what an instance leaves
behind adds up here, and in the gateway. Ends with status 1 where a request is not answered, or descriptors, tasks or
memory grow with the redeploys.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import logging
import os
import threading
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import structlog
from sqlalchemy.orm import DeclarativeBase

from pylinkd import EventContext, JobContext, Service, WsContext
from pylinkd.client import Client, State, connect
from pylinkd.db import Database

from . import tables
from .fleet import Fleet
from .programs import HERE
from .usage import own_kib

_WARM_UP = 100  # redeploys before the first look
_REQUESTS = 3  # of the client for each redeploy, one of them in the middle
_MOST_KIB = 4096  # by which a process may grow: allocators keep what they have had

_MOST_TASKS = 5  # that may happen to be under way

GATEWAY, SERVICE = "gateway", "service"


class _Base(DeclarativeBase):
    """No tables but those that the SDK makes."""


class _Store(Database):
    """For jobs, events and keys."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """See __main__.Scenario."""
    parser.add_argument("--redeploys", type=int, default=1000)


def run(options: argparse.Namespace) -> dict[str, Any]:
    """One run, and what is left."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    return asyncio.run(_run(options.redeploys))


async def _run(redeploys: int) -> dict[str, Any]:
    with TemporaryDirectory(prefix="linkd-bench-") as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        link = str(folder / "link.sock")
        fleet = Fleet(folder, HERE / "echo_service.py", {"LINKD_LIMITS": "off", "LINKD_LINK": link})
        stack.callback(fleet.dispose)
        await fleet.start_gateway()
        answered = failed = 0
        first: dict[str, dict[str, int]] = {}
        instance = await _start(folder, link)
        async with connect(f"ws://127.0.0.1:{fleet.port}/ws/reloads") as client:
            await client.wait(State.OPEN)
            for number in range(_WARM_UP + redeploys):
                if number == _WARM_UP:
                    first = _left(fleet.gateway.pid)
                asking = asyncio.gather(*(_ask(client, each) for each in range(_REQUESTS)))
                following = await _start(folder, link)
                await instance.stop()
                instance = following
                results = [*await asking, await _ask(client, number)]
                answered += sum(results)
                failed += len(results) - sum(results)
            last = _left(fleet.gateway.pid)
        await instance.stop()
        await fleet.gateway.stop()
    growth = {role: {kind: last[role][kind] - first[role][kind] for kind in last[role]} for role in last}
    grown = any(
        each["KiB"] > _MOST_KIB or each["descriptors"] > 0 or each.get("tasks", 0) > _MOST_TASKS
        for each in growth.values()
    )
    return {
        "passed": failed == 0 and not grown,
        "redeploys": redeploys,
        "answered": answered,
        "failed": failed,
        "first": first,
        "last": last,
    }


class _Instance:
    """A running instance in this process."""

    def __init__(self, task: asyncio.Task[None], stop: asyncio.Event) -> None:
        self._task = task
        self._stop = stop

    async def stop(self) -> None:
        """Have it leave in good order."""
        self._stop.set()
        await self._task


async def _start(folder: Path, link: str) -> _Instance:
    service = Service("reloads", database=f"sqlite:///{folder}/reloads.db", tables=_Store)
    started, stop = asyncio.Event(), asyncio.Event()

    @service.after_start
    async def ready(service: Service[Any]) -> None:
        started.set()

    @service.ws.on("reloads.echo")
    async def echo(ctx: WsContext[Any], number: int) -> int:
        await ctx.join("everybody")
        return number

    @service.action("reloads.show", route="/reloads")
    async def show(ctx: Any) -> str:
        return "here"

    @service.events.on("reloads.*", durable=True)
    async def heard(ctx: EventContext[Any], data: Any) -> None:
        """Stored, and nothing more."""

    @service.every(1.0)
    async def tick(ctx: JobContext[Any]) -> None:
        """Handed on from instance to instance."""

    task = asyncio.create_task(service.serve(link, stop))
    waiting = asyncio.create_task(started.wait())
    await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        task.result()
    return _Instance(task, stop)


async def _ask(client: Client, number: int) -> bool:
    return bool(await client.call("reloads.echo", number, timeout=30.0) == number)


def _left(gateway: int) -> dict[str, dict[str, int]]:
    """What there is of either process now."""
    gc.collect()
    here = os.getpid()
    return {
        GATEWAY: {"KiB": own_kib(gateway), "descriptors": _descriptors(gateway)},
        SERVICE: {
            "KiB": own_kib(here),
            "descriptors": _descriptors(here),
            "tasks": len(asyncio.all_tasks()),
            "threads": threading.active_count(),
            "objects": len(gc.get_objects()),
        },
    }


def _descriptors(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def table(results: dict[str, Any]) -> str:
    """See __main__.Scenario."""
    rows = [
        [role, kind, results["first"][role][kind], results["last"][role][kind]]
        for role in results["last"]
        for kind in results["last"][role]
    ]
    head = ["process", "what", f"after {_WARM_UP}", f"after {results['redeploys']} more"]
    return f"{tables.lines(head, rows)}\n\n{results['answered']:,} requests answered, {results['failed']:,} not"
