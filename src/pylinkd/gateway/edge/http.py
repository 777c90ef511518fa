"""The HTTP application: health, and the actions of services."""

from __future__ import annotations

from collections.abc import AsyncIterable, Callable, Iterator, Sequence
from typing import Any, Protocol
from urllib.parse import parse_qsl, unquote, urlencode

import msgspec
import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ...protocol.envelope import error_body
from ...protocol.errors import BadRequestError, InternalError, LinkdError, RateLimitedError
from ...protocol.headers import check_header
from ...protocol.identity import Identity
from ...protocol.link_pb2 import HttpRequest, HttpResponse
from ...protocol.link_values import fill_identity
from ...protocol.routes import MethodNotAllowedError
from ...version import __version__
from ..guard.addresses import Proxies
from ..guard.credentials import TOKEN_PARAMETER, Credentials, cookies_of
from ..guard.door import Door, refusal_headers
from ..guard.origins import Origins
from ..guard.unfinished import Unfinished
from .bodies import Bodies
from .client_script import PREFIX, ClientScript
from .cors import Cors
from .documentation import Documentation
from .head import joined
from .logout import PATH as LOGOUT_PATH
from .logout import LogoutEndpoint
from .streamed import StreamedBody, StreamedResponse, StreamPlace, request_chunks, too_large

log = structlog.get_logger("linkd.http")

# Headers that concern this hop, or that only the gateway may see.
_NOT_FORWARDED = frozenset(
    {"authorization", "cookie", "connection", "keep-alive", "transfer-encoding", "upgrade", "te", "expect"}
)
_BODILESS = (204, 205, 304)  # statuses whose answers have no content (RFC 9110 §6.4.1, §15.3.6)
_NOT_RETURNED = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length", "upgrade", "date"})


class Found(Protocol):
    """Who answers a request."""

    @property
    def cookies(self) -> Sequence[str]:
        """Names of the cookies that it reads."""

    @property
    def max_body(self) -> int | None:
        """Most bytes of a request's body; ``None``: as many as the gateway takes."""

    @property
    def stream(self) -> bool:
        """Whether it takes the body as a stream."""


class Answer(Protocol):
    """What a service answers."""

    @property
    def head(self) -> HttpResponse:
        """With the whole body, if that is not streamed."""

    @property
    def body(self) -> StreamedBody | None:
        """The streamed body, which has to be used up or closed; ``None``: it is not streamed."""


class Router(Protocol):
    """Where requests are answered: routing/actions.py."""

    def find(self, method: str, segments: Sequence[str], identity: Identity | None) -> Found:
        """Who answers a request for this path, in decoded segments.

        Raises:
            LinkdError: If nobody does, or not for this caller.
        """

    def answers(self, segments: Sequence[str]) -> bool:
        """Whether a path, in decoded segments, is somebody's, by whatever method."""

    async def request(self, request: HttpRequest, target: Any, chunks: AsyncIterable[bytes] | None = None) -> Answer:
        """Have it answered by whoever ``find`` found.

        Args:
            request: Without the body, if that is streamed.
            target: What ``find`` returned.
            chunks: The body, if it is streamed.

        Raises:
            LinkdError: If the service fails.
            Exception: Whatever ``chunks`` raises.
        """


class HttpApplication:
    """The ASGI application behind every request that is no opening handshake.

    Args:
        door: Says who is asking.
        proxies: Tell where a request comes from.
        router: Has a service answer.
        ready: Whether the gateway can serve clients now.
        is_websocket: Whether a path is one of WebSockets.
        max_body_size: Most bytes of a request's body.
        bodies: Space for large bodies.
        streams: How many bodies and answers may be streamed at once.
        origins: The pages of other hosts that may read answers (CORS); ``None``: none may.
        cookies: Whether cookies of these pages count.
        script: The client for browsers; ``None``: it is not served.
        documentation: What the services offer; ``None``: the gateway does not tell.
        logout: Where issuers tell of sign-outs; ``None``: none does.
    """

    def __init__(
        self,
        *,
        door: Door,
        proxies: Proxies,
        router: Router,
        ready: Callable[[], bool],
        is_websocket: Callable[[str], bool],
        max_body_size: int,
        bodies: Bodies,
        streams: Unfinished,
        origins: Origins | None = None,
        cookies: bool = False,
        script: ClientScript | None = None,
        documentation: Documentation | None = None,
        logout: LogoutEndpoint | None = None,
    ) -> None:
        self._door = door
        self._proxies = proxies
        self._router = router
        self._ready = ready
        self._is_websocket = is_websocket
        self._max_body_size = max_body_size
        self._bodies = bodies
        self._streams = streams
        listed = origins is not None and (origins.any or origins.pattern)
        self._cors = Cors(origins, credentials=cookies) if listed and origins is not None else None
        self._script = script
        self._documentation = documentation
        self._logout = logout
        self._health = {"/health": self._status, "/ready": self._readiness, "/live": self._liveness}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        request = Request(scope, receive)
        response = await self._answer(request, send)
        if self._cors is not None:
            self._cors.mark(request, response)
        await response(scope, receive, send)

    async def _answer(self, request: Request, send: Send) -> Response:
        try:
            if self._logout is not None and request.scope["path"] == LOGOUT_PATH:
                address = self._address(request, joined(request.scope["headers"]))
                return await self._logout.answer(request, address)
            answer = self._own(request)
            described = answer is None and self._describes(request)
            preflight = None if self._cors is None else self._cors.preflight(request)
            if not (answer or described or preflight or self._is_websocket(request.scope["path"])):
                return await self._act(request, send)
            # No action counts these.
            self._door.count(self._address(request, joined(request.scope["headers"])))
            if preflight is not None:
                return preflight
            if answer is None and not described:
                raise BadRequestError("This path speaks WebSocket: ask with Connection: Upgrade, Upgrade: websocket.")
            if request.method not in ("GET", "HEAD"):
                raise MethodNotAllowedError({"GET"})
            return answer or await self._description(request)
        except MethodNotAllowedError as error:
            return _options(error) if request.method == "OPTIONS" else _refused(error)
        except LinkdError as error:
            return _refused(error)
        except ClientDisconnect:
            return Response(status_code=400)  # nobody is there to read it
        except Exception:
            log.exception("request_failed", method=request.method)
            return _refused(InternalError())

    def _own(self, request: Request) -> Response | None:
        """The gateway's own answer; ``None``: somebody else has to give one."""
        path = request.scope["path"]
        health = self._health.get(path)
        if health is not None:
            return health()
        if self._script is not None and path.startswith(PREFIX):
            return self._script.find(request)
        return None

    def _describes(self, request: Request) -> bool:
        """Whether the request is for a document about the services. An action at the same path goes before."""
        known = self._documentation is not None and self._documentation.has(request.scope["path"])
        return known and not self._router.answers(_segments(request))

    async def _description(self, request: Request) -> Response:
        assert self._documentation is not None  # _describes has found it
        return await self._documentation.answer(request.scope["path"])

    def _status(self) -> Response:
        return _json(200, {"status": "ok" if self._ready() else "starting", "version": __version__})

    def _readiness(self) -> Response:
        ready = self._ready()
        return _json(200 if ready else 503, {"ready": ready})

    def _liveness(self) -> Response:
        return _json(200, {"live": True})

    async def _act(self, request: Request, send: Send) -> Response:
        """Have an action answer. Whatever the head alone can be refused for comes before the body is read."""
        headers = joined(request.scope["headers"])
        address = self._address(request, headers)
        credentials = self._credentials(request, headers)
        identity = await self._door.identify(credentials, address)
        target = self._router.find(request.method, _segments(request), identity)
        limit = self._limit(target)
        size = _announced(headers, limit)
        wire = self._describe(request, identity, address)
        wire.cookies.update(_cookies_for(target.cookies, credentials))
        if target.stream:
            # The gateway keeps no more of it than of any connection.
            place = StreamPlace(self._streams, address)
            try:
                answer = await self._router.request(wire, target, request_chunks(request, limit, send))
            finally:
                place.leave()
        else:
            async with self._bodies.space(size, address):
                wire.body = await _body(request, limit)
                answer = await self._router.request(wire, target)
        return _response(answer, request.method, lambda: StreamPlace(self._streams, address))

    def _limit(self, target: Found) -> int:
        """Most bytes of a request's body. The gateway's own limit is about its memory, and not about streams."""
        if target.max_body is None:
            return self._max_body_size
        return target.max_body if target.stream else min(target.max_body, self._max_body_size)

    def _address(self, request: Request, headers: dict[str, str]) -> str:
        peer = request.client.host if request.client else ""
        return self._proxies.client(peer, headers)

    def _credentials(self, request: Request, headers: dict[str, str]) -> Credentials:
        return Credentials(
            query=request.query_params.getlist(TOKEN_PARAMETER),
            authorization=headers.get("authorization"),
            cookies=headers.get("cookie"),
            own_page=self._door.own_page(headers.get("origin"), headers.get("host", ""), headers.get("sec-fetch-site")),
        )

    def _describe(self, request: Request, identity: Identity | None, address: str) -> HttpRequest:
        wire = HttpRequest(
            method=request.method,
            path=request.scope["path"],
            query=_without_token(request.scope["query_string"].decode("latin-1")),
            remote_address=address,
        )
        for name, value in request.headers.items():
            if name not in _NOT_FORWARDED:
                wire.headers.add(name=name, value=value)
        if identity is not None:
            fill_identity(wire.identity, identity)
        return wire


def _segments(request: Request) -> list[str]:
    """The path's segments, each decoded by itself."""
    return [unquote(segment) for segment in request.scope["raw_path"].decode("latin-1").split("/")]


def _announced(headers: dict[str, str], limit: int) -> int:
    """The size of the body as the head has it, or the largest there may be.

    Raises:
        PayloadTooLargeError: If it is above the limit, in bytes.
    """
    if "transfer-encoding" in headers:
        return limit
    length = headers.get("content-length", "0")
    size = int(length) if length.isdecimal() else limit
    if size > limit:
        raise too_large(limit)
    return size


async def _body(request: Request, limit: int) -> bytes:
    """The whole body.

    Raises:
        PayloadTooLargeError: As soon as more bytes than the limit have come.
    """
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise too_large(limit)
        chunks.append(chunk)
    return b"".join(chunks)


def _response(answer: Answer, method: str, take_place: Callable[[], StreamPlace]) -> Response:
    """What a service answered to a request by this method, as HTTP carries it.

    Raises:
        ValueError: If HTTP cannot carry it. A streamed body is closed then.
        ServiceUnavailableError: If it is streamed, and there is no place for that.
    """
    head, body = answer.head, answer.body
    place: StreamPlace | None = None
    try:
        if not 200 <= head.status <= 599:
            raise ValueError(f"{head.status} is no status of an answer")
        if body is not None and head.status in _BODILESS:
            body.close()
            body = None
        if body is not None:
            place = take_place()
            response: Response = StreamedResponse(body, head.status, place)
        else:
            # For HEAD the server leaves the body out and keeps its length (RFC 9110 §9.3.2).
            content = b"" if head.status in _BODILESS else head.body
            response = Response(content, status_code=head.status)
        for header in head.headers:
            check_header(header.name, header.value)
            name = header.name.lower()
            if name not in _NOT_RETURNED:
                response.headers.append(header.name, header.value)
            elif name == "content-length" and (body is not None or method == "HEAD"):
                response.headers[name] = header.value
    except Exception:
        if body is not None:
            body.close()
        if place is not None:
            place.leave()
        raise
    return response


def _cookies_for(names: Sequence[str], credentials: Credentials) -> Iterator[tuple[str, str]]:
    """The cookies of these names; of one that is repeated, the first, whose path is the most specific (RFC 6265 §5.4).

    Browsers send cookies with the requests of any page: where it is not one that may connect, there are none.
    """
    if credentials.own_page and credentials.cookies is not None:
        for name in names:
            value = next(cookies_of(credentials.cookies, name), None)
            if value is not None:
                yield name, value


def _without_token(query: str) -> str:
    # The name may be percent-encoded: only the decoded pairs tell.
    pairs = parse_qsl(query, keep_blank_values=True)
    return urlencode([(name, value) for name, value in pairs if name != TOKEN_PARAMETER])


def _refused(error: LinkdError) -> Response:
    headers = refusal_headers(error)
    if isinstance(error, RateLimitedError):
        headers["Connection"] = "close"  # what is pipelined behind it would be refused as well, one by one
    if isinstance(error, MethodNotAllowedError):
        headers["Allow"] = _allow(error)
    return Response(msgspec.json.encode({"error": error_body(error)}), status_code=error.code, headers=headers)


def _options(error: MethodNotAllowedError) -> Response:
    """The answer to OPTIONS for a path that is known (RFC 9110 §9.3.7); preflights are answered by Cors."""
    return Response(status_code=204, headers={"Allow": _allow(error)})


def _allow(error: MethodNotAllowedError) -> str:
    return ", ".join([*error.allowed, *(["HEAD"] if "GET" in error.allowed else []), "OPTIONS"])


def _json(status: int, body: object) -> Response:
    return Response(
        msgspec.json.encode(body),
        status_code=status,
        headers={"Content-Type": "application/json", "Cache-Control": "no-store"},
    )
