"""The file with what was typed: private, bounded, and no reason to stop."""

from __future__ import annotations

import stat
from pathlib import Path

from prompt_toolkit.history import InMemoryHistory

from pylinkd.cli.connect.input_history import history_path, open_history


def complaints() -> list[str]:
    """Where sentences go."""
    return []


def test_path_is_that_of_the_users_state() -> None:
    """XDG_STATE_HOME counts where it is absolute."""
    assert history_path({"XDG_STATE_HOME": "/state"}) == Path("/state/linkd/connect_history")
    assert history_path({"XDG_STATE_HOME": "state"}) == Path.home() / ".local/state/linkd/connect_history"


def test_file_that_others_may_read_is_closed_to_them(tmp_path: Path) -> None:
    """Whoever made it."""
    path = tmp_path / "history"
    path.touch(mode=0o644)
    path.chmod(0o644)

    open_history(path, complaints().append)

    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_file_that_has_grown_loses_its_older_half(tmp_path: Path) -> None:
    """The newest entries stay, whole."""
    path, heard = tmp_path / "history", complaints()
    history = open_history(path, heard.append)
    for number in range(9_000):
        history.store_string(f"hello.greet {number} " + "x" * 60)

    entries = list(open_history(path, heard.append).load_history_strings())

    assert path.stat().st_size <= 256 * 1024
    assert entries[0].startswith("hello.greet 8999 ")
    assert entries[-1].startswith("hello.greet ")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert heard == []


def test_symbolic_link_is_not_followed(tmp_path: Path) -> None:
    """It may lead anywhere."""
    (tmp_path / "history").symlink_to(tmp_path / "other")
    heard = complaints()

    history = open_history(tmp_path / "history", heard.append)

    assert isinstance(history, InMemoryHistory)
    assert not (tmp_path / "other").exists()
    assert len(heard) == 1
