"""What an action answers: an HTTP response, or the result of a call."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from ..protocol.headers import check_header
from .conditional import entity_tag, http_date, is_current
from .validation import encode

_OF_THE_BODY = frozenset({"content-type", "content-encoding", "content-language", "content-range", "content-length"})


class Response:
    """An HTTP answer that is not plain JSON with status 200.

    Args:
        body: Bytes and text go as they are, anything else as JSON; ``None`` is empty.
        status: 200 to 599.
        content_type: What the body is; ``application/json`` for what was encoded here.
        headers: Further headers; a list of values is sent as a header each, such as two of ``Link``.
        etag: The entity tag; a GET or HEAD whose ``If-None-Match`` has it gets 304 without the body.
        last_modified: When the body changed, with a time zone; ``If-Modified-Since`` is answered likewise.
        cookies: Values of ``Set-Cookie``, each for a header of its own: they cannot be joined.

    Raises:
        ValueError: If HTTP cannot carry the status or a header (RFC 9110 §5).
        TypeError: If the body cannot be encoded.
    """

    __slots__ = ("_repeated", "body", "cookies", "headers", "status")

    def __init__(
        self,
        body: Any = None,
        *,
        status: int = 200,
        content_type: str | None = None,
        headers: Mapping[str, str | Sequence[str]] | None = None,
        cookies: Iterable[str] = (),
        etag: str | None = None,
        last_modified: datetime | None = None,
    ) -> None:
        if not 200 <= status <= 599:
            raise ValueError(f"a response's status lies between 200 and 599, not {status}")
        self.status = status
        self._repeated = {name: list(value) for name, value in (headers or {}).items() if not isinstance(value, str)}
        self.headers = {
            name: value if isinstance(value, str) else ", ".join(value) for name, value in (headers or {}).items()
        }
        self.cookies = [cookies] if isinstance(cookies, str) else list(cookies)
        if isinstance(body, bytes):
            self.body, default = body, "application/octet-stream"
        elif isinstance(body, str):
            self.body, default = body.encode(), "text/plain; charset=utf-8"
        else:
            self.body, default = encode(body), "application/json"
        if etag is not None:
            self.headers["ETag"] = entity_tag(etag)
        if last_modified is not None:
            self.headers["Last-Modified"] = http_date(last_modified)
        for name, value in self.headers.items():
            check_header(name, value)
        for cookie in self.cookies:
            check_header("Set-Cookie", cookie)
        given = any(name.lower() == "content-type" for name in self.headers)
        if content_type or (self.body and not given):
            self.headers["Content-Type"] = content_type or default

    @property
    def header_list(self) -> list[tuple[str, str]]:
        """All headers as they are sent, cookies included; repeated ones stand as often as they have values."""
        found: list[tuple[str, str]] = []
        for name, value in self.headers.items():
            values = self._repeated.get(name)
            # What middleware has put in their place since then counts.
            kept = values if values is not None and ", ".join(values) == value else [value]
            found.extend((name, each) for each in kept)
        found.extend(("Set-Cookie", cookie) for cookie in self.cookies)
        return found

    def as_json(self) -> bytes:
        """The body for another service's ``ctx.call``, which reads JSON: what is none becomes a string."""
        kinds = [value for name, value in self.headers.items() if name.lower() == "content-type"]
        if not self.body or kinds[:1] == ["application/json"]:
            return self.body
        try:
            return encode(self.body.decode())
        except UnicodeDecodeError:
            return encode(self.body)  # in base64

    def for_request(self, method: str, headers: Mapping[str, str]) -> Response:
        """What answers this request: 304 without a body where the client's copy is current, else the response.

        Args:
            method: Of the request.
            headers: Of the request, by lower-case name.
        """
        if method not in ("GET", "HEAD") or self.status != 200:
            return self
        if not is_current(headers, {name.lower(): value for name, value in self.headers.items()}):
            return self
        kept = {name: value for name, value in self.headers.items() if name.lower() not in _OF_THE_BODY}
        return Response(status=304, headers=kept, cookies=self.cookies)

    @classmethod
    def of(cls, result: Any) -> Response:
        """What a handler's result becomes: itself, 204 for ``None``, else JSON."""
        if isinstance(result, Response):
            return result
        return cls(status=204) if result is None else cls(encode(result), content_type="application/json")


def decode_result(data: bytes) -> Any:
    """What an action answered another service."""
    return msgspec.json.decode(data) if data else None
