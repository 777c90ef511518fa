"""Sending from a program that is no service: ``Publisher``, and ``publish`` for a single event.

It registers at the gateway as a peer that handles nothing. Keeping the link is connector.py's business.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import structlog

from ..protocol.errors import LinkdError, NotFoundError, SetupError
from ..protocol.link import PROTOCOL_VERSION
from ..protocol.link_pb2 import Frame, Registered
from ..protocol.patterns import check_name
from ..protocol.rendezvous import Address, Rendezvous
from ..version import __version__
from .calls import DEFAULT_BREAKER, Circuits
from .connector import Connector
from .jobs import done
from .link import Asker, Link, Offline
from .outbound import Outbound
from .target import Receipt
from .validation import RegistrationError

if TYPE_CHECKING:
    from .persistence import Persistence

log = structlog.get_logger("linkd.publisher")

_FIRST_LINK = 5.0  # seconds that entering waits for a gateway
_FINISH_TIMEOUT = 2.0  # seconds in which the gateway reads what was sent


class _NoHandlers:
    """Stands in for the dispatcher: no handler's place is given to another during a call."""

    def call_began(self) -> None:
        pass

    def call_ended(self) -> None:
        pass


class _Peer:
    """The program, as its link and its questions see it: a LinkOwner (link.py), and a Sender (host.py)."""

    def __init__(self, name: str, namespace: str) -> None:
        self.name = name
        self.link: Asker = Offline()
        self.dispatcher = _NoHandlers()
        self.circuits = Circuits(DEFAULT_BREAKER)
        self.persistence: Persistence | None = None  # what is stored is a service's
        self._namespace = namespace
        self._instance = secrets.token_hex(8)

    def registration(self) -> Frame:
        """See link.LinkOwner."""
        frame = Frame()
        register = frame.register
        register.protocol_version = PROTOCOL_VERSION
        register.service = self.name
        register.version = __version__
        register.instance = self._instance
        register.namespace = self._namespace
        register.publisher = True
        return frame

    def registered(self, link: Link, answer: Registered) -> None:
        """See link.LinkOwner."""
        self.link = link

    def received(self, link: Link, kind: str, frame: Frame) -> None:
        """See link.LinkOwner. A sign of life is all that a gateway asks of a publisher."""
        if kind == "ping":
            link.answer(frame.request_id, done())
        else:
            link.fail(frame.request_id, NotFoundError())

    def paused(self) -> None:
        """See link.LinkOwner. The link bounds the questions that wait."""

    def resumed(self) -> None:
        """See link.LinkOwner."""

    def lost(self) -> None:
        """See link.LinkOwner."""
        self.link = Offline()


class Publisher(Outbound):
    """Sends to the clients of a namespace, and calls services, from any asyncio program.

    ``async with`` connects and disconnects it, once. A link that breaks is made anew; while there is none, everything
    raises ServiceUnavailableError at once.

    Args:
        namespace: Of the rooms, which is the name of their service unless that says otherwise.
        name: What services see as the source of its events; the namespace by default. Another one may use the
            namespace where the operator lists the pair in ``LINKD_NAMESPACES``, as with services.
        link: Where the gateway is; ``LINKD_LINK`` by default. Secret and certificates come from the environment.

    Raises:
        RegistrationError: If the namespace or the name is no name.
        RendezvousError: If the link or the environment is wrong.
    """

    def __init__(self, namespace: str, *, name: str | None = None, link: str | Path | Address | None = None) -> None:
        name = namespace if name is None else name
        try:
            check_name(namespace)
            check_name(name)
        except ValueError as cause:
            raise RegistrationError(f"{cause}: write the name of a service, such as 'board'") from cause
        self._peer = _Peer(name, namespace)
        super().__init__(self._peer)
        self._rendezvous = Rendezvous.of(link)
        self._connector: Connector | None = None
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Connect. Without a gateway for 5 seconds it goes on trying, and returns.

        Raises:
            RefusedError: If the gateway does not take the publisher.
            RuntimeError: If it was entered before.
        """
        if self._task is not None:
            raise RuntimeError("a publisher is entered once: make another one")
        first = asyncio.Event()
        self._connector = Connector(self._rendezvous, self._peer)
        self._task = asyncio.create_task(self._connector.run(first), name="linkd-publisher")
        self._task.add_done_callback(_log_refusal)
        waiting = asyncio.create_task(first.wait())
        try:
            await asyncio.wait({self._task, waiting}, timeout=_FIRST_LINK, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            await self._stop()
            raise
        finally:
            waiting.cancel()
        if self._task.done():
            self._task.result()
        return self

    async def __aexit__(
        self, type: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Disconnect, once the gateway has read what was sent, or after 2 seconds."""
        assert self._connector is not None
        try:
            await self._connector.finish(_FINISH_TIMEOUT)
        finally:
            await self._stop()

    async def _stop(self) -> None:
        assert self._connector is not None
        assert self._task is not None
        self._connector.stop()
        self._peer.lost()
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError, LinkdError, SetupError):
            await self._task


def _log_refusal(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("publisher_refused", error=str(error))


async def publish(
    namespace: str, type: str, data: Any = None, *, room: str, link: str | Path | Address | None = None
) -> Receipt:
    """Send one event to a room, over a link of its own. Who sends more keeps a ``Publisher``.

    Raises:
        RefusedError: If the gateway does not take the publisher.
        ServiceUnavailableError: If there is no gateway for 5 seconds.
    """
    async with Publisher(namespace, link=link) as publisher:
        return await publisher.to(room).emit(type, data)
