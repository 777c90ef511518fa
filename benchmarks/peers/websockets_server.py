"""The library websockets: its asyncio server on uvloop, and its broadcast()."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import uvloop
from websockets.asyncio.server import ServerConnection, broadcast, serve

from .serving import BACKLOG, compact, listen

_room: set[ServerConnection] = set()


async def bench(websocket: ServerConnection) -> None:
    """One WebSocket."""
    try:
        async for text in websocket:
            await websocket.send(compact(_answer(websocket, json.loads(text))))
    finally:
        _room.discard(websocket)


def _answer(websocket: ServerConnection, request: Any) -> dict[str, Any]:
    match request:
        case {"type": "bench.echo", "id": int(number), "data": {"text": str(text)}}:
            return {"type": "response", "id": number, "data": {"length": len(text)}}
        case {"type": "bench.join", "id": int(number)}:
            _room.add(websocket)
            return {"type": "response", "id": number, "data": None}
        case {"type": "bench.publish", "id": int(number)}:
            broadcast(_room, compact({"type": "bench.event", "data": {"text": "x" * 64}}))
            return {"type": "response", "id": number, "data": None}
        case _:
            return {"type": "error", "data": "not understood"}


async def main() -> None:
    """Serve until the process is ended."""
    async with serve(bench, sock=listen(), compression=None, backlog=BACKLOG) as server:
        await server.serve_forever()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
