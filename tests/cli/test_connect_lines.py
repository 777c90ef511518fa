"""What a line means that is typed in ``linkd connect``."""

from __future__ import annotations

import pytest

from pylinkd.cli.connect.lines import Call, Command, LineError, Send, is_incomplete, read_line


@pytest.mark.parametrize(
    ("text", "type", "data"),
    [
        ("hello.greet", "hello.greet", None),
        ('  hello.greet   {"name": "Ada"} ', "hello.greet", b'{"name": "Ada"}'),
        ("hello.greet\n{}", "hello.greet", b"{}"),
        ("hello.greet 12345678901234567890.0", "hello.greet", b"12345678901234567890.0"),
        ("call send 1", "send", b"1"),
        ("senders", "senders", None),
    ],
)
def test_message_has_a_type_and_json(text: str, type: str, data: bytes | None) -> None:
    """As it was written."""
    line = read_line(text)

    assert isinstance(line, Call)
    assert (line.type, line.data if line.data is None else bytes(line.data)) == (type, data)


def test_other_lines() -> None:
    """Messages without an answer, commands, and nothing."""
    assert read_line("send a.b") == Send("a.b")
    assert read_line(".history lobby 5") == Command("history", ("lobby", "5"))
    assert read_line(" \n") is None


@pytest.mark.parametrize(
    "text",
    [
        "a.b {",
        "a.b 'x'",
        "a.b {} {}",
        "a.b NaN",
        "send",
        "call",
        ".",
        '{"type": "a.b"}',
        "[1]",
        "x" * 129,
        "a " + "[" * 3000,
    ],
)
def test_line_that_means_nothing_is_refused(text: str) -> None:
    """With a sentence."""
    with pytest.raises(LineError, match=r"\w+ \w+"):
        read_line(text)


@pytest.mark.parametrize(
    ("text", "incomplete"),
    [
        ("a.b", False),
        ("a.b {", True),
        ('a.b {"x": [1,', True),
        ('a.b {"x": [1,\n2', True),
        ('a.b {"x": [1,\n', False),
        ('a.b {"x": "}"', True),
        ('a.b "{"', False),
        ('a.b "\\"{"', False),
        ('a.b "x', False),
        ("a.b }", False),
        (".room {", False),
    ],
)
def test_json_that_is_not_closed_goes_on(text: str, incomplete: bool) -> None:
    """A quote alone is a slip rather than the begin of a long text; an empty line ends any."""
    assert is_incomplete(text) is incomplete
