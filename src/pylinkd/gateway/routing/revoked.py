"""Sessions and streamed answers whose tokens were revoked: they end, those whose clients are away as well."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ...protocol.close import CloseCode
from ...protocol.end import EndReason
from ..core.registry import Registry
from ..core.session import Session
from ..guard.revocations import Revocations
from .actions import Actions


class RevokedSessions:
    """Ends them.

    Args:
        registry: The sessions.
        actions: Have the streamed answers.
        revocations: What was revoked.
    """

    def __init__(self, registry: Registry, actions: Actions, revocations: Revocations) -> None:
        self._registry = registry
        self._actions = actions
        self._revocations = revocations

    def close(self) -> int:
        """End every session and answer whose token is believed no longer; how many there were."""
        covers = self._revocations.covers
        answers = self._actions.end_answers(lambda asker: asker.identity is not None and covers(asker.identity))
        return answers + close_all(one for one in self._registry if one.identity is not None and covers(one.identity))

    def close_banned(self, admits: Callable[[str], bool]) -> int:
        """End every session and answer of an address that is not let in any more; how many there were."""
        answers = self._actions.end_answers(lambda asker: not admits(asker.address))
        banned = [session for session in self._registry if not admits(session.remote_address)]
        return answers + close_all(banned, CloseCode.FORBIDDEN, "banned")


def close_all(sessions: Iterable[Session], code: CloseCode = CloseCode.UNAUTHORIZED, reason: str = "revoked") -> int:
    """End these sessions; how many were not ended already."""
    closed = 0
    for session in list(sessions):
        if session.connection is None or session.connection.open:
            session.close(code, reason, EndReason.REVOKED)
            closed += 1
    return closed
