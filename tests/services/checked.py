"""A service whose health check fails while a file is there; the variable CHECKED_FILE names it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from pylinkd import Service, WsContext

_FILE = Path(os.environ["CHECKED_FILE"])

service = Service("checked")


@service.health_check("file", interval=0.05)
async def file(service: Service[Any]) -> None:
    """Whether the file is away."""
    if os.path.lexists(_FILE):
        raise FileExistsError(_FILE)


@service.ws.on("checked.who")
async def who(ctx: WsContext) -> int:
    """Which process answers."""
    return os.getpid()


@service.ws.on_disconnect
async def left(ctx: WsContext) -> None:
    """Say that a session has ended, and why."""
    ctx.logger.info("checked_left", reason=ctx.end_reason)
