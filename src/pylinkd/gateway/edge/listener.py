"""A port on which HTTP is served, and the server behind it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator

import uvicorn

from ...protocol.errors import SetupError


class AddressInUseError(SetupError):
    """The port is taken; the text says what to change."""


class CertificateError(SetupError):
    """The certificate or its key cannot be used; the text says what to change."""


class Listener(uvicorn.Server):
    """uvicorn, with the signals left to the command line and a word when it listens.

    Args:
        config: uvicorn's.
        host: Address to listen on.
        port: 0 takes a free one.
        setting: The environment variables that name them, for the error.

    Raises:
        AddressInUseError: If nobody can listen there.
        CertificateError: If certificate and key cannot be loaded.
    """

    def __init__(self, config: uvicorn.Config, host: str, port: int, setting: str) -> None:
        super().__init__(config)
        try:
            config.load()
        except OSError as cause:  # the parent of ssl.SSLError
            raise CertificateError(
                f"the certificate cannot be used ({cause.strerror or cause}): set LINKD_CERTFILE and LINKD_KEYFILE to "
                "PEM files that belong together"
            ) from cause
        self._listening = asyncio.Event()
        self._socket = _listen(host, port, setting)
        self._scheme = "http" if config.ssl_certfile is None else "https"
        self._task: asyncio.Task[None] | None = None

    @property
    def address(self) -> str:
        """Where clients connect, such as ``http://127.0.0.1:3000``."""
        host, port = self._socket.getsockname()[:2]
        return f"{self._scheme}://[{host}]:{port}" if ":" in host else f"{self._scheme}://{host}:{port}"

    async def open(self) -> None:
        """Begin to serve."""
        self._task = asyncio.create_task(self.serve(sockets=[self._socket]), name="linkd-http")
        await self._listening.wait()

    async def close(self, timeout: float) -> None:
        """Take no more connections, and wait ``timeout`` seconds for the requests that are being answered."""
        if self._task is None:
            self._socket.close()
            return
        self.config.timeout_graceful_shutdown = max(1, round(timeout))
        self.should_exit = True
        await self._task

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """See uvicorn."""
        await super().startup(sockets)
        self._listening.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """See uvicorn."""
        yield


def _listen(host: str, port: int, setting: str) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listening = socket.socket(family, kind, protocol)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
    except OSError as cause:
        raise AddressInUseError(
            f"cannot listen on {host} port {port} ({cause.strerror}): set {setting} to a free address"
        ) from cause
    listening.setblocking(False)
    return listening
