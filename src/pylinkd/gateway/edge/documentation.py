"""The documents about the services as they are served, and the page that shows them."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Awaitable, Callable
from pathlib import Path

from starlette.responses import Response

from ..routing.descriptions import Documents
from .client_script import PREFIX

OPENAPI_PATH = "/openapi.json"
ASYNCAPI_PATH = "/asyncapi.json"
PAGE_PATH = f"{PREFIX}docs"

PAGE = Path(__file__).parents[1] / "assets" / "docs.html"
"""One style and one script, both inline; it loads nothing but the two documents."""


class Documentation:
    """Answers requests for the documents and for the page.

    Args:
        documents: Gets the documents.
        page: The page, whose inline style and script are the only ones that a browser will run.
    """

    def __init__(self, documents: Callable[[], Awaitable[Documents]], page: str) -> None:
        self._documents = documents
        self._page = page
        self._policy = "; ".join(
            [
                "default-src 'none'",
                f"script-src {_hashes('script', page)}",
                f"style-src {_hashes('style', page)}",
                "connect-src 'self'",
                "base-uri 'none'",
                "form-action 'none'",
                "frame-ancestors 'none'",
            ]
        )

    def has(self, path: str) -> bool:
        """Whether something is served at this path."""
        return path in (OPENAPI_PATH, ASYNCAPI_PATH, PAGE_PATH)

    async def answer(self, path: str) -> Response:
        """What is served at a path that it has."""
        if path == PAGE_PATH:
            return _response(self._page.encode(), "text/html; charset=utf-8", self._policy)
        documents = await self._documents()
        body = documents.openapi if path == OPENAPI_PATH else documents.asyncapi
        return _response(body, "application/json", "default-src 'none'; frame-ancestors 'none'")


def _response(body: bytes, media_type: str, policy: str) -> Response:
    headers = {
        "Content-Type": media_type,
        "Content-Security-Policy": policy,
        "Cache-Control": "no-store",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }
    return Response(body, headers=headers)


def _hashes(element: str, page: str) -> str:
    """The sources of a Content-Security-Policy that allow the page's inline elements of one kind."""
    contents = re.findall(rf"<{element}>(.*?)</{element}>", page, re.DOTALL)
    digests = [base64.b64encode(hashlib.sha256(content.encode()).digest()).decode() for content in contents]
    return " ".join(f"'sha256-{digest}'" for digest in digests)
