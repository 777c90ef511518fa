"""What the options of ``linkd connect`` may be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pylinkd.cli.connect.target import ConnectError, Target, read_target

URL = "ws://127.0.0.1:3000/ws/hello"


def read(url: str = URL, **options: Any) -> Target:
    """With these options and an empty environment."""
    given: dict[str, Any] = {"token": None, "token_file": None, "headers": (), "environment": {}}
    return read_target(url, **{**given, **options})


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("127.0.0.1:3000/ws", "does not begin with ws:// or wss://"),
        ("ftp://127.0.0.1/ws", "does not begin with ws:// or wss://"),
        ("ws:/127.0.0.1/ws", "does not begin with ws:// or wss://"),
        ("ws://", "there is no host in"),
        ("ws://127.0.0.1:99999/", "is no URL"),
        ("ws://127.0.0.1:0/", "there is no port 0"),
        ("ws://127.0.0.1/ws#top", "has no fragment"),
        ("ws://[::1/ws", "is no URL"),
        ("ws://127.0.0.1/w s", "blanks or control characters"),
    ],
)
def test_url_is_checked(url: str, says: str) -> None:
    """Before anything is connected."""
    with pytest.raises(ConnectError, match=says):
        read(url)


@pytest.mark.parametrize("scheme", ["ws", "wss", "http", "https"])
def test_schemes_of_websockets_and_http_are_taken(scheme: str) -> None:
    """They mean the same."""
    assert read(f"{scheme}://localhost/ws").url == f"{scheme}://localhost/ws"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"token": "a b"}, "what --token gives is no token"),
        ({"token": "ü"}, "what --token gives is no token"),
        ({"token": ""}, "there is no token in --token"),
        ({"environment": {"LINKD_TOKEN": "a\nb"}}, "what LINKD_TOKEN gives is no token"),
        ({"token_file": Path("/nowhere")}, "--token-file /nowhere cannot be read: No such file"),
        ({"token": "a", "token_file": Path("b")}, "give one of them"),
        ({"token": "a", "headers": ["authorization: b"]}, "give one of them"),
        ({"headers": ["secret"]}, "--header is written 'Name: value'"),
        ({"headers": ["Sec-WebSocket-Key: secret"]}, "belongs to the opening handshake"),
        ({"headers": ["Host: secret"]}, "belongs to the opening handshake"),
        ({"headers": ["a b: secret"]}, "no header that HTTP can carry"),
        ({"headers": ["a: secret\x00"]}, "no header that HTTP can carry"),
    ],
)
def test_tokens_and_headers_are_checked(options: dict[str, Any], says: str) -> None:
    """And what may be a secret is not repeated."""
    with pytest.raises(ConnectError, match=says) as caught:
        read(**options)

    assert "secret" not in str(caught.value)


def test_token_of_a_file_is_read_again_when_another_is_wanted(tmp_path: Path) -> None:
    """One that was refused is not shown twice."""
    file = tmp_path / "token"
    file.write_text("first\n")
    token = read(token_file=file).token
    assert callable(token)

    assert token("connect") == "first"
    assert token("refused") is None
    file.write_text("second\n")
    assert token("expiring") == "second"


def test_variable_holds_where_no_option_does() -> None:
    """An empty one is none."""
    assert read(environment={"LINKD_TOKEN": "named"}).token == "named"
    assert read(environment={"LINKD_TOKEN": "named"}, token="given").token == "given"
    assert read(environment={"LINKD_TOKEN": ""}).token is None


def test_headers_are_read() -> None:
    """A value may have colons."""
    assert read(headers=["X-One: a:b", "x-two:c"]).headers == {"X-One": "a:b", "x-two": "c"}


def test_secrets_of_the_url_are_not_shown() -> None:
    """Neither a password nor the query, where a token may be."""
    shown = read("wss://una:secret@example.org/ws?token=secret").shown

    assert shown == "wss://example.org/ws?…"
