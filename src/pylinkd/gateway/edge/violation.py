"""What a client may not send, whatever the message: close codes, text, and the violation that ends a connection."""

from __future__ import annotations

from ...protocol.close import CloseCode


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
    # Most messages are ASCII, which is seen without building a string.
    if not payload.isascii():
        try:
            payload.decode()
        except UnicodeDecodeError:
            raise not_utf8() from None


def not_utf8() -> ProtocolViolation:
    """A text message is not UTF-8."""
    return ProtocolViolation(CloseCode.INVALID_TEXT, "text that is not UTF-8")


def check_close_code(code: int) -> None:
    """Check that a peer may send this code in a close frame (RFC 6455 §7.4).

    Raises:
        ProtocolViolation: If it may not.
    """
    if not (1000 <= code <= 1003 or 1007 <= code <= 1014 or 3000 <= code <= 4999):
        raise ProtocolViolation(CloseCode.PROTOCOL_ERROR, "a close code that may not be sent")
