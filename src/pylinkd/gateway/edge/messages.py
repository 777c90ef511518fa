"""From data frames to messages (RFC 6455 §5.4 to §5.6): fragments, UTF-8, and close codes. No I/O.

picows checks what concerns a single frame (opcode, mask, length); this checks what concerns a message. Control frames,
which may come between fragments, are connection.py's.
"""

from __future__ import annotations

from enum import IntEnum

from ...protocol.errors import CloseCode

_MAX_FRAGMENTS = 1024


class Opcode(IntEnum):
    """RFC 6455 §5.2."""

    CONTINUATION = 0x0
    TEXT = 0x1
    BINARY = 0x2
    CLOSE = 0x8
    PING = 0x9
    PONG = 0xA


class ProtocolViolation(Exception):
    """The client broke the protocol; the connection closes with ``code``."""

    def __init__(self, code: CloseCode, reason: str) -> None:
        self.code = code
        self.reason = reason
        super().__init__(f"{int(code)} {reason}")


def check_text(payload: bytes) -> None:
    """Check that a text message is UTF-8 (RFC 6455 §5.6).

    Raises:
        ProtocolViolation: If it is not.
    """
    # Most messages are ASCII, which is told without building a string.
    if not payload.isascii():
        try:
            payload.decode()
        except UnicodeDecodeError:
            raise ProtocolViolation(CloseCode.INVALID_TEXT, "text that is not UTF-8") from None


def check_close_code(code: int) -> None:
    """Check that a peer may send this code in a close frame (RFC 6455 §7.4).

    Raises:
        ProtocolViolation: If it may not.
    """
    if not (1000 <= code <= 1003 or 1007 <= code <= 1014 or 3000 <= code <= 4999):
        raise ProtocolViolation(CloseCode.PROTOCOL_ERROR, "a close code that may not be sent")


class Fragments:
    """A message that arrives in several frames.

    Args:
        max_message_size: Most bytes of the whole message.
    """

    __slots__ = ("_max_message_size", "_opcode", "_parts", "_size")

    def __init__(self, max_message_size: int) -> None:
        self._max_message_size = max_message_size
        self._opcode: Opcode | None = None
        self._parts: list[bytes] = []
        self._size = 0

    @property
    def unfinished(self) -> bool:
        """Whether a message has begun and not ended."""
        return self._opcode is not None

    def add(self, opcode: Opcode, fin: bool, payload: bytes) -> tuple[Opcode, bytes] | None:
        """Take one data frame; the message it completes, with its opcode, or ``None``.

        Raises:
            ProtocolViolation: If the frame cannot follow those before it, or the message grows too large.
        """
        if opcode is Opcode.CONTINUATION:
            if self._opcode is None:
                raise ProtocolViolation(CloseCode.PROTOCOL_ERROR, "a continuation of nothing")
        elif self._opcode is not None:
            raise ProtocolViolation(CloseCode.PROTOCOL_ERROR, "a new message inside a fragmented one")
        else:
            self._opcode = opcode
        self._size += len(payload)
        if self._size > self._max_message_size:
            raise ProtocolViolation(CloseCode.MESSAGE_TOO_BIG, f"more than {self._max_message_size} bytes")
        self._parts.append(payload)
        if len(self._parts) > _MAX_FRAGMENTS:
            # Each part costs an object, however empty: tiny fragments would outgrow the limit in bytes.
            raise ProtocolViolation(CloseCode.POLICY_VIOLATION, f"more than {_MAX_FRAGMENTS} fragments")
        if not fin:
            return None
        complete = self._opcode, b"".join(self._parts)
        self._opcode, self._parts, self._size = None, [], 0
        return complete
