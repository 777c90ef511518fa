"""Health, for whatever starts, watches or sends traffic to the service."""

from __future__ import annotations

from pylinkd import HttpContext, Response, Service
from pylinkd.db import DatabaseError

from .models import ChatDatabase


async def database(service: Service[ChatDatabase]) -> None:
    """Whether the database answers; the gateway is told."""
    await service.db.rooms.exists()


async def live(ctx: HttpContext[ChatDatabase]) -> dict[str, bool]:
    """That this is answered is the answer: if it is not, start the service anew."""
    return {"live": True}


async def ready(ctx: HttpContext[ChatDatabase]) -> Response:
    """Whether requests can be served: 200 if the database answers, else 503."""
    ready = await _has_database(ctx)
    return Response({"ready": ready}, status=200 if ready else 503)


async def health(ctx: HttpContext[ChatDatabase]) -> dict[str, str]:
    """The same for people, part by part; always 200."""
    ready = await _has_database(ctx)
    return {"status": "ok" if ready else "degraded", "database": "ok" if ready else "unavailable"}


async def _has_database(ctx: HttpContext[ChatDatabase]) -> bool:
    try:
        await ctx.db.rooms.exists()
    except DatabaseError as error:
        ctx.logger.warning("database_unavailable", error=str(error))
        return False
    return True
