"""Events that want an answer: each recipient's client sends one, and the service gets them together.

An event that wants an answer carries an ``id``, as a client's request does, and is answered in the same form. Whoever
does not answer in time, or has gone, is named.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

import msgspec
import structlog

from ...protocol.envelope import MSGPACK, ErrorBody, Message, MessageId
from ...protocol.errors import ConflictError, LinkdError, PayloadTooLargeError, ServiceUnavailableError
from ...protocol.link_pb2 import CODEC_JSON, CODEC_MSGPACK, Frame
from ...protocol.link_pb2 import Member as WireMember
from ...protocol.link_values import fill_failure
from ..core.session import Session
from .link import ServiceLink

log = structlog.get_logger("linkd.services")

_MOST_RECIPIENTS = 1000
_MOST_OPEN = 10_000
_MOST_BYTES = 8 * 2**20  # of the answers to one event; a frame of the link holds 16 MiB
_LONGEST_TEXT = 1000  # characters of a client's error


class Timer(Protocol):
    """Something that will be run."""

    def cancel(self) -> object:
        """Not any more."""


class Gathering:
    """The answers to one event.

    Attributes:
        id: What the event carries.
        link: To the process that wants the answers.
        timer: Ends the wait.
        waiting: Who has not answered.
    """

    __slots__ = ("_answers", "_request_id", "_size", "id", "link", "timer", "waiting")

    def __init__(self, id: str, link: ServiceLink, request_id: int, recipients: Iterable[Session]) -> None:
        self.id = id
        self.waiting = dict.fromkeys(recipients)
        self.link = link
        self.timer: Timer | None = None
        self._request_id = request_id
        self._answers = Frame().answers
        self._size = 0

    def answered(self, session: Session, message: Message) -> None:
        """One of those that are waited for has answered.

        Raises:
            PayloadTooLargeError: If the answers have become too much.
        """
        data = bytes(message.error if message.type == "error" else message.data)
        self._size += len(data)
        if self._size > _MOST_BYTES:
            raise PayloadTooLargeError("The answers take too much.", details={"limit": _MOST_BYTES})
        del self.waiting[session]
        answer = self._answers.answers.add()
        describe_member(answer.member, session)
        answer.codec = CODEC_MSGPACK if session.codec is MSGPACK else CODEC_JSON
        if message.type == "error":
            fill_failure(answer.failure, _read_error(session, data))
        else:
            answer.data = data

    def gone(self, session: Session) -> None:
        """One of those that are waited for has ended."""
        del self.waiting[session]
        self._miss(session, gone=True)

    def _miss(self, session: Session, *, gone: bool) -> None:
        missing = self._answers.missing.add()
        describe_member(missing.member, session)
        missing.gone = gone

    def finish(self) -> None:
        """Tell the service; whoever is still waited for is missing."""
        for session in self.waiting:
            self._miss(session, gone=False)
        self._answers.SetInParent()
        self.link.answer(self._request_id, Frame(answers=self._answers))

    def fail(self, error: LinkdError) -> None:
        """Tell the service that there is no result."""
        self.link.fail(self._request_id, error)


class ClientAnswers:
    """All events that want answers.

    Args:
        schedule: Runs a function after so many seconds, unless that is cancelled.
    """

    def __init__(self, schedule: Callable[[float, Callable[[], None]], Timer]) -> None:
        self._schedule = schedule
        self._open: dict[str, Gathering] = {}
        self._of: dict[Session, set[Gathering]] = {}
        self._last = 0

    def __len__(self) -> int:
        return len(self._open)

    def begin(self, link: ServiceLink, request_id: int, recipients: Iterable[Session], within: float) -> Gathering:
        """Wait for the answers of these sessions, for so many seconds.

        Raises:
            ConflictError: If these are too many sessions.
            ServiceUnavailableError: If too many answers are waited for already.
        """
        self._last += 1
        gathering = Gathering(f"s-{self._last}", link, request_id, recipients)
        if len(gathering.waiting) > _MOST_RECIPIENTS:
            raise ConflictError(
                f"At most {_MOST_RECIPIENTS} sessions can be asked at once.", type="TOO_MANY_RECIPIENTS"
            )
        if len(self._open) >= _MOST_OPEN:
            raise ServiceUnavailableError("Too many answers of clients are waited for.", retry_after=1.0)
        self._open[gathering.id] = gathering
        for session in gathering.waiting:
            self._of.setdefault(session, set()).add(gathering)
        gathering.timer = self._schedule(within, lambda: self._expired(gathering))
        return gathering

    def sent(self, gathering: Gathering) -> None:
        """The event is on its way; where it is for nobody, that is the result."""
        if not gathering.waiting:
            self._close(gathering)
            gathering.finish()

    def received(self, session: Session, message: Message) -> None:
        """A client answers. Whoever is not asked any more is not heard: its answer came too late."""
        gathering = self._awaiting(session, message.id)
        if gathering is None:
            log.debug("answer_unexpected", session=session.id)
            return
        try:
            gathering.answered(session, message)
        except LinkdError as error:
            self.abandon(gathering, error)
            return
        self._forget(session, gathering)
        self.sent(gathering)

    def ended(self, session: Session) -> None:
        """A session has ended: nobody will answer for it."""
        for gathering in self._of.pop(session, ()):
            gathering.gone(session)
            self.sent(gathering)

    def awaits(self, session: Session, id: MessageId | None) -> bool:
        """Whether this session's client is asked for the answer with this id."""
        return self._awaiting(session, id) is not None

    def _awaiting(self, session: Session, id: MessageId | None) -> Gathering | None:
        gathering = self._open.get(id) if isinstance(id, str) else None
        return gathering if gathering is not None and session in gathering.waiting else None

    def link_lost(self, link: ServiceLink) -> None:
        """A process is gone: nobody wants its answers any more."""
        for gathering in [one for one in self._open.values() if one.link is link]:
            self._close(gathering)

    def abandon(self, gathering: Gathering, error: LinkdError) -> None:
        """There will be no result, for this reason."""
        self._close(gathering)
        gathering.fail(error)

    def _expired(self, gathering: Gathering) -> None:
        if gathering.id in self._open:
            self._close(gathering)
            gathering.finish()

    def _close(self, gathering: Gathering) -> None:
        del self._open[gathering.id]
        if gathering.timer is not None:
            gathering.timer.cancel()  # else it would hold the answers until its time
        for session in gathering.waiting:
            self._forget(session, gathering)

    def _forget(self, session: Session, gathering: Gathering) -> None:
        found = self._of.get(session)
        if found is not None:
            found.discard(gathering)
            if not found:
                del self._of[session]


def describe_member(wire: WireMember, session: Session) -> None:
    """Write who a session is into a frame."""
    wire.session = session.id
    if session.identity is not None:
        wire.user = session.identity.user
        wire.name = session.identity.name


def _read_error(session: Session, data: bytes) -> LinkdError:
    """The error that a client answers with; one that is not well formed becomes a plain one."""
    decode = msgspec.msgpack.decode if session.codec.binary else msgspec.json.decode
    try:
        body = decode(data, type=ErrorBody)
        return LinkdError(body.message[:_LONGEST_TEXT], code=body.code, type=body.type, details=body.details)
    except (ValueError, RecursionError):  # msgspec's errors are ValueErrors, and so are ours of codes and types
        return LinkdError("The client answered with an error that is not well formed.")
