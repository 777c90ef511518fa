"""The HTTP application for operators, on an address that clients do not reach."""

from __future__ import annotations

import msgspec
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ...protocol.envelope import error_body
from ...protocol.errors import InternalError, LinkdError
from .api import AdminApi
from .metrics import Metrics
from .publish_api import PublishApi


def admin_app(metrics: Metrics, api: AdminApi | None, publish_api: PublishApi | None) -> Starlette:
    """The ASGI application: ``GET /metrics``, and the APIs where there are keys for them."""

    async def scrape(request: Request) -> Response:
        return Response(metrics.text(), headers={"Content-Type": CONTENT_TYPE_LATEST, "Cache-Control": "no-store"})

    routes = [Route("/metrics", scrape)]
    for one in (api, publish_api):
        routes += [] if one is None else one.routes
    return Starlette(
        routes=routes,
        exception_handlers={HTTPException: _refused, Exception: _failed},
    )


async def _failed(request: Request, cause: Exception) -> Response:
    """A fault of ours: it is raised again and logged behind this answer."""
    body = msgspec.json.encode({"error": error_body(InternalError())})
    return Response(body, status_code=500, headers={"Content-Type": "application/json", "Cache-Control": "no-store"})


async def _refused(request: Request, cause: Exception) -> Response:
    """No route, or not with this method; as JSON, as everything else."""
    assert isinstance(cause, HTTPException)
    type = "METHOD_NOT_ALLOWED" if cause.status_code == 405 else "NOT_FOUND"
    body = error_body(LinkdError(f"{cause.detail}.", code=cause.status_code, type=type))
    headers = {**(cause.headers or {}), "Content-Type": "application/json", "Cache-Control": "no-store"}
    return Response(msgspec.json.encode({"error": body}), status_code=cause.status_code, headers=headers)
