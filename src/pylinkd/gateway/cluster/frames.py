"""Frames of the bus: written, and read with suspicion. No clock, no socket."""

from __future__ import annotations

from google.protobuf.message import DecodeError

from ...protocol.bus_pb2 import BusFrame
from .member import Member
from .subjects import MAX_NAME

VERSION = 1

MAX_PAYLOAD = 512 * 1024
"""Bytes of a payload that crosses the bus in one frame; larger ones go in chunks."""

OVERHEAD = 2048
"""Bytes of a frame beside its payload, at most: ids, a name, numbers."""


class FrameError(Exception):
    """What came is no frame that this gateway can take.

    Attributes:
        reason: One word, for metrics.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def read_frame(data: bytes) -> BusFrame:
    """A frame out of bytes that anybody may have sent.

    Raises:
        FrameError: If it is none, of a later version, or one of its fields is not as it has to be. A frame of an
            unknown kind is none of these: its ``WhichOneof("body")`` is ``None``.
    """
    if len(data) > MAX_PAYLOAD + OVERHEAD:
        raise FrameError("too_large")
    try:
        frame = BusFrame.FromString(data)
    except DecodeError as cause:
        raise FrameError("malformed") from cause
    if frame.version != VERSION:
        raise FrameError("version")
    if not origin_of(frame).is_valid or len(frame.name.encode()) > MAX_NAME:
        raise FrameError("malformed")
    if frame.name and not frame.sequence > frame.previous:
        raise FrameError("malformed")
    return frame


def origin_of(frame: BusFrame) -> Member:
    """Whose it is, or says to be."""
    return Member(frame.gateway, frame.incarnation)
