"""What operators do to sessions, tokens and addresses: over HTTP, and with a key."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ...protocol.envelope import error_body
from ...protocol.errors import (
    BadRequestError,
    ConflictError,
    LinkdError,
    NotFoundError,
    PayloadTooLargeError,
    UnauthorizedError,
)
from ..core.path_limits import PathLimits
from ..core.registry import Registry
from ..core.session import Session
from ..guard.addresses import BansFullError
from ..guard.guard import Guard
from ..guard.revocations import RevocationsFullError
from ..routing.revoked import RevokedSessions, close_all
from ..routing.service import Service
from ..routing.services import Services

_MAX_BODY = 4096  # bytes
_MOST_LISTED = 1000
_LONGEST_BAN = 100 * 8760 * 3_600_000  # milliseconds; a hundred years, so that every end is a date

Handler = Callable[[Request], Awaitable[object]]


class _Revoke(msgspec.Struct, forbid_unknown_fields=True):
    session: str | None = None
    user: str | None = None
    jti: str | None = None


class _Ban(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    network: str
    duration_ms: Annotated[int, msgspec.Meta(ge=1000, le=_LONGEST_BAN)] | None = None
    reason: Annotated[str, msgspec.Meta(max_length=200)] = ""


class AdminApi:
    """The routes of the API.

    Args:
        key: What requests have to show, as a bearer token.
        registry: The sessions.
        services: The services.
        guard: Revocations, bans, and the audit.
        revoked: Ends the sessions whose tokens were revoked.
    """

    def __init__(
        self, key: str, registry: Registry, services: Services, guard: Guard, revoked: RevokedSessions
    ) -> None:
        self._key = key.encode()
        self._registry = registry
        self._services = services
        self._guard = guard
        self._revoked = revoked
        self.routes = [
            Route("/services", self._guarded(self._list_services)),
            Route("/sessions", self._guarded(self._sessions)),
            Route("/revocations", self._guarded(self._revocations)),
            Route("/revocations", self._guarded(self._revoke), methods=["POST"]),
            Route("/bans", self._guarded(self._bans)),
            Route("/bans", self._guarded(self._ban), methods=["POST"]),
            Route("/bans/{network:path}", self._guarded(self._lift), methods=["DELETE"]),
        ]

    def _guarded(self, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            try:
                self._check(request)
                return _json(200, await handler(request))
            except LinkdError as error:
                return _json(error.code, {"error": error_body(error)})

        return answer

    def _check(self, request: Request) -> None:
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        # Bytes: compare_digest refuses texts that are not ASCII.
        if scheme.lower() != "bearer" or not hmac.compare_digest(key.strip().encode(), self._key):
            self._guard.audit.record("admin_refused", address=request.client.host if request.client else None)
            raise UnauthorizedError("The admin key is missing or wrong.")

    async def _list_services(self, request: Request) -> object:
        return {"services": [_describe_service(service) for service in self._services]}

    async def _sessions(self, request: Request) -> object:
        user = request.query_params.get("user")
        limit = request.query_params.get("limit", "100")
        # The length first: int() refuses thousands of digits.
        if len(limit) > len(str(_MOST_LISTED)) or not limit.isdecimal() or not 1 <= int(limit) <= _MOST_LISTED:
            raise BadRequestError(f"limit is a number from 1 to {_MOST_LISTED}.")
        sessions = list(self._registry if user is None else self._registry.of_user(user))
        sessions.sort(key=lambda session: (session.connected_at, session.id))
        return {"total": len(sessions), "sessions": [_describe(session) for session in sessions[: int(limit)]]}

    async def _revocations(self, request: Request) -> object:
        return {"revocations": self._guard.revocations.all()}

    async def _revoke(self, request: Request) -> object:
        wanted = await _body(request, _Revoke)
        if sum(one is not None for one in (wanted.session, wanted.user, wanted.jti)) != 1:
            raise BadRequestError("Name one of session, user and jti.")
        if wanted.session is not None:
            closed = self._revoke_session(wanted.session)
        else:
            self._remember(user=wanted.user, jti=wanted.jti)
            closed = self._revoked.close()
        self._guard.audit.record("revoked", session=wanted.session, user=wanted.user, jti=wanted.jti)
        return {"closed": closed}

    def _revoke_session(self, id: str) -> int:
        session = self._registry.get(id)
        if session is None:
            raise NotFoundError("There is no such session.")
        jti = None if session.identity is None else session.identity.claims.get("jti")
        if isinstance(jti, str):
            # Without it the client would be back at once; a token without an id can only be revoked with its user.
            self._remember(user=None, jti=jti)
        return max(self._revoked.close(), close_all([session]))

    def _remember(self, *, user: str | None, jti: str | None) -> None:
        try:
            self._guard.revocations.revoke(user=user, jti=jti)
        except RevocationsFullError as cause:
            raise ConflictError("There are too many revocations to remember another.", type="FULL") from cause

    async def _bans(self, request: Request) -> object:
        return {"bans": self._guard.addresses.bans()}

    async def _ban(self, request: Request) -> object:
        wanted = await _body(request, _Ban)
        seconds = None if wanted.duration_ms is None else wanted.duration_ms / 1000
        try:
            ban = self._guard.addresses.ban(wanted.network, seconds, wanted.reason)
        except BansFullError as cause:
            raise ConflictError("There are too many bans to remember another.", type="FULL") from cause
        except ValueError as cause:
            raise BadRequestError(f"{cause}.") from cause
        closed = self._revoked.close_banned(self._guard.addresses.admits)
        self._guard.audit.record("banned", address=ban.network, reason=ban.reason)
        return {"ban": ban, "closed": closed}

    async def _lift(self, request: Request) -> object:
        try:
            lifted = self._guard.addresses.lift(request.path_params["network"])
        except ValueError as cause:
            raise BadRequestError(f"{cause}.") from cause
        if not lifted:
            raise NotFoundError("There is no such ban.")
        self._guard.audit.record("ban_lifted", address=request.path_params["network"])
        return {}


def _describe_service(service: Service) -> dict[str, Any]:
    return {
        "name": service.name,
        "path": service.path,
        "ready": service.ready,
        "instances": [
            {
                "id": instance.registration.instance,
                "version": instance.registration.version,
                "sessions": instance.sessions,
                "draining": instance.draining,
                "failing": list(instance.failing),
            }
            for instance in service.instances
        ],
    }


def _describe(session: Session) -> dict[str, Any]:
    return {
        "id": session.id,
        "user": None if session.identity is None else session.identity.user,
        "name": None if session.identity is None else session.identity.name,
        "path": session.path,
        "address": session.remote_address,
        "userAgent": session.user_agent,
        "connectedAt": round(session.connected_at * 1000),
        "limits": _limits(session.limits),
        "connected": session.connection is not None,
        "rooms": [f"{namespace}/{name}" for namespace, name in sorted(session.rooms)],
    }


def _limits(limits: PathLimits) -> dict[str, Any]:
    return {
        "maxMessageSize": limits.max_message_size,
        "maxConnectionsPerUser": limits.max_connections_per_user,
        "heartbeatIntervalMs": round(limits.heartbeat_interval * 1000),
        "idleTimeoutMs": None if limits.idle_timeout is None else round(limits.idle_timeout * 1000),
        "compression": limits.compression,
        "resumeWindowMs": round(limits.resume_window * 1000),
        "messageRate": None if limits.message_rate is None else limits.message_rate.text,
        "oneSessionPerUser": limits.one_session,
    }


async def _body(request: Request, type: Any) -> Any:
    raw = b""
    async for chunk in request.stream():
        raw += chunk
        if len(raw) > _MAX_BODY:
            raise PayloadTooLargeError(f"A request has at most {_MAX_BODY} bytes.")
    try:
        return msgspec.json.decode(raw, type=type)
    except (msgspec.DecodeError, RecursionError) as cause:
        raise BadRequestError(f"The body does not fit: {cause}.") from cause


def _json(status: int, body: object) -> Response:
    headers = {"Content-Type": "application/json", "Cache-Control": "no-store"}
    return Response(msgspec.json.encode(body), status_code=status, headers=headers)
