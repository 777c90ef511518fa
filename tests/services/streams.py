"""Takes large messages as streams."""

# ruff: noqa: D103  a handler's type says what it is for

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path
from typing import Any

from pylinkd import Service, Stream, StreamAbortedError, WsContext

service = Service("streams")


@service.ws.on_stream("file.hash", max_size=2**30)
async def file_hash(ctx: WsContext, chunks: Stream) -> dict[str, Any]:
    digest = hashlib.sha256()
    try:
        async for chunk in chunks:
            digest.update(chunk)
    except StreamAbortedError as error:
        ctx.logger.info("test_aborted", reason=(error.details or {})["reason"])
        raise
    return {"name": ctx.data, "size": chunks.size, "sha256": digest.hexdigest()}


@service.ws.on_stream("file.small", max_size=1000)
async def file_small(ctx: WsContext, chunks: Stream) -> int:
    return len([chunk async for chunk in chunks])


@service.ws.on_stream("file.idle", idle_timeout=0.1)
async def file_idle(ctx: WsContext, chunks: Stream) -> int:
    return len([chunk async for chunk in chunks])


@service.ws.on_stream("file.gate")
async def file_gate(ctx: WsContext, chunks: Stream) -> int:
    """Take nothing before a file of this name is there."""
    while not Path(ctx.data).exists():
        await asyncio.sleep(0.01)
    return sum([len(chunk) async for chunk in chunks])


@service.ws.on_stream("file.first")
async def file_first(ctx: WsContext, chunks: Stream) -> str:
    """Answer with the first chunk, whatever follows."""
    return (await anext(chunks)).decode()


@service.ws.on_stream("file.member", auth=True)
async def file_member(ctx: WsContext, chunks: Stream) -> str:
    return ctx.auth.user


@service.ws.on("file.ping")
async def file_ping(ctx: WsContext) -> str:
    return "pong"
