"""Which answers a browser shows to the pages of other hosts: CORS, as the Fetch standard defines it."""

from __future__ import annotations

import re

from starlette.requests import Request
from starlette.responses import Response

from ...protocol.errors import ForbiddenError
from ..guard.origins import Origins

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")

_PREFLIGHT_AGE = 600  # seconds for which a browser may keep what it was allowed
_EXPOSED = ("Location", "Retry-After", "WWW-Authenticate")  # beside those that the standard exposes
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}")
_MOST_NAMES = 100


class Cors:
    """Answers preflights, and marks what the listed pages may read.

    Args:
        origins: The pages; its own host's need nothing.
        credentials: Whether cookies of these pages count, so that browsers may send them. Never where every page is
            listed.
    """

    def __init__(self, origins: Origins, *, credentials: bool = False) -> None:
        self._origins = origins
        self._credentials = credentials and not origins.any

    def preflight(self, request: Request) -> Response | None:
        """The answer to a preflight; ``None``: the request is none.

        Raises:
            ForbiddenError: If pages of this origin may not ask.
        """
        if request.method != "OPTIONS" or "access-control-request-method" not in request.headers:
            return None
        if not self._lists(request):
            raise ForbiddenError("Pages of this origin may not ask.", type="FORBIDDEN_ORIGIN")
        names = request.headers.get("access-control-request-headers", "")
        wanted = [name.strip() for name in names.split(",", _MOST_NAMES)[:_MOST_NAMES]]
        response = Response(status_code=204)
        response.headers["Access-Control-Allow-Methods"] = ", ".join(METHODS)
        response.headers["Access-Control-Max-Age"] = str(_PREFLIGHT_AGE)
        response.headers["Access-Control-Allow-Headers"] = ", ".join(name for name in wanted if _NAME.fullmatch(name))
        response.headers["Vary"] = "Access-Control-Request-Headers, Access-Control-Request-Method"
        return response

    def mark(self, request: Request, response: Response) -> None:
        """Say in an answer whether the page that asked may read it."""
        headers = response.headers
        if not self._origins.any:
            headers.add_vary_header("Origin")
        if not self._lists(request):
            return
        headers["Access-Control-Allow-Origin"] = "*" if self._origins.any else request.headers["origin"]
        if self._credentials:
            headers["Access-Control-Allow-Credentials"] = "true"
        own = headers.getlist("Access-Control-Expose-Headers")
        headers["Access-Control-Expose-Headers"] = ", ".join([*_EXPOSED, *own])

    def _lists(self, request: Request) -> bool:
        origin = request.headers.get("origin")
        return origin is not None and self._origins.lists(origin)
