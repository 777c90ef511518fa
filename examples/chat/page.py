"""The web page: the files in page/, each under its own address, and nothing else of the disk."""

from __future__ import annotations

import hashlib
from pathlib import Path

from pylinkd import HttpContext, NotFoundError, Response

from .models import ChatDatabase

_FOLDER = Path(__file__).parent / "page"

_CONTENT_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}

_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; connect-src 'self' ws: wss:; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    # A browser may keep a file and asks each time whether it changed: an edit shows at the next load.
    "Cache-Control": "no-cache",
}


async def index(ctx: HttpContext[ChatDatabase]) -> Response:
    """The page itself."""
    return _serve(ctx, "index.html")


async def asset(ctx: HttpContext[ChatDatabase]) -> Response:
    """A file that the page is made of."""
    return _serve(ctx, ctx.params["file"])


def _serve(ctx: HttpContext[ChatDatabase], name: str) -> Response:
    # Looked up among the folder's names, and never joined to a path: no name can lead out of the folder.
    path = {path.name: path for path in _FOLDER.iterdir() if path.suffix in _CONTENT_TYPES}.get(name)
    if path is None:
        raise NotFoundError()
    body = path.read_bytes()
    tag = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
    headers = {**_HEADERS, "ETag": tag}
    if tag in ctx.headers.get("if-none-match", ""):
        return Response(status=304, headers=headers)
    return Response(body, content_type=_CONTENT_TYPES[path.suffix], headers=headers)
