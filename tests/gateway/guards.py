"""A guard that lets everybody in, but for what a test forbids."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from pylinkd.gateway.guard.credentials import Credentials
from pylinkd.gateway.guard.door import Approach, Door
from pylinkd.gateway.guard.guard import Guard, GuardSettings
from pylinkd.gateway.settings import DEVELOPMENT_SECRET

ADDRESS = "192.0.2.7"


def make_guard(**options: Any) -> Guard:
    """A guard with the development secret; ``options`` as GuardSettings has them."""
    return Guard(GuardSettings(**{"secret": DEVELOPMENT_SECRET, **options}), time.time, time.monotonic)


def make_door(
    guard: Guard | None = None,
    *,
    knows: Callable[[str], bool] = lambda path: True,
    takes_sessions: Callable[[str], bool] = lambda path: True,
    open: Callable[[], bool] = lambda: True,
) -> Door:
    """The door of a guard, or of one that lets everybody in."""
    return (guard or make_guard()).door(knows=knows, takes_sessions=takes_sessions, open=open)


def approach(
    path: str = "/ws/chat",
    *,
    address: str = ADDRESS,
    host: str = "chat.example",
    origin: str | None = None,
    **credentials: Any,
) -> Approach:
    """A client before the door; ``credentials`` as Credentials has them."""
    return Approach(path=path, address=address, host=host, origin=origin, credentials=Credentials(**credentials))
