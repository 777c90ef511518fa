"""TLS on the gateway's port: the certificate, and the handshakes that are not complete.

The only module that touches uvloop's ``SSLProtocol``, which is not documented.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import cast

import structlog
from uvloop.loop import SSLProtocol  # type: ignore[attr-defined]

from ...protocol.errors import SetupError
from ..core.traffic import Traffic
from ..guard.doorstep import Doorstep
from .stages import Progress, Stage

# uvloop keeps the last protocol of its own kind for as long as the transport: one for all (framing.py has another).
_NOBODY = asyncio.Protocol()
_NOBODY_BUFFERED = asyncio.BufferedProtocol()

log = structlog.get_logger("linkd.edge")


def let_go(transport: asyncio.Transport) -> None:
    """For ``connection_lost`` of a protocol with buffers: uvloop's TLS keeps methods of it for as long as the protocol
    keeps the transport. Such a circle holds a quarter of a megabyte until the garbage collector comes by, which is
    seldom here.
    """
    if transport.get_extra_info("sslcontext") is not None:
        transport.set_protocol(_NOBODY_BUFFERED)


class CertificateError(SetupError):
    """The certificate or its key cannot be used; the text says what to change."""


class Certificate:
    """A certificate in files that may change: who connects afterwards gets the new one.

    Args:
        certfile: Chain, PEM.
        keyfile: Its private key, PEM; ``None``: it is in the chain's file.

    Attributes:
        context: For the next connection.

    Raises:
        CertificateError: If they cannot be used.
    """

    def __init__(self, certfile: Path, keyfile: Path | None) -> None:
        self._certfile = certfile
        self._keyfile = keyfile
        self._seen = self._stamp()
        try:
            self.context = self._load()
        except OSError as cause:  # the parent of ssl.SSLError
            raise CertificateError(
                f"the certificate cannot be used ({cause.strerror or cause}): set LINKD_CERTFILE and LINKD_KEYFILE to "
                "PEM files that belong together"
            ) from cause

    def renew(self, *, force: bool = False) -> None:
        """Take the files if they changed, or at any rate; if they cannot be used, log it and keep what there is."""
        stamp = self._stamp()
        if stamp == self._seen and not force:
            return
        self._seen = stamp
        try:
            self.context = self._load()
        except OSError as cause:
            log.error("certificate_unusable", file=str(self._certfile), reason=str(cause.strerror or cause))
        else:
            log.info("certificate_renewed", file=str(self._certfile))

    def _load(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._certfile, self._keyfile, password=_no_password)
        return context

    def _stamp(self) -> object:
        return [_stamp(file) for file in (self._certfile, self._keyfile) if file is not None]


class Handshaking(asyncio.Protocol):
    """A connection that has to complete a TLS handshake. It counts as unfinished, and may take as long as a head.

    Args:
        certificate: What to show.
        doorstep: Says whose connection is worth a handshake, and counts those that are not complete.
        traffic: Counts them by stage, and those that failed.
        timeout: Seconds.
        make: Makes the protocol of a connection whose handshake is complete, for an address that was counted.
    """

    def __init__(
        self,
        certificate: Certificate,
        doorstep: Doorstep,
        traffic: Traffic,
        timeout: float,
        make: Callable[[str], asyncio.BaseProtocol],
    ) -> None:
        self._certificate = certificate
        self._doorstep = doorstep
        self._traffic = traffic
        self._timeout = timeout
        self._make = make

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        self._transport = cast(asyncio.Transport, transport)
        self._progress = Progress(self._traffic.http, lambda _: self._transport.abort())
        peer = transport.get_extra_info("peername")
        self._address = peer[0] if isinstance(peer, tuple) else ""
        if self._doorstep.bars(self._address):
            self._cut("barred")
        elif not self._doorstep.enter(self._address):
            self._cut("unfinished")
        else:
            self._shake()

    def _shake(self) -> None:
        # As loop.create_server(ssl=...) does, which does not say where a connection comes from until its handshake is
        # complete, nor that one failed. loop.start_tls is a coroutine: until it runs, what came would be lost.
        loop = asyncio.get_running_loop()
        complete = loop.create_future()
        complete.add_done_callback(self._ended)
        secured = SSLProtocol(
            loop,
            self._make(self._address),
            self._certificate.context,
            complete,
            server_side=True,
            ssl_handshake_timeout=self._timeout,
        )
        # uvloop has the same deadline, and waits for the client's goodbye after it.
        self._progress.enter(Stage.TLS, self._timeout + 1)
        self._transport.set_protocol(_NOBODY)
        self._transport.set_protocol(secured)
        secured.connection_made(self._transport)

    def _ended(self, complete: asyncio.Future[None]) -> None:
        self._progress.end()
        if complete.cancelled() or complete.exception() is not None:
            self._doorstep.leave(self._address)
            self._cut("tls")

    def _cut(self, outcome: str) -> None:
        self._traffic.handshakes[outcome] += 1
        self._transport.abort()


def _stamp(file: Path) -> tuple[int, int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size


def _no_password() -> str:
    """Where the key has a password: a prompt would hang the gateway."""
    raise OSError("the private key has a password")
