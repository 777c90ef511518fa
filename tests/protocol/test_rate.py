"""How rates and durations are written."""

from __future__ import annotations

import pytest

from pylinkd.protocol.rate import parse_duration, parse_rate


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("100/s", (100, 1.0)),
        ("300/10s", (300, 10.0)),
        ("20/m", (20, 60.0)),
        ("1/500ms", (1, 0.5)),
        ("1000000000/s", (1_000_000_000, 1.0)),
        ("4294967295/1000h", (4_294_967_295, 3_600_000.0)),
    ],
)
def test_rate_is_read(text: str, rate: tuple[int, float]) -> None:
    """A gigabyte a second is one, too."""
    assert parse_rate(text) == rate


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("100", "is written like 100/s"), ("100/d", "is written like"), ("-1/s", "is written like"),
        ("1.5/s", "is written like"), ("٣/s", "is written like"), ("1e9/s", "is written like"),
        ("4294967296/s", "counts from 1 to 4294967295"), ("99999999999999/s", "counts from 1 to 4294967295"),
        ("0/s", "counts from 1"), ("1/0s", "per 1ms to 1000h"), ("1/1001h", "per 1ms to 1000h"),
        ("1/99999999999ms", "per 1ms to 1000h"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_rate_is_said(text: str, reason: str) -> None:
    """One that is written well and out of range is another mistake than one that is not."""
    with pytest.raises(ValueError, match=reason):
        parse_rate(text)


def test_duration_is_read() -> None:
    """Up to a hundred years, so that every end is a date."""
    assert (parse_duration("90s"), parse_duration("10m"), parse_duration("2h")) == (90.0, 600.0, 7200.0)
    assert parse_duration("876000h") == 3_153_600_000.0
    for text, reason in (("1d", "is written like 90s"), ("876001h", "100 years"), ("9999999999999m", "100 years")):
        with pytest.raises(ValueError, match=reason):
            parse_duration(text)
