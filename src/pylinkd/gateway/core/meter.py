"""What one session has used up of what it is allowed (guard/limits.py). Plain numbers, made with its first message."""

from __future__ import annotations


class Meter:
    """One session's.

    Attributes:
        exempt: Nothing is counted.
        messages: When its messages are paid off (guard/rates.py).
        bytes: The same for their bytes.
        broadcasts: The same for the events that its messages set off.
        strikes: The same for its refusals.
        handlers: The same for each message type whose handler has a rate of its own; ``None``: none has.
    """

    __slots__ = ("broadcasts", "bytes", "exempt", "handlers", "messages", "strikes")

    def __init__(self, exempt: bool) -> None:
        self.exempt = exempt
        self.messages = self.bytes = self.broadcasts = self.strikes = 0.0
        self.handlers: dict[str, float] | None = None
