"""What a client may not send."""

from __future__ import annotations

import pytest

from pylinkd.gateway.edge.violation import ProtocolViolation, check_text
from pylinkd.protocol.close import CloseCode


@pytest.mark.parametrize("text", ["", "ascii", "hé", "😀", "\x00", "\ufeff", "\U0010ffff"])
def test_text_is_utf8(text: str) -> None:
    """Every character of Unicode may be sent."""
    check_text(text.encode())


@pytest.mark.parametrize(
    "payload", [b"\xff", b"\xc3", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"ok \xe2\x82", b"\x80"]
)
def test_text_that_is_not_utf8_is_refused(payload: bytes) -> None:
    """Cut, overlong and out-of-range sequences, and surrogates: 1007."""
    with pytest.raises(ProtocolViolation) as caught:
        check_text(payload)

    assert caught.value.code is CloseCode.INVALID_TEXT


def test_violation_names_code_and_reason() -> None:
    """For logs, and for the close frame."""
    violation = ProtocolViolation(CloseCode.PROTOCOL_ERROR, "why")

    assert str(violation) == "1002 why"
    assert (violation.code, violation.reason) == (1002, "why")
