"""Why a WebSocket ends, as a number, and whether its client should come back (RFC 6455 §7.4).

One table: gateway, services and the Python client take it from here, and tests hold the documentation and the client in
TypeScript to it.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum

from .errors import BadRequestError, LinkdError


class Reconnect(StrEnum):
    """What a client does after a close code, unless its user acts."""

    YES = "yes"
    """After a random delay, which doubles with each failure."""

    WITH_NEW_TOKEN = "with a new token"  # noqa: S105  no password
    """The token that it has is not believed, or no longer."""

    NO = "no"
    """The same would happen again."""


class CloseCode(IntEnum):
    """Close codes that Linkd sends; 4000 to 4999 are for private use."""

    NORMAL = 1000
    GOING_AWAY = 1001
    PROTOCOL_ERROR = 1002
    UNSUPPORTED_DATA = 1003
    INVALID_TEXT = 1007
    POLICY_VIOLATION = 1008
    MESSAGE_TOO_BIG = 1009
    INTERNAL_ERROR = 1011
    SERVICE_RESTART = 1012
    TRY_AGAIN_LATER = 1013
    UNAUTHORIZED = 4401
    FORBIDDEN = 4403
    IDLE = 4408
    REPLACED = 4409
    RESUMED = 4410
    RATE_LIMITED = 4429


ABNORMAL = 1006
"""What a client gets from its own library where no close frame came. It is never sent (RFC 6455 §7.4.1)."""

_RECONNECT: dict[int, Reconnect] = {
    CloseCode.GOING_AWAY: Reconnect.YES,
    ABNORMAL: Reconnect.YES,
    CloseCode.INTERNAL_ERROR: Reconnect.YES,
    CloseCode.SERVICE_RESTART: Reconnect.YES,
    CloseCode.TRY_AGAIN_LATER: Reconnect.YES,
    CloseCode.UNAUTHORIZED: Reconnect.WITH_NEW_TOKEN,
    CloseCode.IDLE: Reconnect.YES,
    CloseCode.RESUMED: Reconnect.YES,
}


def reconnect_after(code: int) -> Reconnect:
    """What a client does after this code; for one of a service's own: nothing unless the service says so."""
    return _RECONNECT.get(code, Reconnect.NO)


def check_service_code(code: int) -> int:
    """Return ``code`` if a service may close a session with it (RFC 6455 §7.4.2).

    Raises:
        BadRequestError: If it is neither 1000 nor one of those for applications.
    """
    if code != CloseCode.NORMAL and not 3000 <= code <= 4999:
        raise BadRequestError(f"A service closes with 1000 or 3000 to 4999, not with {code}.")
    return code


def close_code_for(error: LinkdError) -> CloseCode:
    """The close code that says the same as ``error``."""
    match error.code:
        case 401:
            return CloseCode.UNAUTHORIZED
        case 403:
            return CloseCode.FORBIDDEN
        case 429:
            return CloseCode.RATE_LIMITED
        case 503:
            return CloseCode.TRY_AGAIN_LATER
        case code if code < 500:
            return CloseCode.POLICY_VIOLATION
        case _:
            return CloseCode.INTERNAL_ERROR
