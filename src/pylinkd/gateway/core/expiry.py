"""When the tokens of sessions end: a word ahead of it, and then the end. Unix time in seconds is an argument."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum

from .session import Session

_WIDTH = 16  # seconds of a bucket: few buckets even for tokens of an hour, and few sessions to look at


class Stage(Enum):
    """What is due."""

    EXPIRING = "expiring"
    EXPIRED = "expired"


class Expiry:
    """Watches sessions that have signed in. A session costs one entry, however often it renews its token.

    Args:
        lead: Seconds ahead of the end at which a client is warned.
        leeway: Seconds after the end until which it is let be: clocks differ.
    """

    def __init__(self, *, lead: float, leeway: float) -> None:
        self.lead = lead
        self.leeway = leeway
        self._buckets: dict[int, dict[Session, Stage]] = {}
        self._due: dict[Session, float] = {}
        self._granted: set[Session] = set()

    def watch(self, session: Session) -> None:
        """Watch the session's token, as it is now; it may have been watched before."""
        if self._granted:
            self._granted.discard(session)
        if session in self._due:
            self._take_out(session)
        identity = session.identity
        if identity is not None and identity.expires_at is not None and identity.expires_at < 2**53:
            self._put(session, identity.expires_at - self.lead, Stage.EXPIRING)

    def grant(self, session: Session, until: float) -> None:
        """The session's token has ended while nobody could be warned: it ends at this time. Once for each token, or a
        client that comes and goes would need none any more.
        """
        if session not in self._granted:
            self._take_out(session)
            self._put(session, until, Stage.EXPIRED)
            self._granted.add(session)

    def granted(self, session: Session) -> bool:
        """Whether that was done."""
        return session in self._granted

    def _put(self, session: Session, at: float, stage: Stage) -> None:
        self._due[session] = at
        number = int(at // _WIDTH)
        bucket = self._buckets.get(number)
        if bucket is None:
            bucket = self._buckets[number] = {}
        bucket[session] = stage

    def forget(self, session: Session) -> None:
        """Watch it no more."""
        self._granted.discard(session)
        self._take_out(session)

    def _take_out(self, session: Session) -> None:
        at = self._due.pop(session, None)
        if at is not None:
            bucket = self._buckets[int(at // _WIDTH)]
            del bucket[session]
            if not bucket:
                del self._buckets[int(at // _WIDTH)]

    def due(self, now: float) -> Iterator[tuple[Session, Stage]]:
        """Whose moment has come since the last call. The iterator has to be used up."""
        last = int(now // _WIDTH)
        for number in [number for number in self._buckets if number <= last]:
            for session, stage in list(self._buckets[number].items()):
                if self._due[session] > now:
                    continue
                self._take_out(session)
                assert session.identity is not None
                assert session.identity.expires_at is not None
                if stage is Stage.EXPIRING:
                    self._put(session, session.identity.expires_at + self.leeway, Stage.EXPIRED)
                yield session, stage

    def __len__(self) -> int:
        return len(self._due)
