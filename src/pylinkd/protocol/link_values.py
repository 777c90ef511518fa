"""Errors and identities in frames of the link."""

from __future__ import annotations

from typing import Any

import msgspec

from .errors import LinkdError, error_class
from .identity import Identity
from .link_pb2 import Failure
from .link_pb2 import Identity as WireIdentity


def fill_failure(failure: Failure, error: LinkdError) -> None:
    """Write ``error`` into a frame's failure.

    Raises:
        TypeError: If ``error.details`` cannot be written as JSON.
    """
    failure.code = error.code
    failure.type = error.type
    failure.message = error.message
    if error.details:
        failure.details = msgspec.json.encode(error.details)
    if error.retry_after is not None:
        failure.retry_after_ms = max(1, round(error.retry_after * 1000))


def read_failure(failure: Failure) -> LinkdError:
    """The error that a peer sent, of the class that it was raised as.

    Bad codes, types and details of a faulty peer become plain ones.
    """
    try:
        details: dict[str, Any] | None = (
            msgspec.json.decode(failure.details, type=dict[str, Any]) if failure.details else None
        )
        return error_class(failure.code, failure.type)(
            failure.message,
            code=failure.code,
            type=failure.type,
            details=details,
            retry_after=failure.retry_after_ms / 1000 if failure.retry_after_ms else None,
        )
    except (ValueError, msgspec.DecodeError, RecursionError):
        return LinkdError("The service answered with an error that is not well formed.")


def fill_identity(wire: WireIdentity, identity: Identity) -> None:
    """Write ``identity`` into a frame."""
    wire.user = identity.user
    wire.name = identity.name
    if identity.roles:
        wire.roles.extend(sorted(identity.roles))
    wire.claims = msgspec.json.encode(identity.claims)
    # What lies beyond the range of the field is an issuer's way of saying "never".
    if identity.expires_at is not None and identity.expires_at < 2**53:
        wire.expires_at_ms = round(identity.expires_at * 1000)


def read_identity(wire: WireIdentity) -> Identity:
    """The identity that a frame carries."""
    return Identity(
        user=wire.user,
        name=wire.name,
        roles=frozenset(wire.roles),
        claims=msgspec.json.decode(wire.claims, type=dict[str, Any]) if wire.claims else {},
        expires_at=wire.expires_at_ms / 1000 if wire.expires_at_ms else None,
    )
