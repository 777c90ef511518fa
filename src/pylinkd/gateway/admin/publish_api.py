"""``POST /linkd/v1/publish``: events for clients from programs in any language, with an API key."""

from __future__ import annotations

import math
from collections.abc import Callable

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ...protocol.envelope import error_body
from ...protocol.errors import (
    BadRequestError,
    LinkdError,
    PayloadTooLargeError,
    RateLimitedError,
    UnauthorizedError,
)
from ..core.traffic import Traffic
from ..guard.api_keys import ApiKey, ApiKeys
from ..guard.audit import Audit
from .idempotency import StoredAnswers
from .published_events import PostedEvents, PublishedEvents, read_events

_MAX_BODY = 2**20  # bytes
_LONGEST_KEY = 255  # characters of an Idempotency-Key

_OUTCOMES = {"RATE_LIMITED": "rate_limited", "KEY_REUSED": "key_reused"}
"""Types of errors that are outcomes of their own; every other is ``failed``."""


class PublishApi:
    """The route, and what guards it.

    From the look at the stored answers to the new answer in its place nothing is awaited: requests with the same
    idempotency key wait for each other, and one whose client goes away is carried out as a whole or not at all.

    Args:
        keys: What requests have to show, as a bearer token.
        events: Publishes what was posted.
        audit: Records keys that are refused.
        traffic: Counts requests.
        monotonic: Seconds that never go back.
    """

    def __init__(
        self,
        keys: ApiKeys,
        events: PublishedEvents,
        *,
        audit: Audit,
        traffic: Traffic,
        monotonic: Callable[[], float],
    ) -> None:
        self._keys = keys
        self._events = events
        self._audit = audit
        self._traffic = traffic
        self._monotonic = monotonic
        self._answers = StoredAnswers()
        self.routes = [Route("/linkd/v1/publish", self._post, methods=["POST"])]

    async def _post(self, request: Request) -> Response:
        key = self._keys.find(request.headers.get("authorization", ""))
        if key is None:
            address = request.client.host if request.client else None
            self._audit.record("api_key_refused", address=address)
            self._count("", "refused")
            return _refusal(UnauthorizedError("The API key is missing or wrong."))
        try:
            body = await _body(request)
            return self._carry_out(key, _idempotency_key(request), body)
        except LinkdError as error:
            self._count(key.name, _OUTCOMES.get(error.type, "failed"))
            return _refusal(error)

    def _carry_out(self, key: ApiKey, idempotency_key: str | None, body: bytes) -> Response:
        now = self._monotonic()
        posted = read_events(body)
        if wait := self._keys.take(key, len(posted.events), now):
            raise RateLimitedError("The API key has sent too many events.", retry_after=wait)
        if idempotency_key is not None:
            stored = self._answers.find(key.name, idempotency_key, body, now)
            if stored is not None:
                self._count(key.name, "repeated")
                return _json(200, stored)
        answer, published = self._publish(key, posted)
        # Where nothing was sent, a repetition with the same key tries again.
        if idempotency_key is not None and published:
            self._answers.keep(key.name, idempotency_key, body, answer, now)
        self._count(key.name, "published" if published == len(posted.events) else "partly" if published else "failed")
        return _json(200, answer)

    def _publish(self, key: ApiKey, posted: PostedEvents) -> tuple[bytes, int]:
        """The answer, and how many of the events were published."""
        if not posted.batch:
            return msgspec.json.encode(self._events.publish(key, posted.events[0])), 1
        results = [self._events.answer(key, event) for event in posted.events]
        return msgspec.json.encode({"results": results}), sum("error" not in result for result in results)

    def _count(self, name: str, outcome: str) -> None:
        self._traffic.api_requests[name, outcome] += 1


def _idempotency_key(request: Request) -> str | None:
    """The request's idempotency key; ``None``: it has none.

    Raises:
        BadRequestError: If it is malformed.
    """
    keys = request.headers.getlist("idempotency-key")
    if not keys:
        return None
    if len(keys) > 1 or not 1 <= len(keys[0]) <= _LONGEST_KEY or not keys[0].isascii() or not keys[0].isprintable():
        raise BadRequestError(f"Idempotency-Key is one line of 1 to {_LONGEST_KEY} printable ASCII characters.")
    return keys[0]


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MAX_BODY:
            raise PayloadTooLargeError(f"A request has at most {_MAX_BODY} bytes.")
    return bytes(body)


def _refusal(error: LinkdError) -> Response:
    response = _json(error.code, msgspec.json.encode({"error": error_body(error)}))
    if error.code == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    if error.retry_after is not None:
        response.headers["Retry-After"] = str(math.ceil(error.retry_after))
    return response


def _json(status: int, body: bytes) -> Response:
    headers = {"Content-Type": "application/json", "Cache-Control": "no-store"}
    return Response(body, status_code=status, headers=headers)
