"""The states of a connection, and which may follow which.

CONNECTING ──▶ CONNECTED ◀──▶ AUTHENTICATED
    │              │  ╲          ╱  │
    │              │   DRAINING     │
    │              ▼      │         ▼
    ├─────────▶  CLOSING ◀┴──── (any of them)
    ▼              ▼
  ERROR ───────▶ CLOSED
"""

from __future__ import annotations

from enum import StrEnum


class State(StrEnum):
    """Where a connection is in its life.

    Members:
        CONNECTING: The opening handshake is under way.
        CONNECTED: Open, nobody signed in.
        AUTHENTICATED: Open, and known whose it is.
        DRAINING: Told to come back later; its messages are still answered, new ones are not taken.
        CLOSING: A close frame was sent.
        ERROR: Something broke; nothing more is sent.
        CLOSED: The transport is gone.
    """

    CONNECTING = "connecting"
    CONNECTED = "connected"
    AUTHENTICATED = "authenticated"
    DRAINING = "draining"
    CLOSING = "closing"
    ERROR = "error"
    CLOSED = "closed"


_OPEN = frozenset({State.CONNECTED, State.AUTHENTICATED, State.DRAINING})

TRANSITIONS: dict[State, frozenset[State]] = {
    State.CONNECTING: frozenset({State.CONNECTED, State.AUTHENTICATED, State.ERROR, State.CLOSED}),
    State.CONNECTED: frozenset({State.AUTHENTICATED, State.DRAINING, State.CLOSING, State.ERROR, State.CLOSED}),
    State.AUTHENTICATED: frozenset({State.CONNECTED, State.DRAINING, State.CLOSING, State.ERROR, State.CLOSED}),
    State.DRAINING: frozenset({State.CLOSING, State.ERROR, State.CLOSED}),
    State.CLOSING: frozenset({State.ERROR, State.CLOSED}),
    State.ERROR: frozenset({State.CLOSED}),
    State.CLOSED: frozenset(),
}
"""What may follow each state."""


class IllegalTransition(Exception):
    """The code tried what the table rules out: a fault of ours, never of a peer's."""

    def __init__(self, before: State, after: State) -> None:
        self.before = before
        self.after = after
        super().__init__(f"a {before} connection cannot become {after}")


class ConnectionState:
    """The state of one connection.

    Attributes:
        state: Where it is.
        open: Whether messages may be sent.
    """

    __slots__ = ("open", "state")

    def __init__(self) -> None:
        self.state = State.CONNECTING
        self.open = False

    def advance(self, state: State) -> None:
        """Go on to another state.

        Raises:
            IllegalTransition: If it may not follow the present one.
        """
        if state not in TRANSITIONS[self.state]:
            raise IllegalTransition(self.state, state)
        self.state = state
        self.open = state in _OPEN
