"""The service behind many connections: each joins one room when it comes; messages are answered, or held until told."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

from benchmarks.notes import write_note
from pylinkd import Service, WsContext

# Handlers that wait are what is measured: at the usual 1,000 the service's own limit would be.
service = Service("crowd", max_concurrent=100_000)

_FOLDER = os.environ.get("BENCH_FOLDER")
_LOOK = 0.1  # seconds

_released = asyncio.Event()
_counts = {"taken": 0, "answered": 0}
_tasks: set[asyncio.Task[None]] = set()


@service.ws.on_connect
async def connected(ctx: WsContext) -> None:
    """Become a member of the one room."""
    await ctx.join("crowd")


@service.ws.on("crowd.hold", ordered=False, timeout=None)
async def hold(ctx: WsContext, data: Any) -> int:
    """Answer when told. Unordered, so that each message that came is counted and none waits uncounted in a mailbox."""
    _counts["taken"] += 1
    await _released.wait()
    _counts["answered"] += 1
    return len(data)


@service.ws.on("crowd.echo")
async def echo(ctx: WsContext, data: Any) -> int:
    """An acknowledged request, of somebody in the crowd."""
    return len(data)


@service.after_start
async def watch(_: object) -> None:
    """Take orders through files: over the link, which is full by intention, none would arrive."""
    if _FOLDER is not None:
        _tasks.add(asyncio.create_task(_obey(Path(_FOLDER))))


async def _obey(folder: Path) -> None:
    while True:
        await asyncio.sleep(_LOOK)
        write_note(folder / "counts", _counts)
        if (folder / "release").exists():
            _released.set()
