"""One event to many sessions: encoded, compressed and framed once for each format, then shared."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from ...protocol.envelope import Codec
from .format import PLAIN, Format
from .outbox import Kind
from .session import Session


class Broadcast:
    """An event on its way to any number of sessions.

    Args:
        type: The event's type.
        data: Its data as JSON.
        formats: Those of all sessions that may be among the recipients.
        kind: Whether it may be dropped for a client that reads too slowly.

    Raises:
        BadRequestError: If the data cannot be told in one of them: it then reaches nobody, not some.
    """

    __slots__ = ("_frames", "_kind")

    def __init__(
        self, type: str, data: bytes, formats: Iterable[Format] = PLAIN.values(), kind: Kind = Kind.EVENT
    ) -> None:
        self._kind = kind
        self._frames: dict[Format, bytes] = {}
        payloads: dict[Codec, bytes] = {}
        for format in formats:
            payload = payloads.get(format.codec)
            if payload is None:
                payload = payloads[format.codec] = format.codec.event(type, data)
            self._frames[format] = format.frame(payload)

    def deliver(self, sessions: Iterable[Session], without: Collection[Session] = ()) -> int:
        """Queue the event for each session but those in ``without``, and return how many took it."""
        reached = 0
        frames, kind = self._frames, self._kind
        for session in sessions:
            if without and session in without:
                continue
            if session.send(frames[session.format], kind):
                reached += 1
        return reached
