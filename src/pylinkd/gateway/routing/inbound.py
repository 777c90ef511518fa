"""A client's message on its way to a service, and the answer on its way back."""

from __future__ import annotations

from ...protocol.envelope import Message, MessageId
from ...protocol.errors import LinkdError, ServiceUnavailableError, UnknownMessageTypeError
from ...protocol.identity import OPEN
from ...protocol.link_pb2 import Frame
from ...protocol.patterns import RESERVED_PREFIX
from ..core.session import Session
from .link import ServiceLink
from .services import EVERY_SERVICE, Service, Services


class Inbound:
    """Routes messages, and holds back clients whose service cannot keep up.

    Args:
        services: Who handles what.
        window: Unanswered messages of one session from which on nothing more is read from it.
    """

    def __init__(self, services: Services, window: int) -> None:
        self._services = services
        self._window = window
        self._held: dict[ServiceLink, set[Session]] = {}
        # One frame for all messages: it is encoded before route() returns. Making a new one costs 0.4 µs.
        self._frame = Frame()
        self._wire = self._frame.inbound

    def route(self, session: Session, message: Message) -> None:
        """Hand the message to the service it is for, or answer with the error that says why not."""
        services = self._services
        service = (
            services.by_type.get(message.type, services.catch_all)
            if session.path == EVERY_SERVICE
            else services.by_path.get(session.path)
        )
        try:
            link = self._admit(session, message, service)
        except LinkdError as error:
            session.fail(message.id, error)
            return
        wire = self._wire
        wire.session = session.id
        wire.type = message.type
        wire.data = bytes(message.data)
        session.in_flight += 1
        link.ask(self._frame, _Answer(self, session, message.id))
        if link.congested:
            self._held.setdefault(link, set()).add(session)
            self._pause(session)
        elif session.in_flight >= self._window:
            self._pause(session)

    def _admit(self, session: Session, message: Message, service: Service | None) -> ServiceLink:
        """The link that the message leaves on.

        Raises:
            LinkdError: If there is none for this session and type.
        """
        if service is None:
            raise UnknownMessageTypeError(details={"type": message.type})
        attachment = service.attachments.get(session)
        if attachment is None:
            raise UnknownMessageTypeError(details={"type": message.type})
        instance = attachment.instance
        # A draining instance keeps the sessions whose messages it has, so that their order holds.
        # Nor is a session moved whose on_connect is still running: it would run a second time.
        movable = attachment.opened and not session.in_flight
        if instance is None or (instance.draining and movable):
            instance = self._services.pin(session, service)
            if instance is None:
                raise ServiceUnavailableError(retry_after=1.0)
        requirement = instance.handlers.get(message.type)
        if requirement is None:
            # What begins with the gateway's own prefix is none of a service's business.
            if not instance.catch_all or message.type.startswith(RESERVED_PREFIX):
                raise UnknownMessageTypeError(details={"type": message.type})
            requirement = OPEN
        refusal = requirement.refusal(session.identity)
        if refusal is not None:
            raise refusal
        return instance.link

    def ready(self, link: ServiceLink) -> None:
        """The link takes messages again: go on reading from the clients that were held back for it."""
        for session in self._held.pop(link, ()):
            if session.in_flight < self._window:
                self._resume(session)

    def done(self, session: Session) -> None:
        """A message was answered."""
        session.in_flight -= 1
        # Resuming at half the window reads the next messages together instead of one for each answer.
        # On /ws another service's link may be what holds the session back.
        if session.in_flight == self._window // 2 and not any(session in held for held in self._held.values()):
            self._resume(session)

    @staticmethod
    def _pause(session: Session) -> None:
        if session.connection is not None:
            session.connection.pause_reading()

    @staticmethod
    def _resume(session: Session) -> None:
        if session.connection is not None:
            session.connection.resume_reading()


class _Answer:
    """Waits for the answer to one message."""

    __slots__ = ("_id", "_inbound", "_session")

    def __init__(self, inbound: Inbound, session: Session, id: MessageId | None) -> None:
        self._inbound = inbound
        self._session = session
        self._id = id

    def answered(self, frame: Frame) -> None:
        session = self._session
        try:
            if self._id is not None:
                session.answer(self._id, frame.response.data)
        finally:
            self._inbound.done(session)

    def failed(self, error: LinkdError) -> None:
        try:
            self._session.fail(self._id, error)
        finally:
            self._inbound.done(self._session)
