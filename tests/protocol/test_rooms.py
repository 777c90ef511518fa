"""Patterns over the names of rooms."""

from __future__ import annotations

import re
import sys
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pylinkd.protocol.rooms import RoomPattern


@pytest.mark.parametrize(
    ("pattern", "name", "matches"),
    [
        ("board:*", "board:", True),
        ("board:*", "board:1:2", True),
        ("board:*", "boards", False),
        ("board", "board", True),
        ("board", "board:1", False),
        ("*", "anything\nat all", True),
        ("*:chat", "a:chat", True),
        ("*:chat", ":chat:chat", True),
        ("a*b*c", "abc", True),
        ("a*b*c", "acbc", True),
        ("a*b*c", "ac", False),
        ("aa*aa", "aaa", False),
        ("[a]*", "[a]x", True),
        ("[a]*", "ax", False),
        ("**x**", "x", True),
    ],
)
def test_pattern(pattern: str, name: str, matches: bool) -> None:
    """A star stands for any characters, or none; nothing else means anything but itself."""
    assert RoomPattern(pattern).matches(name) is matches


@given(st.text("ab*", min_size=1, max_size=8), st.text("ab", min_size=1, max_size=12))
def test_pattern_means_what_its_regular_expression_would(pattern: str, name: str) -> None:
    """Whatever stands between the stars."""
    expression = ".*".join(map(re.escape, pattern.split("*")))
    assert RoomPattern(pattern).matches(name) is (re.fullmatch(expression, name, re.DOTALL) is not None)


def test_name_that_is_made_for_a_pattern_costs_nothing() -> None:
    """Names come from clients, and a search that goes back and forth would take a second for this one."""
    pattern, calls = RoomPattern("*:*:*:*:*:x"), count()
    sys.setprofile(lambda *_: next(calls))
    try:
        assert not pattern.matches(":" * 255)
    finally:
        sys.setprofile(None)
    assert next(calls) < 100


@pytest.mark.parametrize("text", ["", "x" * 257])
def test_pattern_that_cannot_be(text: str) -> None:
    """It is as long as a room's name may be."""
    with pytest.raises(ValueError, match="1 to 256 characters"):
        RoomPattern(text)
