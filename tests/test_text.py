"""One text at a time: what is refused, what is taken out, what is counted, and what becomes of it in HTML."""

from __future__ import annotations

import unicodedata
from html.parser import HTMLParser
from time import perf_counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pylinkd import ValidationError
from pylinkd.text import clean, escape_html

SURROGATES = "".join(map(chr, range(0xD800, 0xE000)))
CONTROLS = "".join(map(chr, [*range(9), 11, 12, *range(14, 32), *range(127, 160)]))
SEPARATORS = "\u2028\u2029"
DIRECTIONS = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
LAYOUT = "\t\n\r"

ANY_TEXT = st.text(
    alphabet=st.characters(exclude_categories=()) | st.sampled_from(CONTROLS + DIRECTIONS + "\ud800e\u0301")
)


def rule_of(text: str, **options: Any) -> Any:
    """The rule by which a text is refused."""
    with pytest.raises(ValidationError) as caught:
        clean(text, **options)
    assert caught.value.code == 422
    assert caught.value.details is not None
    assert caught.value.details["reason"] in caught.value.message
    return caught.value.details["rule"]


@pytest.mark.parametrize(
    "text", ["", "a", "Grüße, 世界 🙂", "\tone\r\ntwo\n", "a\u00a0b\u200db\u200f", "\ufffd", "\U0010ffff"]
)
def test_text_of_people_is_kept(text: str) -> None:
    """Letters of all scripts, joined emoji, marks of direction, lines and tabs are no harm."""
    assert clean(text) == text


@pytest.mark.parametrize("controls", ["refuse", "strip"])
@pytest.mark.parametrize("number", [0xD800, 0xDBFF, 0xDC00, 0xDFFF], ids=hex)
def test_half_of_a_pair_is_refused_always(number: int, controls: Any) -> None:
    """It is no character, and UTF-8 cannot tell it: there is nothing to save."""
    assert rule_of(f"a{chr(number)}b", controls=controls) == "surrogate"


@pytest.mark.parametrize("character", CONTROLS + SEPARATORS + DIRECTIONS, ids=ascii)
def test_control_character_is_refused_or_taken_out(character: str) -> None:
    """Each one of C0, DEL, C1, the separators and the directions, at either end and alone."""
    assert rule_of(f"a{character}") == rule_of(f"{character}b") == rule_of(character) == "control"
    assert clean(f"{character}a{character}b{character}", controls="strip") == "ab"


@pytest.mark.parametrize("character", LAYOUT, ids=ascii)
def test_newline_is_a_control_character_in_one_line(character: str) -> None:
    """Return and tab as well; else they are text."""
    assert rule_of(f"a{character}b", newlines=False) == "control"
    assert clean(f"a{character}b", newlines=False, controls="strip") == "ab"


def test_typing_error_in_the_option_refuses() -> None:
    """What is not "strip" lets nothing through."""
    wrong: Any = "ignore"

    assert rule_of("a\0", controls=wrong) == "control"


def test_composed_text_is_counted() -> None:
    """Limits hold for the result: what is taken out or composed does not count."""
    assert clean("e\u0301\0", controls="strip", normalize=True, max_length=1, max_bytes=2) == "é"
    assert rule_of("e\u0301", max_length=1) == "max_length"


def test_control_character_does_not_keep_marks_apart() -> None:
    """It is taken out before the text is composed."""
    assert clean("e\0\u0301", controls="strip", normalize=True) == "é"


@pytest.mark.parametrize(
    ("text", "options", "rule"),
    [
        ("abcd", {"max_length": 3}, "max_length"),
        ("🙂", {"max_bytes": 3}, "max_bytes"),
        ("a", {"max_length": 0}, "max_length"),
    ],
)
def test_text_over_a_limit_is_refused_with_the_limit(text: str, options: Any, rule: str) -> None:
    """Characters and bytes are two limits."""
    with pytest.raises(ValidationError) as caught:
        clean(text, **options)

    assert caught.value.details is not None
    assert caught.value.details["rule"] == rule
    assert caught.value.details["limit"] == options[rule]


def test_text_at_its_limits_is_taken() -> None:
    """The limits themselves are allowed."""
    assert clean("ü🙂", max_length=2, max_bytes=6) == "ü🙂"


@pytest.mark.parametrize("marks", ["\u0301\u0316", "\u0f73", "\u0344"])
def test_marks_that_would_take_long_to_order_are_refused(marks: str) -> None:
    """Sixty thousand of them would take seconds; they are refused in a fraction of one."""
    started = perf_counter()

    assert rule_of("a" + marks * (60_000 // len(marks)), normalize=True) == "marks"
    assert perf_counter() - started < 1.0


def test_thirty_marks_are_composed() -> None:
    """More than any language writes on one letter."""
    text = "a" + "\u0316\u0301" * 15

    assert clean(text, normalize=True) == unicodedata.normalize("NFC", text)


@given(text=ANY_TEXT, newlines=st.booleans(), normalize=st.booleans())
def test_nothing_harmful_is_left(text: str, newlines: bool, normalize: bool) -> None:
    """The result holds no forbidden character, is composed if asked, and is clean: a second time changes nothing."""
    try:
        result = clean(text, controls="strip", newlines=newlines, normalize=normalize)
    except ValidationError:
        return  # half of a pair, or too many marks

    assert not set(result) & set(SURROGATES + CONTROLS + SEPARATORS + DIRECTIONS + ("" if newlines else LAYOUT))
    assert not normalize or unicodedata.is_normalized("NFC", result)
    assert clean(result, newlines=newlines, normalize=normalize) == result


@given(text=ANY_TEXT, newlines=st.booleans())
def test_refusing_and_taking_out_agree(text: str, newlines: bool) -> None:
    """What is refused is exactly what would be changed."""
    try:
        taken = clean(text, newlines=newlines)
    except ValidationError:
        taken = None
    try:
        left = clean(text, newlines=newlines, controls="strip")
    except ValidationError:
        left = None

    assert taken == (text if left == text else None)


@given(text=st.text(min_size=1), limit=st.integers(0, 20), size=st.integers(0, 40), normalize=st.booleans())
def test_limits_are_kept(text: str, limit: int, size: int, normalize: bool) -> None:
    """Whatever comes back is within both limits."""
    try:
        result = clean(text, controls="strip", max_length=limit, max_bytes=size, normalize=normalize)
    except ValidationError:
        return

    assert len(result) <= limit
    assert len(result.encode()) <= size


@pytest.mark.parametrize("options", [{}, {"max_length": 3}, {"max_bytes": 3}, {"newlines": False}])
def test_text_is_not_told_back(options: Any) -> None:
    """Neither message nor details repeat what was refused."""
    with pytest.raises(ValidationError) as caught:
        clean("secret\n" if options else "secret\0", **options)

    assert "secret" not in f"{caught.value} {caught.value.details}"


def test_html_is_escaped_for_elements_and_attributes() -> None:
    """All five characters that mean something there."""
    assert escape_html("""<a href="x" title='y'>&""") == "&lt;a href=&quot;x&quot; title=&#x27;y&#x27;&gt;&amp;"


@given(text=st.text(alphabet=st.characters(codec="utf-8") | st.sampled_from("<>&\"'/!-=;#x")))
def test_escaped_text_is_text_to_a_parser(text: str) -> None:
    """In an element and in an attribute a parser finds the same text, and no other element."""
    found: list[Any] = []

    class Parser(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            found.append((tag, attrs))

    Parser().feed(f"<i a=\"{escape_html(text)}\" b='{escape_html(text)}'>{escape_html(text)}</i>")

    assert found == [("i", [("a", text), ("b", text)])]
