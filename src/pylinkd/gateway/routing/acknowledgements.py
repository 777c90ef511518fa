"""``linkd.ack``: clients say what they have got and sent, and are told what came of theirs."""

from __future__ import annotations

from collections.abc import Callable

import structlog

from ...protocol.close import CloseCode
from ...protocol.control import Ack
from ...protocol.end import EndReason
from ...protocol.envelope import Message
from ...protocol.errors import BadRequestError
from ..core.delivery import Delivery
from ..core.resumption import StreamError
from ..core.session import Session
from ..core.traffic import Traffic
from ..guard.limits import Limits

log = structlog.get_logger("linkd.sessions")

_DELAY = 5.0  # seconds after which a client is told that its messages came, where these are few


class Acknowledgements:
    """Both directions of them.

    Args:
        delivery: The door to clients.
        limits: How often a client may acknowledge.
        traffic: Counts where the two sides have counted differently.
        clock: Seconds, monotonic.
    """

    def __init__(self, delivery: Delivery, limits: Limits, traffic: Traffic, clock: Callable[[], float]) -> None:
        self._delivery = delivery
        self._limits = limits
        self._traffic = traffic
        self._clock = clock
        # In the order of their moments, since all wait as long. A session is in it once.
        self._due: dict[Session, float] = {}

    def took(self, session: Session) -> None:
        """A message of the client's came that it is to be told of: now, if these are many, or soon."""
        assert session.resumption is not None
        if session.resumption.attend():
            self._delivery.confirm(session)
        else:
            self._due.setdefault(session, self._clock() + _DELAY)

    def sweep(self) -> None:
        """Tell those whose messages came a while ago."""
        now = self._clock()
        while self._due:
            session, due = next(iter(self._due.items()))
            if due > now:
                return
            del self._due[session]
            resumption = session.resumption
            if resumption is not None and resumption.received > resumption.confirmed:
                self._delivery.confirm(session)

    def received(self, session: Session, message: Message, *, charged: bool) -> None:
        """The client acknowledges.

        Args:
            session: Whose client it is.
            message: The acknowledgement.
            charged: It was counted as a message, which it is not.
        """
        resumption = session.resumption
        if resumption is None or not self._limits.acknowledgement(session, charged=charged):
            return
        try:
            ack = Ack.read(session.codec, bytes(message.data))
            resumption.acknowledge(ack.received, ack.sent)
        except BadRequestError as error:
            session.fail(message.id, error)
            self._close(session, error.message)
            return
        except StreamError as error:
            if error.drifted:
                self._traffic.drift += 1
                user = None if session.identity is None else session.identity.user
                log.error("stream_drifted", session=session.id, user=user, problem=str(error))
            self._close(session, str(error))
            return
        resumption.oldest = 0
        if message.id is not None:
            session.answer(message.id, b"")
        if ack.echo:
            self._delivery.confirm(session)

    def _close(self, session: Session, reason: str) -> None:
        session.close(CloseCode.PROTOCOL_ERROR, reason, EndReason.PROTOCOL_ERROR)
