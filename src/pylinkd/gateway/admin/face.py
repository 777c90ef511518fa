"""The HTTP face for operators, on an address that clients do not reach."""

from __future__ import annotations

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from .api import AdminApi
from .metrics import Metrics


def admin_face(metrics: Metrics, api: AdminApi | None) -> Starlette:
    """The ASGI application: ``GET /metrics``, and the API where there is a key for it."""

    async def scrape(request: Request) -> Response:
        return Response(metrics.text(), headers={"Content-Type": CONTENT_TYPE_LATEST, "Cache-Control": "no-store"})

    return Starlette(routes=[Route("/metrics", scrape), *([] if api is None else api.routes)])
