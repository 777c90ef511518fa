"""How a client asks to go on with a session: the offer in its opening handshake, and why that could not be.

A client that can resume offers the subprotocol ``linkd.resume`` beside one of ours; one that comes back offers
``linkd.resume.<token>.<received>``. Neither is ever chosen. A page can say nothing else in a handshake.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

import msgspec

RESUME_SUBPROTOCOL = "linkd.resume"
"""The subprotocol of a client that can resume; with a token and a number behind it, of one that does."""

MAX_COUNT = 2**53 - 1
"""The largest number of messages that is counted to: what every language holds exactly."""


class NotResumed(StrEnum):
    """Why a session did not go on, as ``linkd.welcome`` says it.

    Members:
        UNKNOWN: No such token, or not any more: it was used, or the gateway is another process.
        EXPIRED: The client was away for longer than sessions are kept.
        OVERFLOW: More was sent to it than is kept.
        EVICTED: The gateway had to make room.
        USER: The session is another user's than the token of this handshake.
        PATH: The session was opened on another path.
        FORMAT: The session's messages are written in the other encoding.
        RANGE: The client has received more than it was sent, or less than it has acknowledged.
        CLOSED: The session was ended.
    """

    UNKNOWN = "unknown"
    EXPIRED = "expired"
    OVERFLOW = "overflow"
    EVICTED = "evicted"
    USER = "user"
    PATH = "path"
    FORMAT = "format"
    RANGE = "range"
    CLOSED = "closed"


class ResumeOffer(msgspec.Struct, frozen=True, gc=False):
    """What a client that can resume says in its opening handshake.

    Attributes:
        token: From the last ``linkd.welcome``; empty: it asks for a new session.
        received: Counted messages of that session that it has got; ``None``: what it says is no such number.
    """

    token: str = ""
    received: int | None = 0


def read_offer(subprotocols: Iterable[str]) -> ResumeOffer | None:
    """The offer among these subprotocols; ``None``: the client cannot resume. Of several the last counts."""
    found = None
    for name in subprotocols:
        if name == RESUME_SUBPROTOCOL:
            found = ResumeOffer()
        elif name.startswith(f"{RESUME_SUBPROTOCOL}."):
            token, _, count = name[len(RESUME_SUBPROTOCOL) + 1 :].partition(".")
            found = ResumeOffer(token or "?", _count(count))
    return found


def offer(token: str, received: int) -> str:
    """The subprotocol of a client that comes back."""
    return f"{RESUME_SUBPROTOCOL}.{token}.{received}"


def _count(text: str) -> int | None:
    # int() alone would take signs, spaces, underscores and the digits of other scripts.
    if text.isascii() and text.isdigit() and len(text) <= 16:
        count = int(text)
        return count if count <= MAX_COUNT else None
    return None
