"""Why a plain request is not taken, or not completed. No I/O."""

from __future__ import annotations

import h11

from ...protocol.errors import BadRequestError, LinkdError
from .head import HeadTooLargeError, check_version, options


class BodyTimeoutError(LinkdError):
    """The request's body did not arrive in time."""

    default_code = 408
    default_type = "TIMEOUT"
    default_message = "The request's body took too long."


class AnswerTimeoutError(LinkdError):
    """Nobody answered the request in time (RFC 9110 §15.6.5)."""

    default_code = 504
    default_type = "TIMEOUT"
    default_message = "The answer took too long."


class NotImplementedHereError(LinkdError):
    """The request uses a transfer coding that the gateway does not know (RFC 9112 §6.1)."""

    default_code = 501
    default_type = "NOT_IMPLEMENTED"
    default_message = "Only the transfer coding chunked is known here."


def check_framing(event: h11.Request, fields: list[tuple[bytes, bytes]]) -> None:
    """Refuse what another server might read as another request (RFC 9112 §6.1, §6.3).

    Raises:
        BadRequestError: If it is such a request.
        HttpVersionError: If it is in another major version of HTTP.
    """
    check_version(event.http_version)
    names = {name for name, _ in fields}
    if b"transfer-encoding" in names and (b"content-length" in names or event.http_version < b"1.1"):
        raise BadRequestError("The length of the request's body is ambiguous.")
    if event.http_version < b"1.1" and b"upgrade" in options(fields, b"connection"):
        raise BadRequestError("An upgrade needs HTTP/1.1.")


def protocol_error(error: h11.RemoteProtocolError) -> LinkdError:
    """What h11 refuses, as an answer."""
    if error.error_status_hint == 431:
        return HeadTooLargeError()
    if error.error_status_hint == 501:
        return NotImplementedHereError()
    return BadRequestError("The request is not valid HTTP/1.1.")
