"""The service of the scenario ``chaos``: it writes down what it handles, and tells the client and everybody by number.

Every record is one write to the end of a file of the process's own: what was written outlives ``kill -9``.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import time
from pathlib import Path

import msgspec

from pylinkd import Service, WsContext

service = Service("chaos")

_INSTANCE = os.urandom(6).hex()  # ids of processes come again
_FILE = os.open(
    Path(os.environ["BENCH_FOLDER"]) / f"instance-{_INSTANCE}.ledger", os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600
)
_numbers = itertools.count(1)
_turn = asyncio.Lock()


class Work(msgspec.Struct):
    """What is to be handled.

    Attributes:
        client: Who asks; stays the same over its sessions.
        number: Of the request, ascending for each client.
        text: What the event repeats.
        pause: Seconds that it takes.
        broadcast: Whether everybody is to be told something as well.
        disconnect: Whether the session is to end.
    """

    client: int
    number: int
    text: str = ""
    pause: float = 0.0
    broadcast: bool = False
    disconnect: bool = False


class Handled(msgspec.Struct):
    """Who handled it, and the number of the broadcast in that process."""

    instance: str
    broadcast: int | None = None


@service.ws.on("chaos.ask")
async def ask(ctx: WsContext, work: Work) -> Handled:
    """Write it down; an event to the session, perhaps one to everybody, and the answer."""
    record = [time.monotonic(), ctx.socket.id, work.client, work.number]
    os.write(_FILE, json.dumps(record).encode() + b"\n")
    await ctx.send("chaos.event", {"number": work.number, "text": work.text})
    if work.pause:
        await asyncio.sleep(work.pause)
    if work.disconnect:
        await ctx.disconnect()
    return Handled(_INSTANCE, await _broadcast(ctx) if work.broadcast else None)


async def _broadcast(ctx: WsContext) -> int:
    # One after the other: handlers of two sessions promise no order between what they send.
    async with _turn:
        number = next(_numbers)
        await ctx.everyone.emit("chaos.broadcast", {"instance": _INSTANCE, "number": number})
        return number
