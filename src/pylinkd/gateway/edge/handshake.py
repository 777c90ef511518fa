"""The opening handshake as a text: reading the request's head, writing a refusal (RFC 6455 §4.2). No I/O."""

from __future__ import annotations

import base64
import binascii
import urllib.parse
from collections.abc import Mapping
from http import HTTPStatus

import msgspec

from ...protocol.envelope import error_body
from ...protocol.errors import BadRequestError, LinkdError
from ..guard.door import TOKEN_PARAMETER, refusal_headers

_VERSION = "13"
_MAX_PARAMETERS = 32


class VersionRequiredError(LinkdError):
    """The client speaks another version of the WebSocket protocol (RFC 6455 §4.4)."""

    default_code = 426
    default_type = "UPGRADE_REQUIRED"
    default_message = "Only version 13 of the WebSocket protocol is spoken here."


class OpeningRequest(msgspec.Struct, frozen=True):
    """A client's opening handshake, checked.

    Attributes:
        path: Decoded path.
        tokens: What stands in the query as a token.
        metadata: Its other parameters; of one that is repeated, the first.
        headers: By lower-case name; repeated ones joined by ", " (RFC 9110 §5.3).
        key: Sec-WebSocket-Key.
        subprotocols: What the client offers, in its order.
    """

    path: str
    tokens: list[str]
    metadata: dict[str, str]
    headers: dict[str, str]
    key: str
    subprotocols: list[str]

    @classmethod
    def parse(cls, head: bytes) -> OpeningRequest:
        """Read the head of a request that asks for an upgrade to WebSocket.

        Raises:
            BadRequestError: If it is not a valid opening handshake.
            VersionRequiredError: If it is one of another version.
        """
        lines = head.decode("latin-1").split("\r\n")
        method, _, rest = lines[0].partition(" ")
        target = rest.rpartition(" ")[0]
        headers: dict[str, str] = {}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            name, value = name.strip().lower(), value.strip()
            if name == "host" and name in headers:
                raise BadRequestError("There are two Host headers.")
            if name:
                headers[name] = f"{headers[name]}, {value}" if name in headers else value
        if method != "GET":
            raise BadRequestError("An opening handshake is a GET request.")
        if "host" not in headers:
            raise BadRequestError("The Host header is missing.")
        if headers.get("sec-websocket-version") != _VERSION:
            raise VersionRequiredError()
        key = headers.get("sec-websocket-key", "")
        if not _is_key(key):
            raise BadRequestError("Sec-WebSocket-Key is not the base64 of 16 bytes.")
        path, parameters = parse_target(target)
        tokens = [value for name, value in parameters if name == TOKEN_PARAMETER]
        metadata = {name: value for name, value in reversed(parameters) if name != TOKEN_PARAMETER}
        offered = headers.get("sec-websocket-protocol", "")
        subprotocols = [name.strip() for name in offered.split(",") if name.strip()]
        return cls(path=path, tokens=tokens, metadata=metadata, headers=headers, key=key, subprotocols=subprotocols)


def parse_target(target: str) -> tuple[str, list[tuple[str, str]]]:
    """Path and query parameters of a request target.

    Raises:
        BadRequestError: If it is no path, or has too many parameters.
    """
    try:
        if target.startswith("/"):
            # Origin form (RFC 9112 §3.2.1). Not by urlsplit, to which "//host/path" names a host.
            path, _, query = target.partition("#")[0].partition("?")
        else:
            _, _, path, query, _ = urllib.parse.urlsplit(target)
        parameters = urllib.parse.parse_qsl(query, keep_blank_values=True, max_num_fields=_MAX_PARAMETERS)
    except ValueError as cause:
        raise BadRequestError("The request's target is not well formed.") from cause
    return urllib.parse.unquote(path), parameters


def _is_key(key: str) -> bool:
    try:
        return len(base64.b64decode(key, validate=True)) == 16
    except (binascii.Error, ValueError):
        return False


def canonical_head(key: str) -> bytes:
    """The shortest head with the same answer: what picows gets to see, and keeps."""
    return (
        "GET / HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"
        f"Sec-WebSocket-Version: {_VERSION}\r\nSec-WebSocket-Key: {key}\r\n\r\n"
    ).encode()


def refusal(error: LinkdError) -> bytes:
    """The HTTP answer that refuses an upgrade."""
    body = msgspec.json.encode({"error": error_body(error)})
    headers: Mapping[str, str] = {
        **refusal_headers(error),
        "Content-Length": str(len(body)),
        "Connection": "close",
    }
    lines = [f"HTTP/1.1 {error.code} {HTTPStatus(error.code).phrase}"]
    lines.extend(f"{name}: {value}" for name, value in headers.items())
    if isinstance(error, VersionRequiredError):
        lines.append(f"Sec-WebSocket-Version: {_VERSION}")
        lines.append("Upgrade: websocket")
    return "\r\n".join([*lines, "", ""]).encode() + body
