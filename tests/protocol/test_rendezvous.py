"""Where gateway and services meet."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pylinkd.protocol.rendezvous import Address, default_address


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is told."""
    monkeypatch.delenv("LINKD_LINK", raising=False)
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)


def test_told_path_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """``LINKD_LINK`` is the path itself."""
    monkeypatch.setenv("LINKD_LINK", "/somewhere/x.sock")
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/1")

    assert default_address() == Address(Path("/somewhere/x.sock"))


def test_runtime_folder_is_next(monkeypatch: pytest.MonkeyPatch) -> None:
    """The user's own runtime folder, where there is one."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/1")

    assert default_address() == Address(Path("/run/user/1/linkd/link.sock"))


def test_elsewhere_users_do_not_share_a_folder() -> None:
    """The folder bears the user's number."""
    assert default_address() == Address(Path(f"/tmp/linkd-{os.getuid()}/link.sock"))


def test_empty_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty variable is none."""
    monkeypatch.setenv("LINKD_LINK", "")

    assert default_address() == Address(Path(f"/tmp/linkd-{os.getuid()}/link.sock"))
