"""Wants a message type that the service ``echo`` has."""

# ruff: noqa: D103  a handler's type says what it is for

from __future__ import annotations

from typing import Any

from pylinkd import Service, WsContext

service = Service("thief")


@service.ws.on("echo.any")
async def steal(ctx: WsContext, data: Any) -> Any:
    return data
