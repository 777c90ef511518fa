"""The owner of a connection, for tests without a gateway: it keeps what the connection says, and limits nothing."""

from __future__ import annotations

from pylinkd.gateway.core.session import Session
from pylinkd.gateway.core.traffic import Traffic
from pylinkd.gateway.edge.connection import Connection
from pylinkd.gateway.edge.receptions import Receptions
from pylinkd.gateway.routing.resuming import Refusal, Return
from pylinkd.protocol.end import EndReason
from pylinkd.protocol.envelope import Message, MessageId


class RecordingOwner:
    """See ConnectionOwner.

    Attributes:
        sessions: Those whose handshake is done.
        messages: What was handed on.
        ends: Why connections ended.
    """

    close_timeout = 60.0
    max_fragments = 1024
    now = 0.0
    count = None

    def __init__(self) -> None:
        self.sessions: list[Session] = []
        self.messages: list[Message] = []
        self.ends: list[EndReason] = []
        self.traffic = Traffic()
        self.congested: set[Session] = set()
        self.receptions: Receptions[Connection] = Receptions(1000, lambda connection: None, patience=5.0)

    def opened(self, session: Session, connection: Connection, refusal: Refusal | None) -> None:
        """See ConnectionOwner."""
        session.connection = connection
        self.sessions.append(session)

    def resumed(self, back: Return, connection: Connection) -> None:
        """See ConnectionOwner."""
        raise AssertionError("nobody comes back here")

    def receiving(self, session: Session) -> None:
        """See ConnectionOwner."""

    def received(self, session: Session, message: Message) -> None:
        """See ConnectionOwner."""
        self.messages.append(message)

    def awaited(self, session: Session, message: Message) -> bool:
        """See ConnectionOwner."""
        return False

    def exceeded(self, session: Session, id: MessageId | None, retry_after: float) -> None:
        """See ConnectionOwner."""

    def pace(self, session: Session, pieces: int) -> float:
        """See ConnectionOwner."""
        return 0.0

    def control(self, session: Session) -> bool:
        """See ConnectionOwner."""
        return True

    def acknowledge(self, session: Session) -> None:
        """See ConnectionOwner."""

    def acknowledged(self, session: Session, message: Message, *, charged: bool) -> None:
        """See ConnectionOwner."""

    def ended(self, connection: Connection, reason: EndReason) -> None:
        """See ConnectionOwner."""
        connection.session.connection = None
        self.ends.append(reason)
