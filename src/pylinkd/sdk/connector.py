"""Keeps a service connected: finds the gateway, registers, and begins again whenever the link breaks."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import random
import ssl
from collections.abc import Callable

import msgspec
import structlog

from ..link_endpoint import peer_credentials
from ..protocol.errors import LinkdError, ServiceUnavailableError, SetupError
from ..protocol.link import MAX_FIRST_FRAME_SIZE
from ..protocol.link_pb2 import Frame, Registered
from ..protocol.rendezvous import Rendezvous, RendezvousError
from .link import Link, LinkOwner

log = structlog.get_logger("linkd.link")

_CONNECT_TIMEOUT = 10.0  # of TCP and TLS together
_REJOIN_TIMEOUT = 2.0  # for a service that stops to learn whether its gateway lives
_CLOSE_TIMEOUT = 1.0  # for the gateway to end a link that has served its purpose
_SILENCE_LIMIT = 30.0  # seconds; the gateway asks for a sign of life every five
_WATCH_STEP = 1.0  # seconds

_MAX_REGISTRATION = MAX_FIRST_FRAME_SIZE - 11  # the request's number takes up to 11 bytes


class RefusedError(SetupError):
    """The gateway does not take this service; trying again would not help. The text says why."""


class Timing(msgspec.Struct, frozen=True, kw_only=True):
    """How long a service waits for its gateway, in seconds.

    Attributes:
        patience: From the start of the service in which a gateway that is not there is no news.
        first_delay: Before the second attempt to connect; it doubles with each.
        longest_delay: Of these.
        register_timeout: For the gateway to take the registration.
    """

    patience: float = 2.0
    first_delay: float = 0.1
    longest_delay: float = 5.0
    register_timeout: float = 5.0


_TIMING = Timing()


class Connector:
    """Keeps a registered link to the gateway for as long as the service runs.

    Args:
        rendezvous: Where the gateway is, and how both know each other.
        owner: Knows what to register, and handles what comes.
        jitter: Returns a number in [0, 1); spreads reconnections of many services over time.
        timing: How long it waits.

    Raises:
        RendezvousError: If the file with whom to believe about certificates cannot be used.
    """

    def __init__(
        self,
        rendezvous: Rendezvous,
        owner: LinkOwner,
        jitter: Callable[[], float] = random.random,
        timing: Timing = _TIMING,
    ) -> None:
        self._rendezvous = rendezvous
        self._name = str(rendezvous.address)
        self._tls = _client_context(rendezvous) if rendezvous.address.path is None else None
        self._owner = owner
        self._jitter = jitter
        self._timing = timing
        self._stopping = False
        self._changed_meanwhile = False
        self._complaint = ""
        self._patient_until = 0.0
        self._tried = asyncio.Event()
        self._at_once = asyncio.Event()
        self.link: Link | None = None

    async def run(self, first: asyncio.Event) -> None:
        """Connect, register, and begin again whenever the link breaks. ``first`` is set once it has worked.

        Raises:
            RefusedError: If the gateway refuses the registration.
        """
        attempt = 0
        self._patient_until = asyncio.get_running_loop().time() + self._timing.patience
        while not self._stopping:
            link = await self._connect()
            self._tried.set()
            if link is not None:
                first.set()
                connected_at = asyncio.get_running_loop().time()
                await self._watch(link)
                self.link = None
                if self._stopping:
                    return
                log.warning("gateway_lost", link=self._name)
                if asyncio.get_running_loop().time() - connected_at > self._timing.longest_delay:
                    # A link that held was a good one: try at once. One that did not is no reason to storm.
                    attempt = 0
                    continue
            attempt += 1
            # Jitter between half and all of a doubling delay; one log line for all attempts.
            longest = min(self._timing.longest_delay, self._timing.first_delay * 2 ** min(attempt, 10))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(longest * (0.5 + self._jitter() / 2)):
                    await self._at_once.wait()
            self._at_once.clear()

    async def rejoin(self) -> bool:
        """Try once, and at once, to have a link again; whether there is one."""
        if not self._connected:
            self._tried.clear()
            self._at_once.set()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_REJOIN_TIMEOUT):
                    await self._tried.wait()
        return self._connected

    @property
    def _connected(self) -> bool:
        # ``run`` forgets a link only in the turn after it was lost.
        return self.link is not None and not self.link.closed.done()

    async def _connect(self) -> Link | None:
        try:
            link = await self._open()
        except (FileNotFoundError, ConnectionRefusedError) as error:
            # A gateway that is started together with the service needs a moment, which is no news.
            if asyncio.get_running_loop().time() >= self._patient_until:
                self._complain(str(error.strerror))
            return None
        except OSError as error:
            self._complain(error.strerror or str(error) or "it does not answer")
            return None
        try:
            async with asyncio.timeout(self._timing.register_timeout):
                answer = await self._register(link)
        except (TimeoutError, ServiceUnavailableError):
            link.abort()
            self._complain("it did not take the registration; its log may say why")
            return None
        self.link = link
        self._complaint = ""
        log.info("gateway_connected", link=self._name, gateway=answer.gateway)
        if self._changed_meanwhile:
            await self.update()
        return link

    def _complain(self, reason: str) -> None:
        """Say once, not at each attempt, why there is no link."""
        if reason != self._complaint:
            self._complaint = reason
            log.warning("gateway_unreachable", link=self._name, error=reason)

    async def _open(self) -> Link:
        """A connection to the gateway, and to no other process.

        Raises:
            OSError: If there is none; ssl.SSLError and TimeoutError are such errors as well.
        """
        loop, address = asyncio.get_running_loop(), self._rendezvous.address

        def link() -> Link:
            return Link(self._owner)

        async with asyncio.timeout(_CONNECT_TIMEOUT):
            if address.path is None:
                return (await loop.create_connection(link, address.host, address.port, ssl=self._tls))[1]
            transport, opened = await loop.create_unix_connection(link, str(address.path))
        # Somebody else may have put a socket there while no gateway was: they would get messages and the secret.
        credentials = peer_credentials(transport)
        if credentials is None or credentials.uid not in self._rendezvous.uids:
            opened.abort()
            user = "unknown" if credentials is None else credentials.uid
            reason = f"a process of user {user} listens there: list it in LINKD_LINK_UIDS if that is the gateway"
            raise PermissionError(errno.EACCES, reason)
        return opened

    async def _register(self, link: Link) -> Registered:
        try:
            return (await link.ask(self._registration())).registered
        except ServiceUnavailableError:
            raise
        except RefusedError:
            link.close()
            raise
        except LinkdError as error:
            link.close()
            raise RefusedError(error.message) from error

    def _registration(self) -> Frame:
        frame = self._owner.registration()
        frame.register.secret = os.fsencode(self._rendezvous.secret)
        if frame.ByteSize() > _MAX_REGISTRATION:
            raise RefusedError(
                f"the registration of the service takes {frame.ByteSize()} bytes, and a gateway takes "
                f"{_MAX_REGISTRATION}: register fewer handlers and actions, or describe them in fewer words"
            )
        return frame

    async def _watch(self, link: Link) -> None:
        """Return when the link is closed; cut it if the gateway hangs."""
        while not link.closed.done():
            await asyncio.wait([link.closed], timeout=_WATCH_STEP)
            link.stay_awake()
            if asyncio.get_running_loop().time() - link.heard_at > _SILENCE_LIMIT:
                log.error("gateway_silent", link=self._name)
                link.abort()

    async def update(self) -> None:
        """Tell the gateway that what the service offers has changed."""
        # While there is no link, what is registered may have been put together already.
        self._changed_meanwhile = self.link is None
        if self.link is not None:
            try:
                await self.link.ask(self._registration())
            except (LinkdError, RefusedError) as error:
                log.error("registration_refused", error=str(error))

    async def report_health(self, failing: list[str]) -> None:
        """Tell the gateway which health checks fail; a later registration says it again."""
        link = self.link
        if link is None:
            self._changed_meanwhile = True
            return
        frame = Frame()
        frame.health.failing.extend(failing)
        try:
            await link.ask(frame)
        except ServiceUnavailableError:
            pass  # the link broke: the next registration says it
        except LinkdError as error:
            log.error("health_refused", error=str(error))

    async def finish(self, timeout: float) -> bool:
        """Leave: everything is answered. Returns when the gateway has read it all, or after ``timeout`` seconds.

        Returns:
            Whether there was a gateway until then. Where there was not the service may ``rejoin`` another.
        """
        link = self.link
        if link is None or not self._connected:
            return False
        frame = Frame()
        frame.draining.finished = True
        try:
            async with asyncio.timeout(timeout):
                await link.ask(frame)
        except TimeoutError:
            self._stopping = True
            return True
        except LinkdError:
            return False
        self._stopping = True
        await asyncio.wait([link.closed], timeout=_CLOSE_TIMEOUT)
        return True

    def stop(self) -> None:
        """Do not connect again, and close the link."""
        self._stopping = True
        if self.link is not None:
            self.link.close()


def _client_context(rendezvous: Rendezvous) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=rendezvous.cafile)  # checks the certificate and the host's name
    except OSError as cause:  # the parent of ssl.SSLError
        raise RendezvousError(
            f"{rendezvous.cafile} cannot be used ({cause.strerror or cause}): set LINKD_LINK_CAFILE to a PEM file of "
            "certificates"
        ) from cause
    context.hostname_checks_common_name = False  # RFC 9525 §2: a common name is no host's
    context.minimum_version = ssl.TLSVersion.TLSv1_3  # both ends are ours
    return context
