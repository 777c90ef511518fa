"""What a terminal gets to see of values and errors."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pylinkd.cli.connect.rendering import Item, Renderer, json_text, printable, shown_value
from pylinkd.cli.connect.wording import describe_error, describe_gap
from pylinkd.client import ConnectionLost, Gap, Timeout
from pylinkd.protocol.errors import RateLimitedError


@given(st.text())
def test_nothing_but_printable_characters_is_shown(text: str) -> None:
    """Whatever a server sends, in words and in values."""
    shown = printable(text)

    assert all(one.isprintable() or one in "\u200c\u200d" for one in shown)


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_value_means_what_it_meant(text: str) -> None:
    """Escapes are those of JSON."""
    assert json.loads(json_text({"a": text})) == {"a": text}


def test_json_of_a_server_stays_as_it_was_written() -> None:
    """Numbers above all."""
    assert (
        json_text(msgspec.Raw(b'{"a":1.10,"b":12345678901234567890123}')) == '{"a": 1.10, "b": 12345678901234567890123}'
    )


def test_long_values_are_parted_and_very_long_ones_cut() -> None:
    """And that is said."""
    assert shown_value(["x" * 60, "y" * 60]).count("\n") == 3
    cut = shown_value("x" * 100_000)
    assert len(cut) < 20_000
    assert cut.endswith("characters more; --json has them all)")


def test_value_that_is_no_json_is_named() -> None:
    """Instead of ending the program."""
    assert shown_value(msgspec.Raw(b"{")).startswith("(cannot be shown")


def test_words_are_broken_into_lines_and_values_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """What may be copied has no line ends that were not there; markup is text."""
    monkeypatch.setenv("TERM", "dumb")
    renderer = Renderer(80)

    words = renderer.render(Item("note", "word " * 16 + "[red]"))
    assert words == "- " + "word " * 14 + "word\n  word [red]\n"
    value = json_text("[bold] " * 20)
    assert renderer.render(Item("answer", "a.b", value, "1 ms")) == f"< a.b {value}  1 ms\n"


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (ConnectionLost("expired", True), "no answer: the connection was away for too long; the message had come"),
        (ConnectionLost("closed", False), "no answer: it was ended; the message had not come"),
        (ConnectionLost("x", "unknown"), "no answer: x; nobody knows whether the message had come"),
        (Timeout(True), "no answer in time; the message was sent"),
        (RateLimitedError("Slow\x1b", retry_after=2.0), "429 RATE_LIMITED  Slow\\u001b (try again in 2 s)"),
        (ValueError("x\n"), "ValueError: x\\u000a"),
    ],
)
def test_errors_are_told_in_words(error: Exception, says: str) -> None:
    """With whether the message came, and when to try again."""
    assert describe_error(error) == says


def test_gaps_are_told_in_words() -> None:
    """Of the session, of events, and of a room."""
    assert "away for too long" in describe_gap(Gap("expired"))
    assert "dropped 7 events" in describe_gap(Gap("dropped", 7))
    assert describe_gap(Gap("missed", room="lobby")) == "room lobby: events were missed"
