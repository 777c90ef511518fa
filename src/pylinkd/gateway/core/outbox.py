"""What waits to be sent to one client, its limit, and what is dropped for a client that does not read."""

from __future__ import annotations

from enum import Enum, IntEnum, StrEnum

from .format import Format


class Kind(IntEnum):
    """What a frame is to its client. The higher, the sooner it may be dropped for one that reads too slowly."""

    CONTROL = -1
    """A control message, or the answer to the opening handshake: never dropped, and not counted (resumption.py)."""

    ANSWER = 0
    """An answer or an error: never dropped."""

    EVENT = 1
    """Dropped where the policy is to drop."""

    NOTICE = 3
    """A control message that can be missed, since it has a number of its own: dropped first, and not counted."""

    VOLATILE = 2
    """Dropped first, whatever the policy: soon nobody will want it, such as who is typing."""


UNCOUNTED = frozenset({Kind.CONTROL, Kind.NOTICE})
"""What has no place in the count of a client's messages (resumption.py)."""


class Policy(StrEnum):
    """What becomes of a client whose outbox is full, once no volatile event is left to drop."""

    DISCONNECT = "disconnect"
    DROP_OLDEST = "drop_oldest"
    DROP_NEWEST = "drop_newest"


_ANSWERS_SHARE = 4  # under ``drop_newest`` one part in so many of an outbox is for answers alone


class Squeezed(Enum):
    """What ``squeeze`` came to."""

    QUEUED = "queued"
    DROPPED = "dropped"
    OVERFLOWED = "overflowed"


_NOTHING: list[bytes] = []  # shared, and never changed: most outboxes never drop anything


class Outbox:
    """Frames accepted for one client and not yet handed to its connection.

    Args:
        limit: Most bytes that may wait, what the transport holds included. A single frame is taken whatever its size,
            so that a large answer does not pass for a slow client.
        policy: What ``squeeze`` may drop.

    Attributes:
        frames: What waits, oldest first.
        size: Bytes of it.
        kinds: Of those that may be dropped or are not counted, by their place; ``None``: there are none, as in most.
        held: Bytes of the limit that are taken otherwise: by what the transport holds while it takes no more.
        discarded: What the last ``squeeze`` has dropped of what waited.
        dropped: Events dropped since the session began.
        reported: Of these, how many the client knows of.
        overflowed: The client is too slow for what may not be dropped; it takes nothing more, and is closed.
    """

    __slots__ = (
        "_event_limit",
        "_limit",
        "_policy",
        "discarded",
        "dropped",
        "frames",
        "held",
        "kinds",
        "overflowed",
        "reported",
        "size",
    )

    def __init__(self, limit: int, policy: Policy = Policy.DISCONNECT) -> None:
        self.frames: list[bytes] = []
        self.size = 0
        self.held = 0
        self.discarded: list[bytes] = _NOTHING
        self.dropped = self.reported = 0
        self.overflowed = False
        self._limit = limit
        # Where new events are what is dropped, older ones may not fill the room of the answers, which never are.
        self._event_limit = limit - limit // _ANSWERS_SHARE if policy is Policy.DROP_NEWEST else limit
        self._policy = policy
        self.kinds: dict[int, Kind] | None = None

    def push(self, frame: bytes, kind: Kind = Kind.ANSWER) -> bool:
        """Queue ``frame`` and return ``True``; ``False``, and nothing queued, if it does not fit."""
        size = self.size + len(frame)
        if size + self.held > (self._event_limit if kind > 0 else self._limit) and self.frames:
            return False
        if kind and (kind is not Kind.EVENT or self._policy is Policy.DROP_OLDEST):
            if self.kinds is None:
                self.kinds = {}
            self.kinds[len(self.frames)] = kind
        self.size = size
        self.frames.append(frame)
        return True

    def narrow(self, limit: int) -> None:
        """No more than so many bytes may wait, until ``held`` is set anew."""
        self.held = max(0, self._limit - limit)

    def squeeze(self, frame: bytes, kind: Kind) -> Squeezed:
        """Make room for a frame that does not fit, by dropping: volatile events first, then as the policy says."""
        self.discarded = []
        if kind is Kind.NOTICE:
            return Squeezed.DROPPED
        self._drop(Kind.NOTICE, len(frame))
        if kind is Kind.VOLATILE and not self._fits(frame):
            return self._drop_incoming()
        self._drop(Kind.VOLATILE, len(frame))
        if self._policy is Policy.DROP_OLDEST and not self._fits(frame):
            self._drop(Kind.EVENT, len(frame))
        if self.push(frame, kind):
            return Squeezed.QUEUED
        if kind is Kind.EVENT and self._policy is not Policy.DISCONNECT:
            return self._drop_incoming()
        return Squeezed.OVERFLOWED

    def _drop_incoming(self) -> Squeezed:
        self.dropped += 1
        return Squeezed.DROPPED

    def _fits(self, frame: bytes) -> bool:
        return self.size + self.held + len(frame) <= self._limit

    def _drop(self, kind: Kind, room: int) -> None:
        """Drop what waits of this kind, oldest first, until there is room for so many bytes."""
        kinds = self.kinds or {}
        excess = self.size + self.held + room - self._limit
        dropped: set[int] = set()
        for place in [place for place, of in kinds.items() if of is kind]:
            if excess <= 0:
                break
            excess -= len(self.frames[place])
            dropped.add(place)
        if not dropped:
            return
        if kind is not Kind.NOTICE:
            self.dropped += len(dropped)
        self.discarded += [self.frames[place] for place in dropped]
        self._keep([place for place in range(len(self.frames)) if place not in dropped])

    def _keep(self, places: list[int]) -> None:
        kinds = self.kinds or {}
        self.kinds = {new: kinds[old] for new, old in enumerate(places) if old in kinds}
        self.frames = [self.frames[place] for place in places]
        self.size = sum(map(len, self.frames))

    def prepend(self, frames: list[bytes], kind: Kind = Kind.ANSWER) -> None:
        """Put frames before everything that waits, whatever the limit: they are under way already, or the head of it
        all. Nothing of them is ever dropped.
        """
        if self.kinds or kind:
            kinds = dict.fromkeys(range(len(frames)), kind) if kind else {}
            kinds.update({place + len(frames): of for place, of in (self.kinds or {}).items()})
            self.kinds = kinds
        self.frames = frames + self.frames
        self.size += sum(map(len, frames))

    def rewrite(self, old: Format, new: Format) -> None:
        """What waits is written in another format of the same codec."""
        if old.window_bits is not None:
            self.frames = [new.frame(old.payload(frame)) for frame in self.frames]
            self.size = sum(map(len, self.frames))

    @property
    def counted(self) -> list[bytes]:
        """What waits, without what is not counted."""
        kinds = self.kinds
        if kinds is None or UNCOUNTED.isdisjoint(kinds.values()):
            return self.frames
        return [frame for place, frame in enumerate(self.frames) if kinds.get(place) not in UNCOUNTED]

    def forget_controls(self) -> None:
        """The connection that they are about is gone."""
        kinds = self.kinds or {}
        kept = [place for place in range(len(self.frames)) if kinds.get(place) not in UNCOUNTED]
        if len(kept) < len(self.frames):
            self._keep(kept)

    def take(self) -> list[bytes]:
        """Hand over everything queued, oldest first, and become empty."""
        frames, self.frames = self.frames, []
        self.size = 0
        self.kinds = None
        return frames
