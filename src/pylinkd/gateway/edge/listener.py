"""A port: its sockets, and what is looked after there every second."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
from collections.abc import Callable

import structlog

from ...protocol.errors import SetupError
from .serving import Serving
from .tls import Certificate

log = structlog.get_logger("linkd.edge")

_BACKLOG = 2048  # connections that the kernel keeps until they are accepted
_SWEEP = 1.0  # seconds
_BURST = 60.0  # seconds without it after which a lack of file descriptors is a new one
_CLOSED_FOR_OTHERS = 100  # idle connections that are closed each second while no file descriptor is left


class AddressInUseError(SetupError):
    """The port is taken; the text says what to change."""


class Listener:
    """A port and the connections that come from it.

    Args:
        make: Makes the protocol of a new connection.
        serving: What they share.
        host: Address to listen on; a name listens on all of its addresses.
        port: 0 takes a free one.
        setting: The environment variables that name them, for the error.
        certificate: Renewed when its files change; ``None``: the port speaks plain text.
        watches_descriptors: Notices when the process has no file descriptors left; one port of a process does.

    Raises:
        AddressInUseError: If nobody can listen there.
    """

    def __init__(
        self,
        make: Callable[[], asyncio.BaseProtocol],
        serving: Serving,
        host: str,
        port: int,
        setting: str,
        certificate: Certificate | None = None,
        *,
        watches_descriptors: bool = True,
    ) -> None:
        self._make = make
        self._serving = serving
        self._where = host, port, setting
        self._certificate = certificate
        self._watches_descriptors = watches_descriptors
        self._sockets = bind(host, port, setting)
        self._servers: list[asyncio.Server] = []
        self._task: asyncio.Task[None] | None = None
        self._quiet_until = 0.0

    @property
    def address(self) -> str:
        """Where clients connect, such as ``http://127.0.0.1:3000``."""
        host, port = self._sockets[0].getsockname()[:2]
        scheme = "http" if self._certificate is None else "https"
        return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"

    async def open(self) -> None:
        """Begin to serve.

        Raises:
            AddressInUseError: If another process began to listen there meanwhile.
        """
        loop = asyncio.get_running_loop()
        try:
            for listening in self._sockets:
                listening.listen(_BACKLOG)  # uvloop does it too, and says nothing where it fails
                self._servers.append(await loop.create_server(self._make, sock=listening, backlog=_BACKLOG))
        except OSError as cause:
            raise _in_use(*self._where, cause) from cause
        self._task = asyncio.create_task(self._sweep(), name="linkd-port")

    async def close(self, timeout: float) -> None:
        """Take no more connections, and wait ``timeout`` seconds for the requests that are being answered."""
        for server in self._servers:
            server.close()
        for listening in self._sockets:
            listening.close()
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            await self._serving.close(timeout)

    def renew(self, *, force: bool = True) -> None:
        """Take the certificate's files again; they are also looked at every second."""
        if self._certificate is not None:
            self._certificate.renew(force=force)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP)
            try:
                self.renew(force=False)
                self._look_for_descriptors()
            except Exception:
                log.exception("port_sweep_failed")  # the next one may do better

    def _look_for_descriptors(self) -> None:
        """Notice that connections cannot be accepted: libuv closes them then, and tells nobody."""
        if self._watches_descriptors and not _descriptor_left():
            self._serving.traffic.descriptors_exhausted += 1
            self._serving.close_idle(_CLOSED_FOR_OTHERS)
            now = asyncio.get_running_loop().time()
            if now >= self._quiet_until:
                log.error("descriptors_exhausted", hint="raise the limit of open files (ulimit -n)")
            self._quiet_until = now + _BURST


def bind(host: str, port: int, setting: str) -> list[socket.socket]:
    """Sockets on all addresses of a host, with one port.

    Raises:
        AddressInUseError: If one is taken, or there is none.
    """
    bound: list[socket.socket] = []
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        addresses = list(dict.fromkeys((family, address) for family, _, _, _, address in found))
        addresses.sort(key=lambda entry: entry[0] != socket.AF_INET)  # the log names the first
        for family, address in addresses:
            taken = bound[0].getsockname()[1] if bound else port
            try:
                bound.append(_bind(family, (address[0], taken, *address[2:]), alone=len(addresses) == 1))
            except OSError as cause:
                # A machine without IPv6 has a name for its loopback address all the same.
                if len(addresses) == 1 or cause.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                    raise
        if not bound:
            raise OSError(errno.EADDRNOTAVAIL, os.strerror(errno.EADDRNOTAVAIL))
    except OSError as cause:
        for one in bound:
            one.close()
        raise _in_use(host, port, setting, cause) from cause
    return bound


def _bind(family: int, address: tuple[object, ...], *, alone: bool) -> socket.socket:
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6 and not alone:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listening.bind(address)
        listening.setblocking(False)
    except OSError:
        listening.close()
        raise
    return listening


def _in_use(host: str, port: int, setting: str, cause: OSError) -> AddressInUseError:
    return AddressInUseError(
        f"cannot listen on {host} port {port} ({cause.strerror or cause}): set {setting} to a free address"
    )


def _descriptor_left() -> bool:
    try:
        os.close(os.dup(0))
    except OSError as error:
        return error.errno not in (errno.EMFILE, errno.ENFILE)
    return True
