"""The service behind hostile clients: a room with a stream of events, an echo to flood, and a count of ends."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks.notes import write_note
from pylinkd import Service, WsContext

service = Service("bench")

_FOLDER = Path(os.environ["BENCH_FOLDER"])

_ends: Counter[str] = Counter()
_handled: Counter[str] = Counter()
_tasks: set[asyncio.Task[None]] = set()


@service.ws.on("bench.join")
async def join(ctx: WsContext) -> None:
    """Become a member of the one room."""
    await ctx.join("crowd")


@service.ws.on("bench.echo")
async def echo(ctx: WsContext, text: str) -> int:
    """What a flood is made of."""
    _handled["echoes"] += 1
    return len(text)


# Unordered: in order the next event would wait for the confirmation of this one, and the rate would be the loop's.
@service.ws.on("bench.stream", ordered=False)
async def stream(ctx: WsContext, data: dict[str, Any]) -> None:
    """Pass to the room what was published, with its time."""
    await ctx.to("crowd").emit("bench.event", data)


@service.ws.on_disconnect
async def ended(ctx: WsContext) -> None:
    """Count why sessions end: a client that is cut while it does not read never learns it."""
    _ends[ctx.end_reason or ""] += 1


@service.after_start
async def watch(_: object) -> None:
    """Write the counts down once a second."""
    _tasks.add(asyncio.create_task(_write()))


async def _write() -> None:
    while True:
        write_note(_FOLDER / "ends", dict(_ends))
        write_note(_FOLDER / "handled", dict(_handled))
        await asyncio.sleep(1)
