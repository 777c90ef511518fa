"""A client's message on its way to a service, and the answer on its way back."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from ...protocol.envelope import Message, MessageId
from ...protocol.errors import (
    BadRequestError,
    ConflictError,
    LinkdError,
    RateLimitedError,
    ServiceUnavailableError,
    UnauthorizedError,
    UnknownMessageTypeError,
)
from ...protocol.identity import OPEN, Requirement
from ...protocol.link import Reused
from ...protocol.link_pb2 import Frame
from ...protocol.patterns import RESERVED_PREFIX
from ..core.connection import Hold
from ..core.session import Session
from ..guard.limits import Limits
from .attachment import Attachment
from .attachments import Attachments
from .back_pressure import BackPressure
from .claims import EVERY_SERVICE
from .instance import Instance
from .parking import Parking
from .service import Service
from .services import Services
from .streams import Upload, refuse_answer

_SIGNED_IN = Requirement(auth=True)


class Inbound:
    """Routes messages.

    Args:
        services: Who handles what.
        attachments: Which instance looks after which session.
        pressure: Holds clients back whose service cannot keep up.
        limits: How often a handler may be asked.
        window: Unanswered messages of one session from which on nothing more is read from it.
        make_parking: Makes what keeps messages while their service is replaced; given whom to tell of those that
            waited too long.
    """

    def __init__(
        self,
        services: Services,
        attachments: Attachments,
        pressure: BackPressure,
        limits: Limits,
        window: int,
        make_parking: Callable[[Callable[[Session, Message], None]], Parking],
    ) -> None:
        self._claims = services.claims
        self._attachments = attachments
        self._limits = limits
        self._window = window
        self._pressure = pressure
        self.parking = make_parking(self._give_up)
        self._reused = Reused()

    def route(self, session: Session, message: Message) -> None:
        """Hand the message to the service it is for, keep it until that is back, or answer why neither can be."""
        claims = self._claims
        if session.path == EVERY_SERVICE:
            service = claims.by_type.get(message.type, claims.catch_all)
            if service is None and session.identity is None:
                service = claims.decoy
        else:
            service = claims.by_path.get(session.path)
        try:
            attachment = None if service is None else service.attachments.get(session)
            if service is not None and attachment is None and session.identity is None and service.auth:
                raise UnauthorizedError
            if service is None or attachment is None:
                raise UnknownMessageTypeError(details={"type": message.type})
            # What waits already goes first.
            waits = self.parking.messages and service in self.parking.services(session)
            instance = None if waits else self._instance(session, service, attachment)
            if instance is not None:
                self._check(session, message, instance)
        except LinkdError as error:
            self._refuse(session, message, error)
            return
        if instance is None:
            self._park(session, message, service)
            return
        assert attachment is not None
        in_order = None if message.type in instance.unordered else attachment
        if in_order is not None:
            in_order.in_order += 1
        if message.stream:
            self._open_stream(session, message, instance, in_order)
            return
        data = bytes(message.data)
        frame = self._reused.frame
        wire = frame.inbound
        wire.session = session.id
        wire.type = message.type
        wire.data = data
        session.in_flight += 1
        link = instance.link
        keyed = instance.once and message.type in instance.once
        if keyed:
            wire.key = _key(message)
        link.ask(frame, _Answer(self, session, message.id, in_order, instance))
        if keyed:
            wire.key = ""  # the frame is used again
        self._reused.used(len(data))
        if link.congested:
            self._pressure.hold(session, link)
        if session.in_flight >= self._window:
            _hold(session, Hold.WINDOW)

    def abort(self, session: Session, message: Message) -> None:
        """The client gives up the stream that it sends, if it still does: it may have been answered meanwhile."""
        if session.upload is not None:
            session.upload.abort("aborted")
        if message.id is not None:
            session.answer(message.id, b"")

    def _open_stream(self, session: Session, message: Message, instance: Instance, in_order: Attachment | None) -> None:
        session.in_flight += 1
        done = partial(self.done, attachment=in_order, instance=instance)
        Upload(session, message.id, instance.link, done=done, hold=self._pressure.hold).open(message)

    def _refuse(self, session: Session, message: Message, error: LinkdError) -> None:
        if isinstance(error, RateLimitedError):
            self._limits.refuse(session, message.id, error)
        else:
            session.fail(message.id, error)

    def _instance(self, session: Session, service: Service, attachment: Attachment) -> Instance | None:
        """Who handles the session's next message; ``None``: nobody yet."""
        instance = attachment.instance
        if instance is not None:
            # Nor is a session moved whose on_connect is still running: it would run a second time.
            if not instance.passed_over or not attachment.opened:
                return instance
            # One that is passed over finishes what it has of the session; what comes next waits, so that order holds.
            if attachment.in_order:
                return None if self.parking.enabled else instance
        return self._attachments.pin(session, service)

    def _check(self, session: Session, message: Message, instance: Instance) -> None:
        """Raise what keeps the message from this instance."""
        requirement = instance.handlers.get(message.type)
        if requirement is None:
            # What begins with the gateway's own prefix is none of a service's business.
            if instance.catch_all and not message.type.startswith(RESERVED_PREFIX):
                requirement = OPEN
            elif session.identity is None and instance.protected:
                # Who has not signed in shall not find out which types there are: it gets the same answer.
                requirement = _SIGNED_IN
            else:
                raise UnknownMessageTypeError(details={"type": message.type})
        refusal = requirement.refusal(session.identity)
        if refusal is not None:
            raise refusal
        if instance.rates:
            rate = instance.rates.get(message.type)
            if rate is not None:
                self._limits.handler(session, message.type, rate)
        if message.stream or instance.streams:
            _check_stream(session, message, instance)

    # waiting for an instance

    def _park(self, session: Session, message: Message, service: Service) -> None:
        # The chunks of a stream would have to wait with it.
        if message.stream or not self.parking.park(session, service, message):
            session.fail(message.id, ServiceUnavailableError(retry_after=1.0))
            return
        session.in_flight += 1
        if session.in_flight >= self._window:
            _hold(session, Hold.WINDOW)

    def _give_up(self, session: Session, message: Message) -> None:
        try:
            session.fail(message.id, ServiceUnavailableError(retry_after=1.0))
        finally:
            self.done(session)

    def resume(self, service: Service) -> None:
        """The service has another instance, or one less to wait for: what waits for it goes on."""
        for session in self.parking.sessions(service):
            self._unpark(session, service)

    def _unpark(self, session: Session, service: Service) -> None:
        attachment = service.attachments.get(session)
        if attachment is None or self._instance(session, service, attachment) is None:
            return
        for message in self.parking.take(session, service):
            self.route(session, message)
            # Counted when it was parked, and again now; what could not be routed was answered.
            self.done(session)

    def disconnected(self, session: Session) -> None:
        """The session has no connection any more. Its messages go on; a stream cannot."""
        self._pressure.forget(session)
        if session.upload is not None:
            session.upload.abort("gone")

    def forget(self, session: Session) -> None:
        """The session ended: nobody waits for its answers."""
        self.parking.forget(session)

    def done(self, session: Session, attachment: Attachment | None = None, instance: Instance | None = None) -> None:
        """A message was answered.

        Args:
            session: Whose.
            attachment: Of the session to the message's service; ``None``: it kept no order.
            instance: Who had it; by now the session may be another one's.
        """
        session.in_flight -= 1
        # Resuming at half the window reads the next messages together instead of one for each answer. It is looked at
        # before messages that waited go on: each of those that is refused counts down, too, and several at once would
        # take the number past exactly half.
        if session.in_flight == self._window // 2 and session.connection is not None:
            session.connection.release(Hold.WINDOW)
        if attachment is not None and attachment.instance is instance:
            attachment.in_order -= 1
            if self.parking.messages and not attachment.in_order:
                for service in self.parking.services(session):
                    self._unpark(session, service)


def _key(message: Message) -> str:
    """By which a handler with ``once`` knows a message."""
    if message.key is not None:
        return f"k{message.key}"
    return "" if message.id is None else f"i{message.id}"


def _hold(session: Session, reason: Hold) -> None:
    if session.connection is not None:
        session.connection.hold(reason)


def _check_stream(session: Session, message: Message, instance: Instance) -> None:
    """Raise what keeps a message from being a stream, or from being none."""
    takes = message.type in instance.streams
    if takes and not message.stream:
        raise BadRequestError('This type takes a stream: announce it with "stream": true.')
    if message.stream and not takes:
        raise BadRequestError("This type takes no stream.")
    if message.stream and session.upload is not None and not session.upload.replied:
        raise ConflictError("The session's last stream has not ended.", type="STREAM_OPEN")


class _Answer:
    """Waits for the answer to one message."""

    __slots__ = ("_attachment", "_id", "_inbound", "_instance", "_session")

    def __init__(
        self,
        inbound: Inbound,
        session: Session,
        id: MessageId | None,
        attachment: Attachment | None,
        instance: Instance,
    ) -> None:
        self._inbound = inbound
        self._session = session
        self._id = id
        self._attachment = attachment
        self._instance = instance

    def answered(self, frame: Frame) -> None:
        session = self._session
        try:
            if self._id is not None:
                session.answer(self._id, frame.response.data)
        except BadRequestError as error:
            refuse_answer(session, self._id, self._instance.link, error)
        finally:
            self._inbound.done(session, self._attachment, self._instance)

    def failed(self, error: LinkdError) -> None:
        try:
            self._session.fail(self._id, error)
        finally:
            self._inbound.done(self._session, self._attachment, self._instance)
