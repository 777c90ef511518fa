"""URLs: which are understood, and what they become."""

from __future__ import annotations

import importlib.util

import pytest

from pylinkd.db import DatabaseSetupError, MissingDriverError
from pylinkd.db.address import parse_url


@pytest.mark.parametrize(
    ("text", "understood"),
    [
        ("sqlite:///chat.db", "sqlite+aiosqlite:///chat.db"),
        ("sqlite+aiosqlite:///chat.db", "sqlite+aiosqlite:///chat.db"),
        ("postgresql://u@h/d", "postgresql+asyncpg://u@h/d"),
        ("postgres://u@h/d", "postgresql+asyncpg://u@h/d"),
        ("postgresql+asyncpg://u@h/d", "postgresql+asyncpg://u@h/d"),
        ("postgresql://u@h/d?sslmode=require", "postgresql+asyncpg://u@h/d?ssl=require"),
    ],
)
def test_url_gets_the_asynchronous_driver(text: str, understood: str) -> None:
    """The usual forms of a URL lead to the drivers of this layer."""
    assert str(parse_url(text)) == understood


@pytest.mark.parametrize("text", ["mysql://u@h/d", "postgresql+psycopg://u@h/d"])
def test_other_databases_and_drivers_are_refused(text: str) -> None:
    """What cannot work is refused with the forms that do."""
    with pytest.raises(DatabaseSetupError, match="sqlite:///path or postgresql://"):
        parse_url(text)


def test_unreadable_url_is_not_quoted() -> None:
    """A URL may hold a password, so the error does not repeat it."""
    with pytest.raises(DatabaseSetupError) as caught:
        parse_url("postgresql//u:secret@h/d")

    assert "secret" not in str(caught.value)


def test_missing_driver_tells_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without asyncpg the error names the extra that brings it."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)

    with pytest.raises(MissingDriverError, match=r"pip install pylinkd\[postgres\]"):
        parse_url("postgresql://u@h/d")
