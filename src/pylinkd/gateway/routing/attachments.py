"""Which services know which session, and which instance of each looks after it.

A session is attached to each service that its path reaches, and pinned to one instance of it while that instance
lives, so that its messages are handled in order. Beginning and end of a session are announced here, and nowhere else.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence

from ...protocol.close import close_code_for
from ...protocol.end import EndReason
from ...protocol.envelope import MSGPACK
from ...protocol.errors import LinkdError
from ...protocol.link_pb2 import CODEC_JSON, CODEC_MSGPACK, Frame
from ...protocol.link_pb2 import Session as WireSession
from ...protocol.link_values import fill_identity
from ..core.session import Session
from .adoption import Adoption
from .attachment import Attachment
from .claims import EVERY_SERVICE
from .instance import Instance
from .link import UNAWAITED, LinkLostError
from .owed import Owed
from .service import Service
from .services import Services


class Attachments:
    """Sessions and the services that know them.

    Args:
        services: The services.
        schedule: Runs a function after so many seconds; ``loop.call_later`` in the real gateway.
    """

    def __init__(self, services: Services, schedule: Callable[[float, Callable[[], None]], object]) -> None:
        self._services = services
        self._adoption = Adoption(self.pin, schedule)
        self._on_shared_path: set[Session] = set()

    def include(self, service: Service) -> None:
        """The service was not known before: whoever is on the shared path reaches it."""
        for session in self._on_shared_path:
            if session.identity is not None or not service.auth:
                service.attachments[session] = Attachment()

    def begin(self, session: Session) -> None:
        """A session begins: announce it to the services on its path, except to those that first ask who it is."""
        if session.path == EVERY_SERVICE:
            self._on_shared_path.add(session)
        for service in self._services.reached(session.path):
            if session.identity is not None or not service.auth:
                service.attachments[session] = Attachment()
                self.pin(session, service)

    def identified(self, session: Session) -> None:
        """A session signed in, or renewed its token: announce it to the services that know it."""
        assert session.identity is not None
        for service in self._services.reached(session.path):
            if session not in service.attachments:
                service.attachments[session] = Attachment()
                self.pin(session, service)
        for instance in self.looking_after(session):
            frame = Frame()
            frame.session_identified.session = session.id
            fill_identity(frame.session_identified.identity, session.identity)
            instance.link.ask(frame, UNAWAITED)

    def detached(self, session: Session) -> None:
        """A session's client is away: announce it to the services that know it."""
        for instance in self.looking_after(session):
            frame = Frame()
            frame.session_detached.session = session.id
            instance.link.ask(frame, UNAWAITED)

    def resumed(self, session: Session) -> None:
        """A session's client is back: announce it to the services that know it."""
        for instance in self.looking_after(session):
            frame = Frame()
            frame.session_resumed.session = session.id
            frame.session_resumed.remote_address = session.remote_address
            frame.session_resumed.user_agent = session.user_agent
            instance.link.ask(frame, UNAWAITED)

    def end(self, session: Session, reason: EndReason, rooms: Mapping[Service, Sequence[str]]) -> None:
        """A session ended: announce it to the services that knew it, or keep it for their next instance.

        Args:
            session: The session.
            reason: Why.
            rooms: For each of these services, those that the session was in.
        """
        self._on_shared_path.discard(session)
        for service in self._services:
            attachment = service.forget(session)
            if attachment is None or (attachment.instance is None and not attachment.began):
                continue
            frame = Frame()
            _describe(frame.session_closed.session, session)
            frame.session_closed.reason = reason
            frame.session_closed.rooms.extend(rooms[service])
            if attachment.instance is not None:
                attachment.instance.sessions -= 1
            Owed(service, frame).tell(attachment.instance or service.available())

    def pin(self, session: Session, service: Service) -> Instance | None:
        """Give the session to an instance, to which it is announced; ``None``: there is none."""
        attachment = service.attachments[session]
        instance = service.available()
        if attachment.instance is not None:
            attachment.instance.sessions -= 1
            _take_away(session, attachment.instance)
        attachment.instance = instance
        attachment.in_order = 0  # what another instance still has of it is that one's
        if instance is not None:
            instance.sessions += 1
            attachment.began = True
            frame = Frame()
            _describe(frame.session_opened.session, session)
            frame.session_opened.adopted = attachment.opened
            instance.link.ask(frame, _Opening(session, service, attachment))
        return instance

    def looking_after(self, session: Session) -> Iterator[Instance]:
        """The instances that the session is pinned to."""
        for service in self._services.reached(session.path):
            attachment = service.attachments.get(session)
            if attachment is not None and attachment.instance is not None:
                yield attachment.instance

    def hand_out(self, service: Service) -> None:
        """Give an instance what waits for one: sessions without instance, and what no instance has handled."""
        instance = service.available()
        if instance is None:
            return
        owed, service.owed = service.owed, deque()
        for frame in owed:
            Owed(service, frame).tell(instance)
        handler = service.presence_handler
        if handler is not None:
            owed, service.owed_presence = service.owed_presence, deque()
            for frame in owed:
                Owed(service, frame).tell(handler)
        self._adoption.begin(service)


def _take_away(session: Session, instance: Instance) -> None:
    """Tell the instance that had it, unless that ends anyway."""
    if not instance.draining:
        frame = Frame()
        frame.session_moved.session = session.id
        instance.link.ask(frame, UNAWAITED)


class _Opening:
    """Waits for a service's on_connect."""

    __slots__ = ("_attachment", "_service", "_session")

    def __init__(self, session: Session, service: Service, attachment: Attachment) -> None:
        self._session = session
        self._service = service
        self._attachment = attachment

    def answered(self, frame: Frame) -> None:
        self._service.opened(self._attachment)

    def failed(self, error: LinkdError) -> None:
        # Where the process died instead of answering, the next instance runs on_connect (hand_out).
        if isinstance(error, LinkLostError):
            return
        self._attachment.began = False
        self._session.fail(None, error)
        self._session.close(close_code_for(error), error.message, EndReason.REFUSED)


def _describe(wire: WireSession, session: Session) -> None:
    wire.id = session.id
    wire.path = session.path
    wire.codec = CODEC_MSGPACK if session.codec is MSGPACK else CODEC_JSON
    if session.identity is not None:
        fill_identity(wire.identity, session.identity)
    wire.remote_address = session.remote_address
    wire.user_agent = session.user_agent
    wire.connected_at_ms = round(session.connected_at * 1000)
    wire.detached = session.connection is None
    if session.metadata:
        wire.metadata.update(session.metadata)
