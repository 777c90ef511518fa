"""What holds in every test of the client."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connect to servers of tests without a proxy, whatever the environment says."""
    monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")


@pytest.fixture(autouse=True)
def no_failed_client(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Have a test fail where a client ended by an error of its own."""
    yield
    assert "the client failed" not in [record.getMessage() for record in caplog.get_records("call")]
