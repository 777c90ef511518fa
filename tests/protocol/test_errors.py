"""Error types and close codes."""

from __future__ import annotations

import pytest

from pylinkd.protocol import errors
from pylinkd.protocol.close import CloseCode, close_code_for
from pylinkd.protocol.errors import LinkdError

TABLE = {
    "LinkdError": (500, "INTERNAL_ERROR"),
    "BadRequestError": (400, "BAD_REQUEST"),
    "InvalidJsonError": (400, "INVALID_JSON"),
    "UnauthorizedError": (401, "UNAUTHORIZED"),
    "ForbiddenError": (403, "FORBIDDEN"),
    "NotFoundError": (404, "NOT_FOUND"),
    "UnknownMessageTypeError": (404, "UNKNOWN_MESSAGE_TYPE"),
    "UnknownActionError": (404, "UNKNOWN_ACTION"),
    "HandlerTimeoutError": (408, "TIMEOUT"),
    "ConflictError": (409, "CONFLICT"),
    "PayloadTooLargeError": (413, "PAYLOAD_TOO_LARGE"),
    "ValidationError": (422, "VALIDATION_ERROR"),
    "RateLimitedError": (429, "RATE_LIMITED"),
    "InternalError": (500, "INTERNAL_ERROR"),
    "ServiceUnavailableError": (503, "SERVICE_UNAVAILABLE"),
    "TransientError": (503, "TRY_AGAIN"),
    "CallLoopError": (508, "CALL_LOOP"),
    "NotAcknowledgedError": (504, "NOT_ACKNOWLEDGED"),
}

KINDS: dict[str, type[LinkdError]] = {
    name: kind for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, LinkdError)
}


def test_table_of_errors_is_complete() -> None:
    """Codes and types are a promise to clients: none comes, goes or changes by accident."""
    assert {name: (kind().code, kind().type) for name, kind in KINDS.items()} == TABLE


def test_docstring_draws_the_table() -> None:
    """The tree in the module's docstring is the code's."""
    assert errors.__doc__ is not None
    for name, (code, type) in TABLE.items():
        if name != "LinkdError":
            line = next(line for line in errors.__doc__.splitlines() if f" {name} " in line)
            assert line.split()[-2:] == [str(code), type]


@pytest.mark.parametrize("kind", KINDS.values())
def test_error_says_something_by_default(kind: type[LinkdError]) -> None:
    """Every error has one sentence for the caller."""
    error = kind()

    assert str(error) == error.message
    assert error.message.endswith(".")


def test_error_takes_what_it_is_told() -> None:
    """Message, code, type, details and retry advice replace the class's."""
    error = LinkdError("Full.", code=409, type="ROOM_FULL", details={"limit": 3}, retry_after=2.0)

    assert (error.message, error.code, error.type) == ("Full.", 409, "ROOM_FULL")
    assert (error.details, error.retry_after) == ({"limit": 3}, 2.0)
    assert repr(error) == "LinkdError(409 ROOM_FULL: Full.)"


def test_error_may_have_an_empty_message() -> None:
    """An empty message is one."""
    assert LinkdError("").message == ""


@pytest.mark.parametrize("code", [-1, 0, 200, 399, 600, 1000])
def test_code_outside_of_errors_is_refused(code: int) -> None:
    """A success is no error."""
    with pytest.raises(ValueError, match=f"between 400 and 599, not {code}"):
        LinkdError(code=code)


@pytest.mark.parametrize("type", ["", "room_full", "ROOM FULL", "1ROOM", "_ROOM", "A" * 65, "RÄUM", "ROOM\n"])
def test_type_that_is_no_name_is_refused(type: str) -> None:
    """Types are upper case, and short."""
    with pytest.raises(ValueError, match="upper case"):
        LinkdError(type=type)


@pytest.mark.parametrize("retry_after", [-0.1, float("inf"), float("nan"), 1e9])
def test_retry_advice_nobody_can_follow_is_refused(retry_after: float) -> None:
    """Between now and a day."""
    with pytest.raises(ValueError, match="retry_after"):
        LinkdError(retry_after=retry_after)


@pytest.mark.parametrize(
    ("code", "close"),
    [
        (400, CloseCode.POLICY_VIOLATION), (401, CloseCode.UNAUTHORIZED), (403, CloseCode.FORBIDDEN),
        (404, CloseCode.POLICY_VIOLATION), (429, CloseCode.RATE_LIMITED), (499, CloseCode.POLICY_VIOLATION),
        (500, CloseCode.INTERNAL_ERROR), (502, CloseCode.INTERNAL_ERROR), (503, CloseCode.TRY_AGAIN_LATER),
        (599, CloseCode.INTERNAL_ERROR),
    ],
)  # fmt: skip
def test_close_code_says_the_same(code: int, close: CloseCode) -> None:
    """Every error has a close code."""
    assert close_code_for(LinkdError(code=code)) is close


def test_close_codes_may_be_sent() -> None:
    """1005, 1006 and 1015 are never sent (RFC 6455 §7.4.1); ours are in the private range."""
    for code in CloseCode:
        assert 1000 <= code <= 1013 or 4000 <= code <= 4999
        assert code not in (1004, 1005, 1006, 1015)
