"""What goes wrong between a client and its server, beside what the server answers."""

from __future__ import annotations

from typing import Literal

from ..protocol.errors import LinkdError

Sent = bool | Literal["unknown"]
"""Whether a message reached the server; ``unknown``: nobody can say."""


class ConnectionLost(LinkdError):
    """The session was lost before the answer came.

    Attributes:
        sent: Whether the message reached the server, which then may have handled it.
    """

    default_code = 503
    default_type = "CONNECTION_LOST"

    def __init__(self, reason: str, sent: Sent) -> None:
        super().__init__(reason)
        self.sent = sent


class Timeout(LinkdError):
    """No answer came in time.

    Attributes:
        sent: Whether the message was sent. One that was not will not be.
    """

    default_code = 408
    default_type = "TIMEOUT"
    default_message = "No answer came in time."

    def __init__(self, sent: bool) -> None:
        super().__init__()
        self.sent = sent


class QueueFull(LinkdError):
    """Too much waits for a connection already; the message was not taken."""

    default_code = 503
    default_type = "QUEUE_FULL"
    default_message = "Too much waits to be sent."
