"""python-socketio: its asynchronous server as an ASGI application."""

from __future__ import annotations

from typing import Any

import socketio

from .serving import serve_asgi

sio = socketio.AsyncServer(async_mode="asgi", transports=["websocket"], http_compression=False)


@sio.on("bench.echo")
async def echo(sid: str, data: Any) -> dict[str, Any]:
    """An acknowledged request."""
    if not isinstance(data, dict) or not isinstance(data.get("text"), str):
        return {"error": "text is needed"}
    return {"length": len(data["text"])}


@sio.on("bench.join")
async def join(sid: str, data: Any) -> None:
    """Become a member of the one room."""
    await sio.enter_room(sid, "crowd")


@sio.on("bench.publish")
async def publish(sid: str, data: Any) -> None:
    """Send an event to the room."""
    await sio.emit("bench.event", {"text": "x" * 64}, room="crowd")


if __name__ == "__main__":
    serve_asgi(socketio.ASGIApp(sio))
