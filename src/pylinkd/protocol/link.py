"""Frames of the link between gateway and service: length-prefixed protobuf, without a socket.

Both ends read with a FrameReader and write through a Batch; the sockets are in gateway/routing/link.py and
sdk/link.py. The messages themselves are described in proto/linkd/v1/link.proto.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from .link_pb2 import Frame

PROTOCOL_VERSION = 1

MAX_FRAME_SIZE = 16 * 2**20
"""Largest frame in bytes. Above the largest client message and HTTP body, so that a frame over it is a fault."""

MAX_FIRST_FRAME_SIZE = 64 * 1024
"""Largest frame in bytes of a process that is not registered: what a stranger can make the gateway keep."""

MAX_DESCRIPTION_SIZE = 2**20
"""Bytes of the documents about one service, together: the gateway keeps those of every service."""

BATCH_FRAMES = 16
"""Frames that leave in one write. Measured: without a bound gateway and service take turns instead of
overlapping (a quarter fewer requests at 1,000 connections); one by one costs too many system calls."""

STREAM_WINDOW = 4
"""Chunks of a stream that may be under way: sent, and not taken."""

MAX_CHUNK_SIZE = 64 * 1024
"""Largest chunk in bytes of a body that is streamed."""

_REUSED_BYTES = 2**18  # what a reused frame may keep
_REUSED_OVERHEAD = 256  # bytes of a message beside its data: ids, type, and what protobuf adds

_LENGTH = struct.Struct(">I")


class LinkProtocolError(Exception):
    """The peer sent bytes that are not frames; the link cannot go on."""


def encode(frame: Frame) -> bytes:
    """The frame as it travels.

    Raises:
        LinkProtocolError: If the frame is larger than MAX_FRAME_SIZE. Nothing was sent.
    """
    body = frame.SerializeToString()
    size = len(body)
    if size > MAX_FRAME_SIZE:
        raise LinkProtocolError(f"a frame of {size} bytes exceeds the limit of {MAX_FRAME_SIZE}")
    return _LENGTH.pack(size) + body


class FrameReader:
    """Turns a stream of bytes into frames. Holds at most one unfinished frame.

    Attributes:
        limit: Bytes of the largest frame that is taken. It may be changed between two frames.
    """

    __slots__ = ("_chunks", "_missing", "limit")

    def __init__(self, limit: int = MAX_FRAME_SIZE) -> None:
        self.limit = limit
        # A large frame arrives in many reads: they are joined once, when the last byte is there.
        self._chunks: list[bytes] = []
        self._missing = 0

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Yield the frames that ``data`` completes. The iterator has to be used up before the next call.

        Raises:
            LinkProtocolError: If a length exceeds the limit or a body is not a Frame.
        """
        if self._chunks:
            self._chunks.append(data)
            self._missing -= len(data)
            if self._missing > 0:
                return
            data = b"".join(self._chunks)
            self._chunks = []
        position, end = 0, len(data)
        parse, read_length = Frame.FromString, _LENGTH.unpack_from
        stop = 4
        while end - position >= 4:
            (size,) = read_length(data, position)
            if size > self.limit:
                raise LinkProtocolError(f"a frame of {size} bytes exceeds the limit of {self.limit}")
            stop = position + 4 + size
            if stop > end:
                break
            try:
                frame = parse(data[position + 4 : stop])
            except Exception as cause:  # protobuf's DecodeError, which its stubs do not export
                raise LinkProtocolError("the bytes are not a frame") from cause
            position = stop
            yield frame
            stop = position + 4
        if position < end:
            self._chunks = [data[position:]]
            self._missing = stop - end


class Batch:
    """Frames that wait to leave in one write."""

    __slots__ = ("_frames",)

    def __init__(self) -> None:
        self._frames: list[bytes] = []

    def add(self, frame: bytes) -> int:
        """Append an encoded frame and return how many wait now."""
        frames = self._frames
        frames.append(frame)
        return len(frames)

    def take(self) -> bytes:
        """Everything that waits, as one piece; the batch is empty afterwards."""
        frames, self._frames = self._frames, []
        return frames[0] if len(frames) == 1 else b"".join(frames)

    def __bool__(self) -> bool:
        return bool(self._frames)


class Reused:
    """One frame for many messages, each encoded before the next: a new frame for each costs 0.4 µs.

    A protobuf message frees what its fields held only when it is freed itself, so the frame is renewed from time to
    time: without that it would keep every byte that passed.
    """

    __slots__ = ("_left", "frame")

    def __init__(self) -> None:
        self._renew()

    def _renew(self) -> None:
        self.frame = Frame()
        self._left = _REUSED_BYTES

    def used(self, size: int) -> None:
        """The frame was encoded with ``size`` bytes of data in it."""
        self._left -= size + _REUSED_OVERHEAD
        if self._left < 0:
            self._renew()
