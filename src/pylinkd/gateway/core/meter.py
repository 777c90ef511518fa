"""What one session has used up of what it is allowed (guard/limits.py). Plain numbers, made with its first message."""

from __future__ import annotations

from typing import Protocol

from ...protocol.rate import Rate


class Account(Protocol):
    """What is counted together."""

    paid: float
    """When it is paid off."""


class Meter:
    """One session's.

    Attributes:
        exempt: Nothing is counted.
        messages: When its messages are paid off (guard/rates.py).
        bytes: The same for their bytes.
        controls: The same for its pings and pongs.
        broadcasts: The same for the events that its messages set off.
        strikes: The same for its refusals.
        user: The same for those of its user over all connections, shared by these; ``None``: nobody signed in.
        rate: How many messages it may send; ``None``: any number.
        handlers: The same for each message type whose handler has a rate of its own; ``None``: none has.
    """

    __slots__ = ("broadcasts", "bytes", "controls", "exempt", "handlers", "messages", "rate", "strikes", "user")

    def __init__(self, exempt: bool, rate: Rate | None) -> None:
        self.exempt = exempt
        self.rate = rate
        self.messages = self.bytes = self.controls = self.broadcasts = self.strikes = 0.0
        self.user: Account | None = None
        self.handlers: dict[str, float] | None = None
