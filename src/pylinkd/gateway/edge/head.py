"""The head of a request: how it is read, and why it may be refused. No I/O."""

from __future__ import annotations

from collections.abc import Iterable

from ...protocol.errors import BadRequestError, LinkdError

Fields = Iterable[tuple[bytes, bytes]]
"""Names, in lower case, and values of headers."""


class HeadTooLargeError(LinkdError):
    """The request's head exceeds the limit (RFC 6585 §5)."""

    default_code = 431
    default_type = "HEAD_TOO_LARGE"
    default_message = "The request's head is too large."


class HeadTimeoutError(LinkdError):
    """The request's head did not arrive in time."""

    default_code = 408
    default_type = "TIMEOUT"
    default_message = "The request's head took too long."


class HttpVersionError(LinkdError):
    """The request is in another major version of HTTP (RFC 9110 §15.6.6)."""

    default_code = 505
    default_type = "HTTP_VERSION_NOT_SUPPORTED"
    default_message = "Only HTTP/1.1 is spoken here."


def check_version(version: bytes) -> None:
    """Check the version of HTTP in a request line.

    Raises:
        HttpVersionError: If its major version is another.
    """
    if not version.startswith(b"1."):
        raise HttpVersionError()


def head_size(target: bytes, fields: Fields) -> int:
    """Bytes of a request's head, but for the method and the version."""
    return len(target) + sum(len(name) + len(value) + 4 for name, value in fields)


def joined(fields: Fields) -> dict[str, str]:
    """Headers by lower-case name. Repeated ones are joined by ", " (RFC 9110 §5.3), cookies by "; " (RFC 6265 §5.4).

    Raises:
        BadRequestError: If there are two ``Host`` headers.
    """
    headers: dict[str, str] = {}
    for raw_name, raw_value in fields:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1").strip()
        if name not in headers:
            headers[name] = value
        elif name == "host":
            raise BadRequestError("There are two Host headers.")
        else:
            headers[name] = f"{headers[name]}{'; ' if name == 'cookie' else ', '}{value}"
    return headers


def options(fields: Fields, name: bytes) -> list[bytes]:
    """The elements of a list-valued header, in lower case, of all its lines (RFC 9110 §5.6.1)."""
    lines = [value for found, value in fields if found == name]
    return [option for line in lines for option in (part.strip().lower() for part in line.split(b",")) if option]


def wants_websocket(fields: Fields) -> bool:
    """Whether a head asks for an upgrade to WebSocket, among others perhaps; any other is ignored (RFC 9110 §7.8)."""
    return b"websocket" in options(fields, b"upgrade") and b"upgrade" in options(fields, b"connection")


def split_target(method: bytes, target: bytes) -> tuple[bytes | None, bytes, bytes]:
    """Authority, if the target names one, path and query of a request's target (RFC 9112 §3.2).

    Raises:
        BadRequestError: If it is none of the four forms.
    """
    authority = None
    if b"#" in target:
        raise BadRequestError("A request's target has no fragment.")
    if target.startswith(b"/"):
        rest = target
    elif method == b"CONNECT":
        return target, b"/", b""
    elif method == b"OPTIONS" and target == b"*":
        return None, b"*", b""
    else:
        scheme, mark, rest = target.partition(b"://")
        if not mark or scheme.lower() not in (b"http", b"https", b"ws", b"wss"):
            raise BadRequestError("The request's target is not well formed.")
        end = min((at for at in (rest.find(b"/"), rest.find(b"?")) if at >= 0), default=len(rest))
        authority, rest = rest[:end], rest[end:]
        if not authority:
            raise BadRequestError("The request's target names no host.")
        rest = rest if rest.startswith(b"/") else b"/" + rest
    path, _, query = rest.partition(b"?")
    return authority, path, query
