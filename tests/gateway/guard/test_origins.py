"""Which pages may come in."""

from __future__ import annotations

import pytest

from pylinkd.gateway.guard.origins import Origins

HOST = "chat.example.com"
UUID = "0b8f9c1e-6a34-4d0e-9a77-3f1f3c7c9f10"


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        (None, HOST),
        ("https://chat.example.com", HOST),
        ("http://chat.example.com", HOST),
        ("https://Chat.Example.com", "CHAT.example.com"),
        ("https://chat.example.com", "chat.example.com:443"),
        ("https://chat.example.com:8443", "chat.example.com:8443"),
        ("http://127.0.0.1:3000", "127.0.0.1:3000"),
        ("http://[::1]:3000", "[::1]:3000"),
    ],
)
def test_own_host_and_programs_may_come_in(origin: str | None, host: str) -> None:
    """By default nobody else; a proxy may speak TLS in front."""
    assert Origins().allow(origin, host)


@pytest.mark.parametrize(
    "origin",
    [
        "null",
        "https://evil.example",
        "https://chat.example.com.evil.example",
        "https://evilchat.example.com",
        "https://chat.example.com:8443",
        "http://chat.example.com:443",
        "https://chat.example.com@evil.example",
        "file://",
        "",
        "https://[",
        "https://",
        "capacitor://chat.example.com",
        "chrome-extension://chat.example.com",
        "ws://chat.example.com",
        "chat.example.com",
    ],
)
def test_other_pages_may_not(origin: str) -> None:
    """However close they come."""
    assert not Origins().allow(origin, HOST)


@pytest.mark.parametrize(
    ("allowed", "origin", "expected"),
    [
        ("https://app.example.org", "https://app.example.org", True),
        ("https://app.example.org/", "https://APP.example.org", True),
        ("https://app.example.org", "http://app.example.org", False),
        ("https://app.example.org", "https://app.example.org:444", False),
        ("https://*.example.org", "https://a.example.org", True),
        ("https://*.example.org", "https://a.b.example.org", True),
        ("https://*.example.org", "https://example.org", False),
        ("https://*.example.org", "https://evilexample.org", False),
        ("https://*.example.org", "https://.example.org", False),
        ("https://*.example.org", "https://evil.example/.example.org", False),
        ("https://*.example.org", "https://user@a.example.org", False),
        ("https://my_app.example.org", "https://my_app.example.org", True),
        ("https://_x.example.org", "https://_x.example.org", True),
        ("https://*.example.org", "https://my_app.example.org", True),
        ("https://app.example.org:443", "https://app.example.org", True),
        ("http://app.example.org:80", "http://app.example.org", True),
        ("https://app.example.org:80", "https://app.example.org", False),
        ("http://[::1]:8080", "http://[::1]:8080", True),
        ("capacitor://localhost", "capacitor://localhost", True),
        ("capacitor://localhost", "ionic://localhost", False),
        ("capacitor://localhost", "http://localhost", False),
        ("ionic://localhost", "ionic://localhost", True),
        ("tauri://localhost", "tauri://localhost", True),
        ("tauri://localhost", "tauri://localhost.evil", False),
        ("app://obsidian.md", "app://obsidian.md", True),
        (f"chrome-extension://{'abcdefgh' * 4}", f"chrome-extension://{'abcdefgh' * 4}", True),
        (f"chrome-extension://{'abcdefgh' * 4}", f"chrome-extension://{'abcdefga' * 4}", False),
        (f"moz-extension://{UUID}", f"moz-extension://{UUID}", True),
        (f"safari-web-extension://{UUID.upper()}", f"safari-web-extension://{UUID.upper()}", True),
        (f"moz-extension://{UUID}", f"chrome-extension://{UUID}", False),
        ("capacitor-electron://-", "capacitor-electron://-", True),
        ("*", "capacitor://localhost", True),
        ("*", "https://anybody.example", True),
        ("*", "null", False),
    ],
)
def test_listed_origins_may_come_in(allowed: str, origin: str, expected: bool) -> None:
    """Exact, or subdomains by a wildcard; everybody only where that is written out, and nobody unnamed."""
    assert Origins([allowed]).allow(origin, HOST) is expected


@pytest.mark.parametrize(
    "entry",
    [
        "example.org", "https://", "https://*", "https://a.*.org", "ftp://a.org", "null", "wss://a.org", "file://",
        "file://a", "capacitor://", "capacitor://*", "chrome-extension://*", "tauri://*.localhost", "app:x", "1a://b",
        "moz-extension://a/b", "capacitor://a@b", "https://a b", "javascript://a", "data:x", "*.example.org",
    ],
)  # fmt: skip
def test_entry_of_another_form_is_refused(entry: str) -> None:
    """By name."""
    with pytest.raises(ValueError, match="is no origin"):
        Origins([entry])
