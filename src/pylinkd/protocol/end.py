"""Why a session ended."""

from __future__ import annotations

from enum import StrEnum


class EndReason(StrEnum):
    """Why a session ended; services and logs see the value."""

    CLIENT_CLOSED = "client_closed"
    CLIENT_LEFT = "client_left"
    """It closed with another code than 1000, as the page does that is left: it may come back to its session."""
    CONNECTION_LOST = "connection_lost"
    PROTOCOL_ERROR = "protocol_error"
    MESSAGE_TOO_BIG = "message_too_big"
    LIMIT = "limit"
    RATE_LIMITED = "rate_limited"
    TOO_MANY_CONNECTIONS = "too_many_connections"
    REPLACED = "replaced"
    TOKEN_EXPIRED = "token_expired"  # noqa: S105  no password
    REVOKED = "revoked"
    TIMEOUT = "timeout"
    IDLE = "idle"
    SLOW_CONSUMER = "slow_consumer"
    DISCONNECTED = "disconnected_by_service"
    REFUSED = "refused_by_service"
    SHUTDOWN = "gateway_shutdown"
    INTERNAL_ERROR = "internal_error"
    NOT_KEPT = "not_kept"
    """Its client was away, and the gateway could not keep it any longer."""
    GATEWAY_LOST = "gateway_lost"
    """Said by a service that finds a new gateway process: the old one can say nothing more."""
