"""Where services find the gateway: a Unix socket, or a TCP port that speaks TLS."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import stat
from collections.abc import Callable
from pathlib import Path

from ...protocol.errors import SetupError
from ...protocol.rendezvous import Address
from .link import REGISTER_TIMEOUT


class LinkSocketError(SetupError):
    """The link's socket cannot be opened; the text says what to change."""


class LinkSocket:
    """Listens at a path that only this user can reach (mode 0600), or its group as well (0660).

    Args:
        path: Where; a stale socket there is replaced, a live one refused.
        factory: Makes the protocol of a connecting service.
        shared: Whether the socket's group may connect. Which group that is, is the operator's affair; the factory's
            protocols decide who is let in.
    """

    def __init__(self, path: Path, factory: Callable[[], asyncio.Protocol], *, shared: bool = False) -> None:
        self._path = path
        self._factory = factory
        self._mask = 0o117 if shared else 0o177
        self._server: asyncio.Server | None = None
        self._inode = 0

    @property
    def address(self) -> Address:
        """Where services connect."""
        return Address(self._path)

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
        mask = os.umask(self._mask)
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


class LinkPort:
    """Listens on a TCP port, with TLS.

    Args:
        address: Where; port 0 takes a free one.
        factory: Makes the protocol of a connecting service.
        certfile: Certificate chain (PEM).
        keyfile: Its private key (PEM).
    """

    def __init__(
        self, address: Address, factory: Callable[[], asyncio.Protocol], *, certfile: Path, keyfile: Path
    ) -> None:
        self._address = address
        self._factory = factory
        self._certfile = certfile
        self._keyfile = keyfile
        self._server: asyncio.Server | None = None

    @property
    def address(self) -> Address:
        """Where services connect, with the port that was taken."""
        if self._server is None or self._address.port:
            return self._address
        return Address(host=self._address.host, port=self._server.sockets[0].getsockname()[1])

    async def open(self) -> None:
        """Begin to listen.

        Raises:
            LinkSocketError: If the certificate cannot be used, or nobody can listen there.
        """
        context = self._context()
        try:
            self._server = await asyncio.get_running_loop().create_server(
                self._factory,
                self._address.host,
                self._address.port,
                ssl=context,
                ssl_handshake_timeout=REGISTER_TIMEOUT,
            )
        except OSError as cause:
            raise LinkSocketError(
                f"cannot listen on {self._address} ({cause.strerror or cause}): set LINKD_LINK to another address"
            ) from cause

    def _context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_3  # both ends are ours
        try:
            # A key with a passphrase is a mistake here: without one of ours OpenSSL would ask at the terminal.
            context.load_cert_chain(self._certfile, self._keyfile, password="")
        except OSError as cause:  # the parent of ssl.SSLError
            raise LinkSocketError(
                f"the link's certificate cannot be used ({cause.strerror or cause}): set LINKD_LINK_CERTFILE and "
                "LINKD_LINK_KEYFILE to PEM files that belong together"
            ) from cause
        return context

    def close(self) -> None:
        """Stop listening."""
        if self._server is not None:
            self._server.close()
            self._server = None
