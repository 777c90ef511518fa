"""The opening handshake as a text: reading the request's head, writing the answer (RFC 6455 §4.2). No I/O."""

from __future__ import annotations

import urllib.parse
from binascii import Error as Base64Error
from binascii import a2b_base64, b2a_base64
from collections.abc import Mapping
from hashlib import sha1
from http import HTTPStatus
from typing import NamedTuple

import msgspec

from ...protocol.close import close_code_for
from ...protocol.envelope import SUBPROTOCOLS, error_body
from ...protocol.errors import BadRequestError, LinkdError
from ...protocol.resume import read_offer
from ..core.frames import close_frame
from ..guard.credentials import TOKEN_PARAMETER
from ..guard.door import refusal_headers
from .head import Fields, check_version, joined, split_target

_VERSION = "13"
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 §1.3
_MAX_PARAMETERS = 32


class VersionRequiredError(LinkdError):
    """The client speaks another version of the WebSocket protocol (RFC 6455 §4.4)."""

    default_code = 426
    default_type = "UPGRADE_REQUIRED"
    default_message = "Only version 13 of the WebSocket protocol is spoken here."


class Head(NamedTuple):
    """The head of a request, as HTTP's parser leaves it.

    Attributes:
        method: Of the request.
        target: As it was sent.
        fields: Names, in lower case, and values of its headers.
        peer: Who opened the connection; empty where it has no address.
        version: Of HTTP.
    """

    method: bytes
    target: bytes
    fields: Fields
    peer: str = ""
    version: str = "1.1"


class OpeningRequest(msgspec.Struct, frozen=True):
    """A client's opening handshake, checked.

    Attributes:
        path: Decoded path.
        tokens: What stands in the query as a token.
        metadata: Its other parameters; of one that is repeated, the first.
        headers: By lower-case name, as ``joined`` makes them.
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
    def of(cls, head: Head) -> OpeningRequest:
        """Read the head of a request that asks for an upgrade to WebSocket.

        Raises:
            BadRequestError: If it is not a valid opening handshake.
            HttpVersionError: If it is in another major version of HTTP.
            VersionRequiredError: If it is one of another version of the WebSocket protocol.
        """
        headers = joined(head.fields)
        if head.version != "1.1":
            check_version(head.version.encode())
            raise BadRequestError("An upgrade needs HTTP/1.1.")
        if head.method != b"GET":
            raise BadRequestError("An opening handshake is a GET request.")
        if "transfer-encoding" in headers or headers.get("content-length", "0").strip("0"):
            raise BadRequestError("An opening handshake has no body.")  # it would be read as frames
        if "host" not in headers:
            raise BadRequestError("The Host header is missing.")
        if headers.get("sec-websocket-version") != _VERSION:
            raise VersionRequiredError()
        key = headers.get("sec-websocket-key", "")
        if not _is_key(key):
            raise BadRequestError("Sec-WebSocket-Key is not the base64 of 16 bytes.")
        authority, path, query = split_target(head.method, head.target)
        if authority is not None:  # it counts instead of the Host header (RFC 9112 §3.2.2)
            headers["host"] = authority.decode("latin-1")
        parameters = parse_query(query.decode("latin-1"))
        tokens = [value for name, value in parameters if name == TOKEN_PARAMETER]
        metadata = {name: value for name, value in reversed(parameters) if name != TOKEN_PARAMETER}
        offered = headers.get("sec-websocket-protocol", "")
        subprotocols = [name.strip() for name in offered.split(",") if name.strip()]
        return cls(
            path=urllib.parse.unquote(path.decode("latin-1")),
            tokens=tokens,
            metadata=metadata,
            headers=headers,
            key=key,
            subprotocols=subprotocols,
        )


def parse_query(query: str) -> list[tuple[str, str]]:
    """Names and values of a target's query.

    Raises:
        BadRequestError: If there are too many.
    """
    if "%" in query or "+" in query:
        try:
            return urllib.parse.parse_qsl(query, keep_blank_values=True, max_num_fields=_MAX_PARAMETERS)
        except ValueError as cause:
            raise _too_many_parameters() from cause
    # Nearly always: nothing is escaped, and it takes a fifth of the time.
    parts = [part for part in query.split("&") if part]
    if len(parts) > _MAX_PARAMETERS:
        raise _too_many_parameters()
    return [(name, value) for name, _, value in (part.partition("=") for part in parts)]


def _too_many_parameters() -> BadRequestError:
    return BadRequestError(f"The request's target has more than {_MAX_PARAMETERS} parameters.")


def _is_key(key: str) -> bool:
    try:
        return len(a2b_base64(key, strict_mode=True)) == 16
    except (Base64Error, ValueError):
        return False


def acceptance(key: str, subprotocol: str | None, extensions: str | None) -> bytes:
    """The HTTP answer that completes the handshake (RFC 6455 §4.2.2).

    Args:
        key: The client's Sec-WebSocket-Key.
        subprotocol: The one that was chosen; ``None``: none.
        extensions: What was agreed on; ``None``: nothing.
    """
    accept = b2a_base64(sha1(key.encode() + _GUID, usedforsecurity=False).digest(), newline=False).decode()
    head = (
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Accept: {accept}\r\n"
    )
    if subprotocol is not None:
        head += f"Sec-WebSocket-Protocol: {subprotocol}\r\n"
    if extensions is not None:
        head += f"Sec-WebSocket-Extensions: {extensions}\r\n"
    return f"{head}\r\n".encode()


_VISIBLE = {401, 503}


def visible_refusal(request: OpeningRequest, error: LinkdError) -> bytes | None:
    """The answer that refuses a handshake so that a page can see why; ``None``: a plain one will do.

    A browser says 1006 to the script whatever the status was. So a client that can resume, which all are that come back
    by themselves, is let in where it has to know whether to get another token, or that its service is away, and is
    closed at once, in the same write and without a session. It costs no more than the plain answer.
    """
    offered = request.subprotocols
    chosen = next((name for name in SUBPROTOCOLS if name in offered), None)
    if error.code not in _VISIBLE or chosen is None or read_offer(offered) is None:
        return None
    return acceptance(request.key, chosen, None) + close_frame(close_code_for(error), error.message)


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
