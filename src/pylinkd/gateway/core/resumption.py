"""What a session needs to go on over another connection: both its streams of messages, counted.

Counted is every complete message whose type does not begin with ``linkd.``, in both directions, answers and errors
included. No number travels with a message: both sides count, and ``linkd.ack`` compares. A message for the client has
its place in the count once it was handed to a connection. Until the client has acknowledged it, it is kept here; a
client that comes back says how many it has, and gets those that follow once more.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from ...protocol.resume import NotResumed
from .broadcast import SharedFrame

_SLOT_COST = 16  # bytes that one more place costs for a frame: a slot in a list, and what the list has to spare
_FRAME_COST = _SLOT_COST + sys.getsizeof(b"")  # bytes that a frame costs beside its own
_MOST_GOOD = 16  # tokens of a session that are good at a time
_SHARED_BY = 32  # sessions at least (delivery.py), each of which is charged a part


class StreamError(Exception):
    """The client acknowledges what cannot be; the text says what.

    Args:
        drifted: Whether the two sides have counted differently, which no client that follows the protocol causes.
    """

    def __init__(self, text: str, *, drifted: bool = False) -> None:
        super().__init__(text)
        self.drifted = drifted


class Retention:
    """How much may be kept for clients that have not acknowledged it, and how much is.

    Args:
        limit: Bytes, all sessions together. Of a frame that many sessions share each is charged a part.
        session_bytes: Bytes that were handed to one session's connection.
        session_messages: Messages of one session.
        away_bytes: Bytes that may wait for a client that is away, beside those that were on their way to it.
        confirm_after: Messages of a client, after which it is told at once that they came.

    Attributes:
        held: Bytes that are kept now.
    """

    __slots__ = ("away_bytes", "confirm_after", "held", "limit", "session_bytes", "session_messages")

    def __init__(
        self,
        limit: int = 64 * 2**20,
        *,
        session_bytes: int = 2**20,
        session_messages: int = 1000,
        away_bytes: int = 256 * 1024,
        confirm_after: int = 64,
    ) -> None:
        self.limit = limit
        self.session_bytes = session_bytes
        self.session_messages = session_messages
        self.away_bytes = away_bytes
        self.confirm_after = confirm_after
        self.held = 0


class Resumption:
    """The two counted streams of one session.

    Args:
        retention: How much may be kept.

    Attributes:
        frames: What was handed to a connection and is not acknowledged, oldest first.
        size: Bytes of it.
        mixed: Some of it may be shared with other sessions.
        acknowledged: Counted messages that the client has said to have got.
        received: Counted messages that came from the client.
        confirmed: Of these, how many the client knows to have come.
        attention: When ``received`` is as much, ``attend`` is due.
        generation: Of the present connection: the number of connections that the session has had.
        oldest: The oldest generation whose token is good as well, until the client is heard; 0: none.
        confirming: The client is due an acknowledgement, as soon as it takes one.
        lost: Why the session cannot be resumed any more; ``None``: it can.
        waiting: What it costs to keep what is sent while the client is away (outbox.py).
    """

    __slots__ = (
        "acknowledged",
        "attention",
        "confirmed",
        "confirming",
        "frames",
        "generation",
        "lost",
        "mixed",
        "oldest",
        "received",
        "retention",
        "size",
        "waiting",
    )

    def __init__(self, retention: Retention) -> None:
        self.retention = retention
        self.frames: list[bytes] = []
        self.size = self.waiting = 0
        self.mixed = False
        self.acknowledged = self.received = self.confirmed = 0
        self.attention = 1
        self.generation = 1
        self.oldest = 0
        self.confirming = False
        self.lost: NotResumed | None = None

    # to the client

    @property
    def written(self) -> int:
        """Counted messages that were handed to a connection since the session began."""
        return self.acknowledged + len(self.frames)

    def wrote(self, frames: list[bytes]) -> None:
        """These counted messages, oldest first, were handed to the connection. (delivery.py does the same for an event
        to many, written out.)
        """
        if self.lost is not None:
            self.acknowledged += len(frames)
            return
        kept, retention = self.frames, self.retention
        if len(frames) == 1 and type(frames[0]) is bytes:  # nearly always
            kept.append(frames[0])
            size = len(frames[0])
            cost = size + _FRAME_COST
        else:
            kept += frames
            size = sum(map(len, frames))
            cost = cost_of(frames)
            self.mixed = True
        self.size += size
        retention.held += cost
        if self.size > retention.session_bytes or len(kept) > retention.session_messages:
            self.lose(NotResumed.OVERFLOW)

    def acknowledge(self, received: int, sent: int) -> None:
        """The client has got so many counted messages, and sent so many.

        Raises:
            StreamError: If that cannot be. Nothing changed.
        """
        if sent != self.received:
            text = f"{sent} messages were sent by the client's count, and {self.received} came"
            raise StreamError(text, drifted=True)
        if received > self.written:
            raise StreamError(f"{received} messages are acknowledged, and {self.written} were sent")
        if self.lost is None:  # else what was acknowledged is not known any more
            if received < self.acknowledged:
                raise StreamError(f"{received} messages are acknowledged, and {self.acknowledged} were before")
            self._let_go(received - self.acknowledged)

    def reaches(self, received: int) -> bool:
        """Whether a client that has got so many can be sent all that follow."""
        return self.acknowledged <= received <= self.written

    def rewind(self, received: int) -> list[bytes]:
        """The client has come back and has got so many, which ``reaches`` says it can have: those that follow are to be
        written once more.

        Returns:
            Their frames, which are not kept here any more until they are.
        """
        self._let_go(received - self.acknowledged)
        again = self.frames
        self._forget()
        return again

    def _let_go(self, count: int) -> None:
        self.acknowledged += count
        if count == len(self.frames):  # nearly always: where none is shared, none has to be looked at
            self.retention.held -= cost_of(self.frames) if self.mixed else _FRAME_COST * count + self.size
            self.frames.clear()
            self.size, self.mixed = 0, False
        elif count:
            gone = self.frames[:count]
            del self.frames[:count]
            self.size -= sum(map(len, gone))
            self.retention.held -= cost_of(gone)

    def keeps(self, frame: bytes) -> None:
        """A frame waits for a client that is away."""
        cost = cost_of((frame,))
        self.waiting += cost
        self.retention.held += cost

    def drops(self, frames: list[bytes]) -> None:
        """These frames, which waited, do so no more."""
        cost = cost_of(frames)
        self.waiting -= cost
        self.retention.held -= cost

    def lose(self, why: NotResumed) -> None:
        """Keep nothing any more: the session goes on, and ends with its connection."""
        if self.lost is None:
            self.lost = why
        self.acknowledged += len(self.frames)
        self._forget()

    def _forget(self) -> None:
        self.retention.held -= cost_of(self.frames) + self.waiting
        self.frames = []
        self.size = self.waiting = 0
        self.mixed = False

    # from the client

    def attend(self) -> bool:
        """So many counted messages came that something is due: the first was heard of the client since it knows how
        many came, or the last of as many as it is to be told of at once. Whether it is the latter.
        """
        self.oldest = 0
        unconfirmed, enough = self.received - self.confirmed, self.retention.confirm_after
        self.attention = self.confirmed + (enough if unconfirmed < enough else unconfirmed + enough)
        return unconfirmed >= enough

    def confirm(self) -> None:
        """The client is told how many of its messages came."""
        self.confirming = False
        self.confirmed = self.received
        self.attention = self.received + 1

    # over connections

    def renew(self, used: int) -> None:
        """The session has another connection, whose client showed the token of this generation. Until the client is
        heard every token from there on is good: a welcome may be lost, and an earlier attempt arrive late.
        """
        self.oldest = min(used, self.oldest or used)
        self.generation += 1
        self.confirm()  # the welcome says it

    @property
    def good(self) -> range:
        """The generations whose tokens are good."""
        return good_generations(self.generation, self.oldest)


def good_generations(generation: int, oldest: int) -> range:
    """The generations whose tokens are good, of so many."""
    return range(max(oldest or generation, generation - _MOST_GOOD + 1), generation + 1)


def cost_of(frames: Sequence[bytes]) -> int:
    """Bytes that it takes to keep these frames."""
    return sum(
        _SLOT_COST + len(frame) // _SHARED_BY if type(frame) is SharedFrame else _FRAME_COST + len(frame)
        for frame in frames
    )
