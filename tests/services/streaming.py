"""A service whose answers and bodies are streamed."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator
from typing import Any

from pylinkd import EventSourceResponse, HttpContext, Response, ServerSentEvent, Service, Stream, StreamingResponse

service = Service("streaming")

made = 0
ended: list[str] = []
ticks = asyncio.Queue[str]()


async def zeros(size: int) -> AsyncIterator[bytes]:
    """So many bytes."""
    global made
    made = 0
    piece = bytes(32 * 1024)
    while made < size:
        made += len(piece)
        yield piece[: size - made + len(piece)]


@service.action("zeros", route="/zeros/{size}")
async def some_zeros(ctx: HttpContext) -> Response:
    """Many bytes, with or without their number."""
    size = int(ctx.params["size"])
    return StreamingResponse(zeros(size), size=size if "sized" in ctx.query else None)


@service.action("made", route="/made")
async def how_many(ctx: HttpContext) -> Any:
    """How many bytes were made of the last answer, and how generators ended."""
    return {"made": made, "ended": ended, "pid": os.getpid()}


@service.action("broken", route="/broken")
async def broken(ctx: HttpContext) -> Response:
    """An answer that breaks off."""

    async def body() -> AsyncIterator[bytes]:
        yield b"the beginning"
        raise LookupError("secret")

    return StreamingResponse(body())


@service.action("longer", route="/longer")
async def longer(ctx: HttpContext) -> Response:
    """An answer that is not as long as it says."""
    return StreamingResponse(zeros(10), size=int(ctx.query["says"]))


@service.action("tick", route="/tick", method="POST")
async def tick(ctx: HttpContext) -> None:
    """Tell whoever listens."""
    ticks.put_nowait(ctx.body.decode())


@service.action("ticks", route="/ticks")
async def events(ctx: HttpContext) -> Response:
    """Ticks as they come."""
    since = ctx.headers.get("last-event-id", "0")
    await asyncio.sleep(float(ctx.query.get("delay", 0)))

    async def listen() -> AsyncIterator[Any]:
        number = int(since)
        yield ServerSentEvent(f"after {since}", retry=0.1)
        try:
            while True:
                number += 1
                yield ServerSentEvent(await ticks.get(), event="tick", id=str(number))
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise

    return EventSourceResponse(listen(), heartbeat=float(ctx.query.get("heartbeat", 15)))


@service.action("secrets", route="/secrets", auth=True)
async def secrets(ctx: HttpContext) -> Response:
    """Events for those who have signed in."""

    async def listen() -> AsyncIterator[Any]:
        while True:
            yield "secret"
            await asyncio.sleep(0.1)

    return EventSourceResponse(listen())


@service.action("slowly", route="/slowly")
async def slowly(ctx: HttpContext) -> Response:
    """An answer that takes its time, and has an end."""

    async def body() -> AsyncIterator[str]:
        for number in range(100):
            yield f"{number}\n"
            await asyncio.sleep(0.05)

    return StreamingResponse(body(), content_type="text/plain")


@service.action("page", route="/page")
async def page(ctx: HttpContext) -> Response:
    """A browser that listens."""
    return Response(
        """<!doctype html><title>ticks</title><script>
        const heard = [], source = new EventSource("/ticks");
        source.onmessage = (event) => heard.push(event.data);
        source.addEventListener("tick", (event) => heard.push(event.data + " " + event.lastEventId));
        </script>""",
        content_type="text/html",
    )


@service.action.on_stream("digest", route="/digest", method="PUT", max_size=2**26, idle_timeout=5.0)
async def digest(ctx: HttpContext, chunks: Stream) -> Any:
    """What was sent, as a number."""
    found = hashlib.sha256()
    largest = 0
    pause = float(ctx.query.get("pause", 0))
    async for chunk in chunks:
        found.update(chunk)
        largest = max(largest, len(chunk))
        if pause:
            await asyncio.sleep(pause)
    return {"sha256": found.hexdigest(), "size": chunks.size, "largest": largest}


@service.action.on_stream("small", route="/small", max_size=1000)
async def small(ctx: HttpContext, chunks: Stream) -> int:
    """Takes little."""
    return sum([len(chunk) async for chunk in chunks])


@service.action.on_stream("hasty", route="/hasty")
async def hasty(ctx: HttpContext, chunks: Stream) -> str:
    """Answers before it has read anything."""
    return "enough"


@service.action.on_stream("eager", route="/eager")
async def eager(ctx: HttpContext, chunks: Stream) -> Response:
    """Answers at length before it has read anything."""

    async def body() -> AsyncIterator[str]:
        for number in range(60):
            yield f"{number}\n"
            await asyncio.sleep(0.05)

    return StreamingResponse(body())


@service.action.on_stream("waiting", route="/waiting", idle_timeout=0.2)
async def waiting(ctx: HttpContext, chunks: Stream) -> int:
    """Waits not for long."""
    try:
        return sum([len(chunk) async for chunk in chunks])
    except Exception as error:
        ended.append(type(error).__name__)
        raise
