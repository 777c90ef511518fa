"""From data frames to messages (RFC 6455 §5.4 to §5.6, RFC 7692 §6): fragments, reserved bits, sizes, UTF-8. No I/O.

picows checks what concerns a single frame (opcode, mask, length); this checks what concerns a message. Control frames,
which may come between fragments, are connection.py's.
"""

from __future__ import annotations

import codecs
from enum import IntEnum

from ...protocol.close import CloseCode
from .deflate import Inflater
from .violation import ProtocolViolation, check_text, not_utf8

_RSV1 = 0b100
_Utf8 = codecs.getincrementaldecoder("utf-8")


class Opcode(IntEnum):
    """RFC 6455 §5.2."""

    CONTINUATION = 0x0
    TEXT = 0x1
    BINARY = 0x2
    CLOSE = 0x8
    PING = 0x9
    PONG = 0xA


# Plain integers: comparing with an enum's members costs a microsecond a frame.
_CONTINUATION, _TEXT, _BINARY = int(Opcode.CONTINUATION), int(Opcode.TEXT), int(Opcode.BINARY)


class Messages:
    """The messages of one connection, put together from its data frames.

    Args:
        max_size: Most bytes of a message, inflated.
        max_fragments: Most frames of a message. Each costs an object, however empty.
        inflates: Whether permessage-deflate was agreed on.

    Attributes:
        fragments: How many frames the last complete message came in; 0: in one.
        unfinished: Whether a message has begun and not ended.
        streams: Whether the binary messages that begin from now on are handed out frame by frame, each frame with the
            limit of a message, so that the whole needs none here.
        piecewise: Whether what ``take`` returned last was a part of such a message.
    """

    __slots__ = (
        "_inflater",
        "_inflates",
        "_max_fragments",
        "_max_size",
        "_opcode",
        "_parts",
        "_size",
        "_utf8",
        "fragments",
        "piecewise",
        "streams",
        "unfinished",
    )

    def __init__(self, max_size: int, max_fragments: int, inflates: bool) -> None:
        self._max_size = max_size
        self._max_fragments = max_fragments
        self._inflates = inflates
        self._opcode = _CONTINUATION
        self._inflater: Inflater | None = None
        self._parts: list[bytes] | None = None
        self._utf8: codecs.IncrementalDecoder | None = None
        self._size = 0
        self.fragments = 0
        self.unfinished = False
        self.streams = False
        self.piecewise = False

    def take(self, opcode: int, fin: bool, reserved: int, payload: bytes) -> tuple[int, bytes] | None:
        """Take one data frame; the message that it completes, with its opcode, or ``None``.

        Args:
            opcode: TEXT, BINARY or CONTINUATION.
            fin: Whether it is the last frame of its message.
            reserved: RSV1, RSV2 and RSV3 as the bits 4, 2 and 1.
            payload: Unmasked.

        Raises:
            ProtocolViolation: If the frame cannot follow those before it, or the message breaks a limit or is not
                what it says.
        """
        self._check_reserved(opcode, reserved)
        if opcode != _CONTINUATION:
            self._begin(opcode, bool(reserved))
        elif not self.unfinished:
            raise ProtocolViolation(CloseCode.PROTOCOL_ERROR, "a continuation of nothing")
        if self.piecewise:
            self.unfinished = not fin
            return self._opcode, self._inflated(payload, fin)
        self._size += len(payload)
        if self._size > self._max_size:
            raise too_big(self._max_size)
        if fin:
            return self._complete(payload)
        self._keep(payload)
        return None

    def _check_reserved(self, opcode: int, reserved: int) -> None:
        # RSV1 marks the first frame of a compressed message and no other (RFC 7692 §6.1).
        if reserved and (reserved != _RSV1 or not self._inflates or opcode == _CONTINUATION):
            raise reserved_bit()

    def _begin(self, opcode: int, deflated: bool) -> None:
        if self.unfinished:
            raise ProtocolViolation(CloseCode.PROTOCOL_ERROR, "a new message inside a fragmented one")
        self._opcode = opcode
        self._size = 0
        self._inflater = Inflater(self._max_size) if deflated else None
        self.piecewise = self.streams and opcode == _BINARY

    def _keep(self, payload: bytes) -> None:
        self.unfinished = True
        if self._parts is None:
            self._parts = []
        self._parts.append(payload)
        if len(self._parts) > self._max_fragments:
            raise ProtocolViolation(CloseCode.POLICY_VIOLATION, f"more than {self._max_fragments} fragments")
        if self._opcode == _TEXT and self._inflater is None:
            self._check_fragment(payload)

    def _check_fragment(self, payload: bytes) -> None:
        """Fail with the first fragment that is wrong, not with the last (RFC 6455 §8.1)."""
        if self._utf8 is None:
            self._utf8 = _Utf8()
        try:
            self._utf8.decode(payload)
        except UnicodeDecodeError:
            raise not_utf8() from None

    def _complete(self, payload: bytes) -> tuple[int, bytes]:
        self.fragments = 0
        if self._parts is not None:
            self._keep(payload)
            payload = b"".join(self._parts)
            self.fragments = len(self._parts)
            self._parts = self._utf8 = None
        self.unfinished = False
        payload = self._inflated(payload, True)
        if self._opcode == _TEXT:
            check_text(payload)
        return self._opcode, payload

    def _inflated(self, payload: bytes, last: bool) -> bytes:
        if self._inflater is None:
            return payload
        payload = self._inflater.feed(payload, last)
        if last:
            self._inflater = None
        return payload


def reserved_bit() -> ProtocolViolation:
    """A reserved bit is set that nothing was agreed on for (RFC 6455 §5.2)."""
    return ProtocolViolation(CloseCode.PROTOCOL_ERROR, "a reserved bit without an extension")


def too_big(limit: int) -> ProtocolViolation:
    """A message exceeds the limit in bytes."""
    return ProtocolViolation(CloseCode.MESSAGE_TOO_BIG, f"more than {limit} bytes")
