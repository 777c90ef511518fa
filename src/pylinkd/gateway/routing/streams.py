"""Large messages as streams: chunks of a client on their way to one handler, a few at a time.

A client announces a stream with a message, sends the chunks, and ends it. The handler's answer is the announcement's.
A session has one stream at a time. What is sent beyond a few chunks that the handler has not taken stays with its
client.
"""

from __future__ import annotations

from collections.abc import Callable

import structlog

from ...protocol.envelope import Message, MessageId
from ...protocol.errors import BadRequestError, InternalError, LinkdError
from ...protocol.link import STREAM_WINDOW
from ...protocol.link_pb2 import Frame
from ..core.connection import Hold
from ..core.session import Session
from .link import ServiceLink

log = structlog.get_logger("linkd.services")


class Upload:
    """One stream. A Waiter (link.py): what it gets is the handler's.

    Attributes:
        ended: The client has sent the end, or given up.
        replied: See core.session.Upload.
    """

    __slots__ = ("_done", "_hold", "_id", "_link", "_request_id", "_session", "_untaken", "ended", "replied")

    def __init__(
        self,
        session: Session,
        id: MessageId | None,
        link: ServiceLink,
        *,
        done: Callable[[Session], None],
        hold: Callable[[Session, ServiceLink], None],
    ) -> None:
        self._session = session
        self._id = id
        self._link = link
        self._done = done
        self._hold = hold
        self._request_id = 0
        self._untaken = 0
        self.ended = False
        self.replied = False

    def open(self, message: Message) -> None:
        """Announce the stream to the service."""
        frame = Frame()
        frame.stream_opened.session = self._session.id
        frame.stream_opened.type = message.type
        frame.stream_opened.data = bytes(message.data)
        self._session.upload = self
        self._request_id = self._link.ask(frame, self)

    def chunk(self, data: bytes) -> None:
        """Pass a chunk on, and hold the client back where the handler has enough of them."""
        if self.replied or self.ended:
            return
        self._untaken += 1
        frame = Frame()
        frame.stream_chunk.data = data
        self._link.answer(self._request_id, frame)
        if self._link.congested:
            self._hold(self._session, self._link)
        if self._untaken >= STREAM_WINDOW and self._session.connection is not None:
            self._session.connection.hold(Hold.STREAM)

    def taken(self) -> None:
        """The handler has taken a chunk."""
        self._untaken -= 1
        if self._untaken == STREAM_WINDOW // 2:
            self._go_on()

    def end(self) -> None:
        """The client has sent everything."""
        frame = Frame()
        frame.stream_chunk.last = True
        self._finish(frame)

    def abort(self, reason: str) -> None:
        """The client has given up, or is gone."""
        frame = Frame()
        frame.stream_aborted.reason = reason
        self._finish(frame)

    def _finish(self, frame: Frame) -> None:
        if not self.ended and not self.replied:
            self._link.answer(self._request_id, frame)
        self.ended = True
        self._forget()

    def _forget(self) -> None:
        """A session may open the next stream once this one is both ended and answered."""
        if self.ended and self.replied and self._session.upload is self:
            self._session.upload = None

    def _go_on(self) -> None:
        if self._session.connection is not None:
            self._session.connection.release(Hold.STREAM)

    # link.Waiter

    def answered(self, frame: Frame) -> None:
        """See Waiter."""
        try:
            if self._id is not None:
                self._session.answer(self._id, frame.response.data)
        except BadRequestError as error:
            refuse_answer(self._session, self._id, self._link, error)
        finally:
            self._over()

    def failed(self, error: LinkdError) -> None:
        """See Waiter."""
        try:
            self._session.fail(self._id, error)
        finally:
            self._over()

    def _over(self) -> None:
        self.replied = True
        self._forget()
        self._go_on()
        self._done(self._session)


def refuse_answer(session: Session, id: MessageId | None, link: ServiceLink, error: BadRequestError) -> None:
    """A service answered with something that no client may be sent, which is no client's fault."""
    log.error("answer_malformed", service=link.name, session=session.id, error=error.message)
    session.fail(id, InternalError())
