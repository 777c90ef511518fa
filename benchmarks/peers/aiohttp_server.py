"""aiohttp: a WebSocket handler on uvloop, and a set of the open WebSockets as the room."""

from __future__ import annotations

import json
from typing import Any

import uvloop
from aiohttp import WSMsgType, web

from .serving import BACKLOG, compact, listen

_room: set[web.WebSocketResponse] = set()


async def bench(request: web.Request) -> web.WebSocketResponse:
    """One WebSocket."""
    websocket = web.WebSocketResponse(compress=False)
    await websocket.prepare(request)
    try:
        async for message in websocket:
            if message.type is WSMsgType.TEXT:
                await websocket.send_json(await _answer(websocket, json.loads(message.data)), dumps=compact)
    finally:
        _room.discard(websocket)
    return websocket


async def _answer(websocket: web.WebSocketResponse, request: Any) -> dict[str, Any]:
    match request:
        case {"type": "bench.echo", "id": int(number), "data": {"text": str(text)}}:
            return {"type": "response", "id": number, "data": {"length": len(text)}}
        case {"type": "bench.join", "id": int(number)}:
            _room.add(websocket)
            return {"type": "response", "id": number, "data": None}
        case {"type": "bench.publish", "id": int(number)}:
            event = compact({"type": "bench.event", "data": {"text": "x" * 64}})
            for member in set(_room):  # one may leave while another is sent to
                await member.send_str(event)
            return {"type": "response", "id": number, "data": None}
        case _:
            return {"type": "error", "data": "not understood"}


if __name__ == "__main__":
    app = web.Application()
    app.add_routes([web.get("/", bench)])
    web.run_app(
        app, sock=listen(), loop=uvloop.new_event_loop(), print=None, access_log=None, backlog=BACKLOG,
    )  # fmt: skip
