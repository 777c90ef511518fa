"""What was typed at the prompt, for the next time: a file that only its owner may read."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from prompt_toolkit.history import FileHistory, History, InMemoryHistory

_MOST = 512 * 1024  # bytes; beyond it the older half is thrown away


def history_path(environment: Mapping[str, str] = os.environ) -> Path:
    """The file, in the user's directory for state (XDG Base Directory Specification)."""
    state = environment.get("XDG_STATE_HOME", "")
    folder = Path(state) if state.startswith("/") else Path.home() / ".local/state"
    return folder / "linkd/connect_history"


def open_history(path: Path, complain: Callable[[str], object]) -> History:
    """The history in a file, which is made if there is none; one in memory where that cannot be.

    Args:
        path: Of the file.
        complain: Hears, in a sentence, why something is not kept.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
        try:
            os.fchmod(descriptor, 0o600)  # it may have been made by something else
        finally:
            os.close(descriptor)
        _shorten(path)
    except OSError as error:
        complain(f"what you type is not kept: {path}: {error.strerror}")
        return InMemoryHistory()
    return _PrivateHistory(str(path), complain)


class _PrivateHistory(FileHistory):
    """Keeps no line that begins with a blank, and goes on where the disk is full."""

    def __init__(self, filename: str, complain: Callable[[str], object]) -> None:
        super().__init__(filename)
        self._complain = complain
        self._writable = True

    def append_string(self, string: str) -> None:
        """See prompt_toolkit."""
        if not string.startswith(" "):
            super().append_string(string)

    def store_string(self, string: str) -> None:
        """See prompt_toolkit."""
        try:
            if self._writable:
                super().store_string(string)
        except (OSError, UnicodeEncodeError) as error:
            self._writable = False
            self._complain(f"what you type is not kept any more: {error}")


def _shorten(path: Path) -> None:
    """Throw the older entries away of a file that has grown too large."""
    content = path.read_bytes()
    if len(content) <= _MOST:
        return
    start = content.find(b"\n# ", len(content) - _MOST // 2)  # an entry begins with a comment, its time
    shorter = path.with_name(f"{path.name}.{os.getpid()}")
    descriptor = os.open(shorter, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with open(descriptor, "wb") as file:
        file.write(content[start:] if start >= 0 else b"")
    shorter.replace(path)
