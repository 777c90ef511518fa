"""The gateway: in which order its parts start, and in which they stop."""

from __future__ import annotations

import asyncio
from functools import partial

import structlog

from ..collector import PauseWatch
from ..protocol.close import CloseCode
from .assembly import Assembly
from .edge.listener import AddressInUseError
from .routing import liveness
from .routing.socket import LinkSocketError
from .settings import Settings
from .supervision import Supervision

log = structlog.get_logger("linkd")

_LINK_STEP = 0.02  # seconds between two looks at which links are left


class Gateway:
    """One gateway process.

    Args:
        settings: What to listen on, and every limit.

    Attributes:
        parts: What it is made of.
        failed: Set when the gateway cannot go on: it should be stopped, and its process end with status 1.

    Raises:
        SetupError: If a file or an address of the settings cannot be used.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._stopping = False
        self.failed = asyncio.Event()
        self.parts = Assembly(settings, lambda: not self._stopping)
        self._supervision = Supervision(self.failed.set)
        self._pauses = PauseWatch(self.parts.traffic.gc_pause.observe)

    @property
    def address(self) -> str:
        """Where clients connect, such as ``http://127.0.0.1:3000``."""
        return self.parts.listener.address

    async def start(self) -> None:
        """Listen for clients and for services.

        Raises:
            LinkSocketError: If the link's socket cannot be opened.
            AddressInUseError: If another process began to listen on a port meanwhile.
        """
        parts = self.parts
        try:
            await parts.link_socket.open()
            await parts.listener.open()
            await parts.admin.open()
        except (LinkSocketError, AddressInUseError):
            parts.link_socket.close()
            await parts.listener.close(0)
            await parts.admin.close(0)
            raise
        self._supervision.keep("linkd-links", partial(liveness.watch, parts.routing.links))
        self._supervision.keep("linkd-heartbeat", parts.clients.watch)
        if parts.guard.tokens.remote:
            self._supervision.keep("linkd-keys", parts.guard.tokens.keep_keys)
        self._pauses.start()
        log.info(
            "gateway_started",
            address=self.address,
            admin=parts.admin.address,
            link=str(parts.link_socket.address),
            env=self._settings.env,
        )

    def renew(self) -> None:
        """Take files that were replaced: a renewed certificate, a rotated audit file."""
        self.parts.listener.renew()
        self.parts.guard.audit.reopen()

    async def stop(self, *, restart: bool = False) -> None:
        """Take nobody new, release the clients a few at a time, answer what is in flight, then close every link.

        Args:
            restart: Whether another gateway takes over at once, which the close code says (1012, else 1001).
        """
        self._stopping = True
        parts, clock, timeout = self.parts, asyncio.get_running_loop().time, self._settings.shutdown_timeout
        log.info("gateway_stopping", sessions=len(parts.routing.registry), restart=restart)
        deadline = clock() + timeout
        parts.upgrade.stop()
        for link in parts.routing.links:
            link.end_event_streams()
        code = CloseCode.SERVICE_RESTART if restart else CloseCode.GOING_AWAY
        await parts.clients.drain(code, timeout, self._give_up)
        self._supervision.stop()
        await parts.admin.close(0)
        await parts.listener.close(deadline - clock())
        parts.guard.audit.close()
        self._pauses.stop()
        parts.link_socket.close()
        await self._end_links()
        log.info("gateway_stopped")

    def _give_up(self) -> None:
        """Nobody waits for a service any more."""
        self.parts.routing.inbound.parking.abandon()
        for link in self.parts.routing.links:
            link.abandon()

    async def _end_links(self) -> None:
        """Services get what was written to them; one that does not read is cut."""
        links = self.parts.routing.links
        for link in list(links):
            link.finish()
        while links:
            await asyncio.sleep(_LINK_STEP)
