"""An event for any number of sessions: encoded, compressed and framed once for each format, then shared."""

from __future__ import annotations

from collections.abc import Iterable

from ...protocol.envelope import Codec
from .format import PLAIN, Format
from .outbox import Kind


class SharedFrame(bytes):
    """A frame that many sessions share: each is charged a part of it only (resumption.py)."""

    __slots__ = ()


class Broadcast:
    """An event on its way.

    Args:
        type: The event's type.
        data: Its data as JSON.
        formats: Those of all sessions that may be among the recipients.
        kind: Whether it may be dropped for a client that reads too slowly.
        id: What the answers of clients will carry; ``None``: none is wanted.
        room: The room whose history it is in; ``None``: in none.
        offset: Its place there.

    Attributes:
        frames: Its frame in each of the formats.
        size: Bytes of the largest of them.

    Raises:
        BadRequestError: If the data cannot be written in one of them: it then reaches nobody, not some.
    """

    __slots__ = ("frames", "kind", "size")

    def __init__(
        self,
        type: str,
        data: bytes,
        formats: Iterable[Format] = PLAIN.values(),
        kind: Kind = Kind.EVENT,
        id: str | None = None,
        room: str | None = None,
        offset: int = 0,
    ) -> None:
        self.kind = kind
        self.frames: dict[Format, bytes] = {}
        payloads: dict[Codec, bytes] = {}
        for format in formats:
            payload = payloads.get(format.codec)
            if payload is None:
                payload = payloads[format.codec] = format.codec.event(type, data, id, room, offset)
            self.frames[format] = format.frame(payload)
        self.size = max(map(len, self.frames.values()), default=0)

    def share(self) -> None:
        """It goes to many."""
        self.frames = {format: SharedFrame(frame) for format, frame in self.frames.items()}
