"""What a client says of itself."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class State(StrEnum):
    """Whether there is a connection.

    Members:
        IDLE: The client was not entered yet.
        CONNECTING: An attempt is under way.
        OPEN: Messages go to and fro.
        WAITING: The next attempt is made later.
        CLOSED: By the application, or by a server that does not want the client back.
    """

    IDLE = "idle"
    CONNECTING = "connecting"
    OPEN = "open"
    WAITING = "waiting"
    CLOSED = "closed"


class StateChange(msgspec.Struct, frozen=True):
    """A client is in another state.

    Attributes:
        state: The new one.
        reason: Why, for people who debug.
        code: The close code of the last connection; 1006: it broke. ``None``: there was none.
        retry_in: Seconds until the next attempt.
    """

    state: State
    reason: str = ""
    code: int | None = None
    retry_in: float | None = None


class Gap(msgspec.Struct, frozen=True):
    """Events were lost: read the state anew.

    Attributes:
        reason: ``dropped``: they were read too slowly. With a room: why its history began anew, or ``missed``. Else why
            the session was lost, as ``linkd.welcome`` says it; ``not_kept``: the server keeps none, ``fault``: it sent
            what cannot be.
        events: Of those that were dropped, how many.
        room: The room that they were of. Rooms that load their state by themselves are not named here.
    """

    reason: str
    events: int | None = None
    room: str | None = None


class Failure(msgspec.Struct, frozen=True):
    """An error that nobody waits for.

    Attributes:
        error: What was raised.
        source: What failed: the type that a handler is for, ``send``, ``token`` and so on.
    """

    error: Exception
    source: str
