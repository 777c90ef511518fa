"""The service's end of the link: connect, register, reconnect; questions ⇄ answers.

What the gateway asks is runtime.py's business.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import random
import ssl
from collections.abc import Callable
from typing import Protocol

import structlog

from ..endpoint import Endpoint, peer_credentials, read_rest
from ..protocol.errors import InternalError, LinkdError, PayloadTooLargeError, ServiceUnavailableError, SetupError
from ..protocol.link import MAX_FIRST_FRAME_SIZE, MAX_FRAME_SIZE, LinkProtocolError, encode, read_failure
from ..protocol.link_pb2 import Frame, Registered
from ..protocol.rendezvous import Rendezvous, RendezvousError

log = structlog.get_logger("linkd.link")

_ANSWERS = frozenset({"published", "done", "failure", "room_list", "member_list", "call_result", "event_done"})

_PATIENCE = 2.0  # seconds from the start of the service in which a gateway that is not there is no news
_FIRST_DELAY = 0.1  # seconds; the delay doubles from here
_LONGEST_DELAY = 5.0
_CONNECT_TIMEOUT = 10.0  # of TCP and TLS together
_REGISTER_TIMEOUT = 5.0
_REJOIN_TIMEOUT = 2.0  # for a service that stops to learn whether its gateway lives
_CLOSE_TIMEOUT = 1.0  # for the gateway to end a link that has served its purpose
_SILENCE_LIMIT = 30.0  # seconds; the gateway asks for a sign of life every five
_WATCH_STEP = 1.0  # seconds
_SLEPT = 15.0  # seconds without a turn of the loop; the gateway gives a process up that was silent for 20, and asks
# every 5, so that this one may have been given up already
_MOST_QUESTIONS = 10_000  # that wait for the gateway at once

_MAX_REGISTRATION = MAX_FIRST_FRAME_SIZE - 11  # the request's number takes up to 11 bytes


class RefusedError(SetupError):
    """The gateway does not take this service; trying again would not help. The text says why."""


class Asker(Protocol):
    """What contexts need of the link."""

    def ask(self, frame: Frame) -> asyncio.Future[Frame]:
        """Send a question; the future has its answer, or a LinkdError.

        Raises:
            PayloadTooLargeError: If it is larger than a frame of the link may be. Nothing was sent.
        """


class LinkOwner(Protocol):
    """What the link needs of the runtime."""

    def registration(self) -> Frame:
        """The register frame for what the service offers now."""

    def registered(self, link: Link, answer: Registered) -> None:
        """The gateway has taken the service; questions may follow at once."""

    def received(self, link: Link, kind: str, frame: Frame) -> None:
        """The gateway asks something."""

    def paused(self) -> None:
        """The gateway does not read what it is sent: it should not become more."""

    def resumed(self) -> None:
        """It reads again."""

    def lost(self) -> None:
        """The link broke; it is being made anew unless the service stops."""


class Link(Endpoint):
    """One connection to the gateway. A broken one is replaced by a new object."""

    def __init__(self, owner: LinkOwner) -> None:
        super().__init__()
        self._owner = owner
        self._questions: dict[int, asyncio.Future[Frame]] = {}
        self._given_up = self._registered = False
        self.heard_at = self.awake_at = self._loop.time()
        self.closed: asyncio.Future[None] = self._loop.create_future()

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        now = self._loop.time()
        if now - self.awake_at > _SLEPT:
            self.stay_awake()
        if self._given_up:
            return
        self.heard_at = self.awake_at = now
        try:
            for frame in self._reader.feed(data):
                kind = frame.WhichOneof("body")
                if kind in _ANSWERS:
                    self._answered(kind, frame)
                elif kind == "registered":
                    # Before the next frame, which may be the gateway's first question.
                    self._registered = True
                    self._owner.registered(self, frame.registered)
                    self._answered(kind, frame)
                elif kind is not None:
                    self._received(kind, frame)
        except LinkProtocolError as error:
            log.error("link_protocol_error", error=str(error))
            self.close()

    def stay_awake(self) -> None:
        """Give the link up if this process slept so long (SIGSTOP, a frozen VM, a handler that blocks) that the gateway
        may have given it up: what still waits in the socket was answered, and may be another instance's by now.
        """
        now = self._loop.time()
        slept = now - self.awake_at
        self.awake_at = now
        if slept > _SLEPT and not self._given_up:
            log.warning("link_given_up", slept=round(slept, 1))
            self._given_up = True
            self.abort()

    def pause_writing(self) -> None:
        """See asyncio.Protocol."""
        self._owner.paused()

    def resume_writing(self) -> None:
        """See asyncio.Protocol."""
        self._owner.resumed()

    def _received(self, kind: str, frame: Frame) -> None:
        try:
            self._owner.received(self, kind, frame)
        except Exception:
            # One frame's fault must not cost the service its link.
            log.exception("frame_failed", kind=kind)
            self.fail(frame.request_id, InternalError())

    def _answered(self, kind: str | None, frame: Frame) -> None:
        future = self._questions.pop(frame.request_id, None)
        if future is None or future.done():
            return  # whoever asked was cancelled
        if kind == "failure":
            future.set_exception(read_failure(frame.failure))
        else:
            future.set_result(frame)

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        transport, self._transport = self._transport, None
        if transport is not None and not self._given_up:
            self._take_rest(transport)
        if self._registered:
            self._owner.lost()  # at once: no job may begin that the gateway has given to another instance
        questions, self._questions = self._questions, {}
        for future in questions.values():
            if not future.done():
                future.set_exception(ServiceUnavailableError("The gateway is gone.", retry_after=1.0))
                future.exception()  # an emit that nobody awaits any more is no news
        if not self.closed.done():
            self.closed.set_result(None)

    def _take_rest(self, transport: asyncio.BaseTransport) -> None:
        """What the gateway answered before it ended counts. What it asked does not: nobody would read the answer."""
        try:
            for data in read_rest(transport):
                for frame in self._reader.feed(data):
                    kind = frame.WhichOneof("body")
                    if kind in _ANSWERS:
                        self._answered(kind, frame)
        except LinkProtocolError as error:
            log.error("link_protocol_error", error=str(error))

    def ask(self, frame: Frame) -> asyncio.Future[Frame]:
        """See Asker."""
        future: asyncio.Future[Frame] = self._loop.create_future()
        if len(self._questions) >= _MOST_QUESTIONS:
            future.set_exception(ServiceUnavailableError("Too many questions wait for the gateway.", retry_after=1.0))
            return future
        if self._transport is None:
            future.set_exception(ServiceUnavailableError("The gateway is gone.", retry_after=1.0))
            return future
        self._last_id = frame.request_id = self._last_id + 1
        try:
            encoded = encode(frame)
        except LinkProtocolError as cause:
            raise PayloadTooLargeError(details={"limit": MAX_FRAME_SIZE}) from cause
        self._questions[self._last_id] = future
        self._write(encoded)
        return future

    def close(self) -> None:
        """End the connection after what was written has left."""
        if self._transport is not None:
            self.flush()
            self._transport.close()


class Connector:
    """Keeps a registered link to the gateway for as long as the service runs.

    Args:
        rendezvous: Where the gateway is, and how both know each other.
        owner: Asked what to register, and told what comes.
        jitter: Returns a number in [0, 1); spreads reconnections of many services over time.

    Raises:
        RendezvousError: If the file with whom to believe about certificates cannot be used.
    """

    def __init__(self, rendezvous: Rendezvous, owner: LinkOwner, jitter: Callable[[], float] = random.random) -> None:
        self._rendezvous = rendezvous
        self._name = str(rendezvous.address)
        self._tls = _client_context(rendezvous) if rendezvous.address.path is None else None
        self._owner = owner
        self._jitter = jitter
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
        self._patient_until = asyncio.get_running_loop().time() + _PATIENCE
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
                if asyncio.get_running_loop().time() - connected_at > _LONGEST_DELAY:
                    # A link that held was a good one: try at once. One that did not is no reason to storm.
                    attempt = 0
                    continue
            attempt += 1
            # Jitter between half and all of a doubling delay; one log line for all attempts.
            longest = min(_LONGEST_DELAY, _FIRST_DELAY * 2 ** min(attempt, 10))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(longest * (0.5 + self._jitter() / 2)):
                    await self._at_once.wait()
            self._at_once.clear()

    async def rejoin(self) -> bool:
        """Try once, and at once, to have a link again; whether there is one."""
        if self.link is None:
            self._tried.clear()
            self._at_once.set()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_REJOIN_TIMEOUT):
                    await self._tried.wait()
        return self.link is not None

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
            async with asyncio.timeout(_REGISTER_TIMEOUT):
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

    async def finish(self, timeout: float) -> bool:
        """Leave: everything is answered. Returns when the gateway has read it all, or after ``timeout`` seconds.

        Returns:
            Whether there was a gateway until then. Where there was not the service may ``rejoin`` another.
        """
        link = self.link
        if link is None:
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
