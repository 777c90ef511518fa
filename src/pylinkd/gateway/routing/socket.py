"""The Unix socket on which services find the gateway."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path

from ...protocol.errors import SetupError


class LinkSocketError(SetupError):
    """The link's socket cannot be opened; the text says what to change."""


class LinkSocket:
    """Listens at a path that only this user can reach (mode 0600).

    Args:
        path: Where; a stale socket there is replaced, a live one refused.
        factory: Makes the protocol of a connecting service.
    """

    def __init__(self, path: Path, factory: Callable[[], asyncio.Protocol]) -> None:
        self._path = path
        self._factory = factory
        self._server: asyncio.Server | None = None
        self._inode = 0

    async def open(self) -> None:
        """Begin to listen.

        Raises:
            LinkSocketError: If another gateway listens there, or the path cannot be used.
        """
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._check_folder()
            self._clear()
            listening = self._bind()
        except OSError as cause:
            reason = cause.strerror or str(cause)
            raise LinkSocketError(
                f"the link's socket {self._path} cannot be opened ({reason}): set LINKD_LINK to another path"
            ) from cause
        self._inode = self._path.stat().st_ino
        self._server = await asyncio.get_running_loop().create_unix_server(self._factory, sock=listening)

    def _check_folder(self) -> None:
        """Whoever may write to the folder could put a socket of theirs in our place."""
        folder = self._path.parent.stat()
        foreign = folder.st_uid not in (0, os.getuid())
        open_to_all = folder.st_mode & stat.S_IWOTH and not folder.st_mode & stat.S_ISVTX
        if foreign or open_to_all:
            raise LinkSocketError(
                f"others can write to {self._path.parent}: set LINKD_LINK to a path in a folder of this user's own"
            )

    def _bind(self) -> socket.socket:
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        # The mask, not a later chmod: at no moment may somebody else connect.
        mask = os.umask(0o177)
        try:
            listening.bind(str(self._path))
        except OSError:
            listening.close()
            raise
        finally:
            os.umask(mask)
        return listening

    def _clear(self) -> None:
        try:
            mode = self._path.stat().st_mode
        except FileNotFoundError:
            return
        if not stat.S_ISSOCK(mode):
            raise LinkSocketError(f"{self._path} exists and is no socket: set LINKD_LINK to another path")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            try:
                probe.connect(str(self._path))
            except ConnectionRefusedError:
                self._path.unlink()  # left behind by a gateway that was killed
                return
        raise LinkSocketError(f"another gateway listens at {self._path}: stop it, or set LINKD_LINK to another path")

    def close(self) -> None:
        """Stop listening, and remove the socket unless somebody else has put theirs there."""
        if self._server is None:
            return
        self._server.close()
        self._server = None
        try:
            if self._path.stat().st_ino == self._inode:
                self._path.unlink()
        except FileNotFoundError:
            pass
