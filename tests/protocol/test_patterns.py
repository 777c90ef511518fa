"""Names and patterns over them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pylinkd.protocol.patterns import Pattern, check_name

SEGMENTS = st.text("abc_:-9", min_size=1, max_size=3)
NAMES = st.lists(SEGMENTS, min_size=1, max_size=5).map(".".join)


@pytest.mark.parametrize("name", ["a", "chat.send", "a.b.c.d", "A-Z_0:9", "x" * 128, "linkd", "linkds.x", "my.linkd.x"])
def test_names_are_taken(name: str) -> None:
    """Letters, digits, '_', ':' and '-' in segments; only what begins with ``linkd.`` is reserved."""
    assert check_name(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "a.",
        ".a",
        "a..b",
        "a b",
        "a/b",
        "ü",
        "a.*",
        "*",
        "**",
        "linkd.welcome",
        "linkd.",
        "x" * 129,
        "a\n",
        "a.b\n",
    ],
)
def test_other_names_are_refused(name: str) -> None:
    """Empty, long, reserved and odd ones, with the name in the message."""
    with pytest.raises(ValueError, match=r"characters|belong|is no name"):
        check_name(name)


@pytest.mark.parametrize(
    ("pattern", "name", "matches"),
    [
        ("chat.send", "chat.send", True),
        ("chat.send", "chat.sent", False),
        ("chat.send", "chat.send.now", False),
        ("chat.*", "chat.send", True),
        ("chat.*", "chat", False),
        ("chat.*", "chat.room.send", False),
        ("*.send", "chat.send", True),
        ("*.send", "send", False),
        ("*", "chat", True),
        ("*", "chat.send", False),
        ("chat.**", "chat.send", True),
        ("chat.**", "chat.room.send", True),
        ("chat.**", "chat", False),
        ("chat.**", "chats.send", False),
        ("**", "chat", True),
        ("**", "chat.room.send", True),
        ("*.b.**", "a.b.c", True),
        ("*.b.**", "a.b", False),
        ("a.*.c", "a.b.c", True),
        ("a.*.c", "a.b.b.c", False),
    ],
)
def test_pattern_matches_whole_segments(pattern: str, name: str, matches: bool) -> None:
    """``*`` is exactly one segment; ``**``, at the end, one or more."""
    assert Pattern(pattern).matches(name) is matches


@pytest.mark.parametrize("text", ["", ".", "a.", "a*", "*a.b", "**.a", "a.**.b", "a.***", "a..b", "a b", "***", "a\n"])
def test_other_patterns_are_refused(text: str) -> None:
    """A wildcard stands alone in its segment, and ``**`` last; the message says so."""
    with pytest.raises(ValueError, match="is no pattern"):
        Pattern(text)


@given(name=NAMES)
def test_name_is_a_pattern_that_matches_itself(name: str) -> None:
    """A pattern without wildcard is a name."""
    assert Pattern(name).matches(name)
    assert Pattern("**").matches(name)


@given(name=NAMES, data=st.data())
def test_wildcards_widen(name: str, data: st.DataObject) -> None:
    """Any segment may become ``*``, and any tail ``**``, without losing the name."""
    segments = name.split(".")
    starred = [data.draw(st.sampled_from([segment, "*"])) for segment in segments]
    cut = data.draw(st.integers(0, len(segments) - 1))

    assert Pattern(".".join(starred)).matches(name)
    assert Pattern(".".join([*segments[:cut], "**"])).matches(name)


def test_pattern_keeps_its_text() -> None:
    """For logs, and for what is registered with the gateway."""
    assert Pattern("chat.*").text == "chat.*"
    assert repr(Pattern("chat.*")) == "Pattern('chat.*')"
