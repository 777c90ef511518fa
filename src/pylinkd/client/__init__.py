"""A client in asyncio: it comes back after each break, and loses nothing, or says so. See docs/clients.md."""

from ..protocol.rooms import Position
from .client import Client, connect
from .errors import ConnectionLost, QueueFull, Sent, Timeout
from .events import Event, EventStream
from .presence import Member, Presence, PresenceChange
from .rooms import HistoryPage, Room
from .state import Failure, Gap, State, StateChange
from .tokens import Token, TokenReason, TokenSource

__all__ = [
    "Client",
    "ConnectionLost",
    "Event",
    "EventStream",
    "Failure",
    "Gap",
    "HistoryPage",
    "Member",
    "Position",
    "Presence",
    "PresenceChange",
    "QueueFull",
    "Room",
    "Sent",
    "State",
    "StateChange",
    "Timeout",
    "Token",
    "TokenReason",
    "TokenSource",
    "connect",
]
