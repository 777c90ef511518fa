"""The HTTP face: health, and the actions of services."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from urllib.parse import parse_qsl, urlencode

import msgspec
import structlog
from starlette.applications import Starlette
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from ...protocol.envelope import error_body
from ...protocol.errors import BadRequestError, InternalError, LinkdError, PayloadTooLargeError
from ...protocol.headers import check_header
from ...protocol.identity import Identity
from ...protocol.link import fill_identity
from ...protocol.link_pb2 import HttpRequest, HttpResponse
from ...version import __version__
from ..guard.addresses import Proxies
from ..guard.credentials import TOKEN_PARAMETER, Credentials
from ..guard.door import Door, refusal_headers
from ..guard.origins import Origins
from ..routing.actions import MethodNotAllowedError
from .handshake import joined

log = structlog.get_logger("linkd.http")

_PREFLIGHT_AGE = 600  # seconds for which a browser may keep what it was allowed
_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]

# Headers that concern this hop, or that only the gateway may see.
_NOT_FORWARDED = frozenset(
    {"authorization", "cookie", "connection", "keep-alive", "transfer-encoding", "upgrade", "te", "expect"}
)
_NOT_RETURNED = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length", "upgrade", "date"})


class BodyTimeoutError(LinkdError):
    """The request's body did not arrive in time."""

    default_code = 408
    default_type = "TIMEOUT"
    default_message = "The request's body took too long."


Act = Callable[[HttpRequest, Identity | None], Awaitable[HttpResponse]]


class HttpFace:
    """The ASGI application behind every request that is no opening handshake.

    Args:
        door: Says who is asking.
        proxies: Tell where a request comes from.
        act: Has a service answer.
        ready: Whether the gateway can serve clients now.
        is_websocket: Whether a path is one of WebSockets.
        max_body_size: Most bytes of a request's body.
        body_timeout: Seconds that a body may take to arrive.
        origins: The pages of other hosts that may read answers (CORS); ``None``: none may.
    """

    def __init__(
        self,
        *,
        door: Door,
        proxies: Proxies,
        act: Act,
        ready: Callable[[], bool],
        is_websocket: Callable[[str], bool],
        max_body_size: int,
        body_timeout: float = 30.0,
        origins: Origins | None = None,
    ) -> None:
        self._door = door
        self._proxies = proxies
        self._act = act
        self._ready = ready
        self._is_websocket = is_websocket
        self._max_body_size = max_body_size
        self._body_timeout = body_timeout
        app = Starlette(
            routes=[
                Route("/health", self._health),
                Route("/ready", self._readiness),
                Route("/live", self._live),
                Route("/{path:path}", self._action, methods=_METHODS),
            ]
        )
        self._app: ASGIApp = app
        if origins is not None and (origins.any or origins.pattern):
            self._app = CORSMiddleware(
                app,
                allow_origins=["*"] if origins.any else [],
                allow_origin_regex=origins.pattern or None,
                allow_methods=_METHODS,
                allow_headers=["authorization", "content-type"],
                max_age=_PREFLIGHT_AGE,
            )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        await self._app(scope, receive, send)

    async def _health(self, request: Request) -> Response:
        return _json(200, {"status": "ok" if self._ready() else "starting", "version": __version__})

    async def _readiness(self, request: Request) -> Response:
        ready = self._ready()
        return _json(200 if ready else 503, {"ready": ready})

    async def _live(self, request: Request) -> Response:
        return _json(200, {"live": True})

    async def _action(self, request: Request) -> Response:
        try:
            if self._is_websocket(request.scope["path"]):
                raise BadRequestError("This path speaks WebSocket: ask with Connection: Upgrade, Upgrade: websocket.")
            address = self._address(request)
            identity = await self._door.identify(self._credentials(request), address)
            wire = await self._describe(request, identity, address)
            answer = await self._act(wire, identity)
        except LinkdError as error:
            return _refused(error)
        except ClientDisconnect:
            return Response(status_code=400)  # nobody is there to read it
        except Exception:
            log.exception("request_failed", method=request.method)
            return _refused(InternalError())
        try:
            return _response(answer)
        except ValueError:
            log.exception("answer_malformed", method=request.method, status=answer.status)
            return _refused(InternalError())

    def _address(self, request: Request) -> str:
        peer = request.client.host if request.client else ""
        return self._proxies.client(peer, joined(request.scope["headers"]))

    def _credentials(self, request: Request) -> Credentials:
        headers = joined(request.scope["headers"])
        return Credentials(
            query=request.query_params.getlist(TOKEN_PARAMETER),
            authorization=headers.get("authorization"),
            cookies=headers.get("cookie"),
            own_page=self._door.own_page(headers.get("origin"), headers.get("host", ""), headers.get("sec-fetch-site")),
        )

    async def _describe(self, request: Request, identity: Identity | None, address: str) -> HttpRequest:
        wire = HttpRequest(
            method=request.method,
            path=request.scope["path"],
            query=_without_token(request.scope["query_string"].decode("latin-1")),
            body=await self._timed_body(request),
            remote_address=address,
        )
        for name, value in request.headers.items():
            if name not in _NOT_FORWARDED:
                wire.headers.add(name=name, value=value)
        if identity is not None:
            fill_identity(wire.identity, identity)
        return wire

    async def _timed_body(self, request: Request) -> bytes:
        try:
            async with asyncio.timeout(self._body_timeout):
                return await self._body(request)
        except TimeoutError as cause:
            raise BodyTimeoutError() from cause

    async def _body(self, request: Request) -> bytes:
        limit = self._max_body_size
        too_large = PayloadTooLargeError(f"A request's body has at most {limit} bytes.", details={"limit": limit})
        length = request.headers.get("content-length", "")
        if length.isdecimal() and int(length) > limit:
            raise too_large
        chunks: list[bytes] = []
        size = 0
        async for chunk in request.stream():
            size += len(chunk)
            if size > limit:
                raise too_large
            chunks.append(chunk)
        return b"".join(chunks)


def _response(answer: HttpResponse) -> Response:
    """What a service answered, as HTTP carries it.

    Raises:
        ValueError: If HTTP cannot carry it.
    """
    if not 200 <= answer.status <= 599:
        raise ValueError(f"{answer.status} is no status of an answer")
    # For HEAD the server leaves the body out and keeps its length (RFC 9110 §9.3.2).
    response = Response(answer.body, status_code=answer.status)
    for header in answer.headers:
        check_header(header.name, header.value)
        if header.name.lower() not in _NOT_RETURNED:
            response.headers.append(header.name, header.value)
    return response


def _without_token(query: str) -> str:
    # The name may be percent-encoded: only the decoded pairs tell.
    pairs = parse_qsl(query, keep_blank_values=True)
    return urlencode([(name, value) for name, value in pairs if name != TOKEN_PARAMETER])


def _refused(error: LinkdError) -> Response:
    headers = refusal_headers(error)
    if isinstance(error, BodyTimeoutError | PayloadTooLargeError):
        headers["Connection"] = "close"  # what is left of the body is not waited for
    if isinstance(error, MethodNotAllowedError):
        headers["Allow"] = ", ".join([*error.allowed, *(["HEAD"] if "GET" in error.allowed else [])])
    return Response(msgspec.json.encode({"error": error_body(error)}), status_code=error.code, headers=headers)


def _json(status: int, body: object) -> Response:
    return Response(
        msgspec.json.encode(body),
        status_code=status,
        headers={"Content-Type": "application/json", "Cache-Control": "no-store"},
    )
