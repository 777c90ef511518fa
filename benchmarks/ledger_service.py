"""The service of the scenario ``ledger``: it writes down what it executes, before it answers.

Every record is one write to the end of a file of the process's own: what was written outlives ``kill -9``.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import time
from pathlib import Path

import msgspec

from pylinkd import LinkdError, Service, WsContext

service = Service("ledger")

_INSTANCE = os.getpid()
_FILE = os.open(
    Path(os.environ["BENCH_FOLDER"]) / f"instance-{_INSTANCE}.ledger", os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600
)
_runs = itertools.count(1)

_SHORT_END, _LONG_END = 0.01, 1.5  # seconds that on_disconnect takes
_SLOW_IDS = "4"  # ids of sessions are random: those below begin with a digit of 0 to 3, or a dash, five of 64


class Work(msgspec.Struct):
    """What is to be executed.

    Attributes:
        number: Of the request, ascending in its session.
        pause: Seconds that it takes.
        answer: Bytes of text in the answer.
        event: Bytes of text in an event to the session's room; ``None``: none is published.
    """

    number: int
    pause: float = 0.0
    answer: int = 0
    event: int | None = None


class Executed(msgspec.Struct):
    """Who executed it: the process, and the number of the execution there."""

    instance: int
    execution: int
    text: str


def _write(kind: str, run: int, *more: object) -> None:
    os.write(_FILE, json.dumps([kind, run, time.monotonic(), *more]).encode() + b"\n")


@service.ws.on("ledger.execute")
async def execute(ctx: WsContext, work: Work) -> Executed:
    """Do what is asked, once."""
    run = next(_runs)
    _write("begin", run, ctx.socket.id, work.number)
    if work.pause:
        await asyncio.sleep(work.pause)
    if work.event is not None:
        await _publish(ctx, run, work.number, work.event)
    _write("end", run)
    return Executed(_INSTANCE, run, "x" * work.answer)


async def _publish(ctx: WsContext, run: int, number: int, size: int) -> None:
    room = ctx.socket.metadata["room"]
    _write("emit", run, room, ctx.socket.id, number)
    try:
        await ctx.to(room).emit("ledger.event", {"session": ctx.socket.id, "number": number, "text": "x" * size})
    except LinkdError:
        return  # not confirmed: it may have been sent or not, and the request is executed all the same
    _write("emitted", run)


@service.ws.on_connect
async def connected(ctx: WsContext) -> None:
    """Join the room that the client asked for."""
    run = next(_runs)
    _write("connect", run, ctx.socket.id, "")
    # The session may have ended meanwhile. An error would be a refusal, after which on_disconnect does not run.
    with contextlib.suppress(LinkdError):
        await ctx.join(ctx.socket.metadata["room"])
    _write("hooked", run)


@service.ws.on_disconnect
async def disconnected(ctx: WsContext) -> None:
    """Take a moment, or a long one, in which the process or its gateway may end."""
    run = next(_runs)
    _write("disconnect", run, ctx.socket.id, ctx.end_reason or "")
    await asyncio.sleep(_LONG_END if ctx.socket.id < _SLOW_IDS else _SHORT_END)
    _write("hooked", run)
