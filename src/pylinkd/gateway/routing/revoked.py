"""Sessions whose tokens were revoked: they end, those whose clients are away as well."""

from __future__ import annotations

from collections.abc import Iterable

from ...protocol.close import CloseCode
from ...protocol.end import EndReason
from ..core.registry import Registry
from ..core.session import Session
from ..guard.revocations import Revocations


class RevokedSessions:
    """Ends them.

    Args:
        registry: The sessions.
        revocations: What was revoked.
    """

    def __init__(self, registry: Registry, revocations: Revocations) -> None:
        self._registry = registry
        self._revocations = revocations

    def close(self) -> int:
        """End every session whose token is believed no longer; how many there were."""
        covers = self._revocations.covers
        return close_all(one for one in self._registry if one.identity is not None and covers(one.identity))


def close_all(sessions: Iterable[Session], code: CloseCode = CloseCode.UNAUTHORIZED, reason: str = "revoked") -> int:
    """End these sessions; how many were not ended already."""
    closed = 0
    for session in list(sessions):
        if session.connection is None or session.connection.open:
            session.close(code, reason, EndReason.REVOKED)
            closed += 1
    return closed
