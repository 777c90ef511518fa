"""How the messages of a session look on the wire: their codec, and whether they are compressed.

Sessions of one format share the format object, and with it the frames of a broadcast: each is encoded, compressed
(RFC 7692) and framed once for all of them.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable

from ...protocol.envelope import JSON, MSGPACK, Codec
from .frames import BINARY, RSV1, TEXT, binary_frame, compressed_frame, text_frame

MIN_WINDOW_BITS = 9
"""zlib cannot keep to a window of 256 bytes, so 8 is not offered (RFC 7692 §7.1.2.1 allows to decline it)."""

MAX_WINDOW_BITS = 15

_EMPTY_BLOCK = b"\x00\x00\xff\xff"  # ends a flush; left out on the wire (RFC 7692 §7.2.1)


class Format:
    """A codec and, if compression was negotiated, how to compress.

    Attributes:
        codec: What the messages are written in.
        window_bits: Of the deflate window; ``None``: messages are not compressed.
        frame: Frames an encoded message, compressed where that is agreed and the message is long enough.
    """

    __slots__ = ("_level", "_plain", "_threshold", "codec", "frame", "window_bits")

    def __init__(self, codec: Codec, window_bits: int | None = None, threshold: int = 0, level: int = 0) -> None:
        self.codec = codec
        self.window_bits = window_bits
        self._threshold = threshold
        self._level = level
        self._plain = binary_frame if codec.binary else text_frame
        self.frame: Callable[[bytes], bytes] = self._plain if window_bits is None else self._compressed

    def payload(self, frame: bytes) -> bytes:
        """The encoded message in a frame of this format."""
        short = frame[1] & 0x7F
        start = 2 if short < 126 else 4 if short == 126 else 10
        if not frame[0] & RSV1:
            return bytes(frame[start:])
        return zlib.decompressobj(-MAX_WINDOW_BITS).decompress(frame[start:] + _EMPTY_BLOCK)

    def _compressed(self, payload: bytes) -> bytes:
        if len(payload) < self._threshold:
            return self._plain(payload)
        assert self.window_bits is not None
        # A new compressor for each message: no context is taken over, and none is kept.
        deflater = zlib.compressobj(self._level, zlib.DEFLATED, -self.window_bits)
        deflated = (deflater.compress(payload) + deflater.flush(zlib.Z_SYNC_FLUSH))[: -len(_EMPTY_BLOCK)]
        return compressed_frame(BINARY if self.codec.binary else TEXT, deflated)


PLAIN = {codec: Format(codec) for codec in (JSON, MSGPACK)}
"""The formats without compression."""


class Formats:
    """The formats in use, one object each.

    Args:
        threshold: Bytes below which a message is not compressed.
        level: zlib's, 1 (fast) to 9 (small).
    """

    def __init__(self, threshold: int, level: int) -> None:
        self._threshold = threshold
        self._level = level
        self._formats: dict[tuple[Codec, int], Format] = {}

    def get(self, codec: Codec, window_bits: int | None) -> Format:
        """The format of this codec and, if compression was agreed on, this deflate window."""
        if window_bits is None:
            return PLAIN[codec]
        key = (codec, window_bits)
        found = self._formats.get(key)
        if found is None:
            found = self._formats[key] = Format(codec, window_bits, self._threshold, self._level)
        return found
