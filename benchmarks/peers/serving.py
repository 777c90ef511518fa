"""How every peer in Python tells where it listens, and how uvicorn runs those that are ASGI applications."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from typing import Any

import uvicorn

BACKLOG = 4096  # connections that wait to be accepted; the load generator opens 256 at once


def listen() -> socket.socket:
    """A listening socket on a free port of loopback, which is printed."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(BACKLOG)
    print(json.dumps({"listening": listener.getsockname()[1]}), flush=True)
    return listener


def serve_asgi(application: Any) -> None:
    """Serve an ASGI application as in production: one worker, uvloop, httptools, no access log, no compression."""
    config = uvicorn.Config(
        application, loop="uvloop", http="httptools", ws="auto", ws_per_message_deflate=False, access_log=False,
        log_level="warning", backlog=BACKLOG,
    )  # fmt: skip
    uvicorn.Server(config).run(sockets=[listen()])


def compact(message: Mapping[str, Any]) -> str:
    """JSON without spaces, as JavaScript writes it and the load generator reads it."""
    return json.dumps(message, separators=(",", ":"))
