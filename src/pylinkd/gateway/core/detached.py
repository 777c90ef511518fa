"""Sessions whose clients are away, until when they are kept, and what is remembered of those that were not."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator
from typing import NamedTuple

from ...protocol.end import EndReason
from ...protocol.resume import NotResumed
from .resumption import good_generations
from .session import Session


class Detached:
    """The sessions without connection. Whoever was away for longest comes first.

    Args:
        end: Ends a session.
        relieve: Ends some, where more is kept for clients than may be.
    """

    def __init__(self, end: Callable[[Session, EndReason], None], relieve: Callable[[], None]) -> None:
        self._until: dict[Session, float] = {}
        self.end = end
        self.relieve = relieve

    @property
    def sessions(self) -> Collection[Session]:
        """All of them. Copy before doing anything that may end one."""
        return self._until

    def add(self, session: Session, until: float) -> None:
        """Its client is away; it is kept until this time, in seconds of one clock."""
        self._until[session] = until

    def remove(self, session: Session) -> bool:
        """It is back, or has ended; whether it was away."""
        return self._until.pop(session, None) is not None

    def due(self, now: float) -> list[Session]:
        """Those whose time is over."""
        return [session for session, until in self._until.items() if until <= now]

    def paused(self, seconds: float) -> None:
        """The gateway itself did nothing for so long: nobody could come back."""
        for session in self._until:
            self._until[session] += seconds

    def __iter__(self) -> Iterator[Session]:
        return iter(self._until)

    def __len__(self) -> int:
        return len(self._until)


class Remains(NamedTuple):
    """What is remembered of a session that ended.

    Attributes:
        generation: Of its last connection.
        oldest: As in Resumption.
        reason: Why it cannot be resumed.
        received: Counted messages that had come from its client.
        until: When it is forgotten.
    """

    generation: int
    oldest: int
    reason: NotResumed
    received: int
    until: float

    @property
    def good(self) -> range:
        """The generations whose tokens were good."""
        return good_generations(self.generation, self.oldest)


class Ended:
    """Remembers sessions that ended while their clients could have resumed them: these learn how far they came.

    Args:
        seconds: How long.
        most: How many; the latest.
    """

    def __init__(self, seconds: float, most: int) -> None:
        self._seconds = seconds
        self._most = most
        self._remains: OrderedDict[str, Remains] = OrderedDict()

    def add(self, session: Session, reason: NotResumed, now: float) -> None:
        """A session ended."""
        resumption = session.resumption
        assert resumption is not None
        self._remains[session.id] = Remains(
            resumption.generation, resumption.oldest, reason, resumption.received, now + self._seconds
        )
        while self._remains and (len(self._remains) > self._most or next(iter(self._remains.values())).until <= now):
            self._remains.popitem(last=False)

    def get(self, id: str) -> Remains | None:
        """What is remembered of a session."""
        return self._remains.get(id)

    def __len__(self) -> int:
        return len(self._remains)
