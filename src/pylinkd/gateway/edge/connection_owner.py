"""What a WebSocket needs of the gateway around it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from ...protocol.end import EndReason
from ...protocol.envelope import Message, MessageId
from ..core.session import Session
from ..core.traffic import Traffic
from ..routing.resuming import Refusal, Return
from .receptions import Receptions

if TYPE_CHECKING:
    from .connection import Connection


class ConnectionOwner(Protocol):
    """What a connection needs of the gateway."""

    close_timeout: float
    max_fragments: int
    traffic: Traffic
    receptions: Receptions[Connection]
    congested: set[Session]
    """The sessions whose clients read too slowly now; kept by their connections."""
    now: float
    """The time, as of the last step of the heartbeat: exact enough to tell who is silent, and free to read."""

    def opened(self, session: Session, connection: Connection, refusal: Refusal | None) -> None:
        """The opening handshake of a new session is done.

        Args:
            session: The session.
            connection: Its connection.
            refusal: Why the session does not go on that the client wanted; ``None``: it wanted none.
        """

    def resumed(self, back: Return, connection: Connection) -> None:
        """The opening handshake is done of a client that goes on with its session."""

    def receiving(self, session: Session) -> None:
        """A large message begins to arrive."""

    @property
    def count(self) -> Callable[[Session, int], float] | None:
        """Counts a message of so many bytes: 0.0, or the seconds after which to try again; ``None``: nothing is."""

    def received(self, session: Session, message: Message) -> None:
        """A message came, and was counted."""

    def awaited(self, session: Session, message: Message) -> bool:
        """Whether a message is an answer that a service waits for, which no rate holds back."""

    def exceeded(self, session: Session, id: MessageId | None, retry_after: float) -> None:
        """A message came that is one too many."""

    def pace(self, session: Session, pieces: int) -> float:
        """Count small pieces of a stream; the seconds for which nothing more should be read of it."""

    def control(self, session: Session) -> bool:
        """Count a control frame; ``False``: it is one too many and gets no answer."""

    def acknowledge(self, session: Session) -> None:
        """A message came of which the client is to be told that it did."""

    def acknowledged(self, session: Session, message: Message, *, charged: bool) -> None:
        """The client acknowledges.

        Args:
            session: Whose client it is.
            message: The acknowledgement.
            charged: It was counted as a message.
        """

    def ended(self, connection: Connection, reason: EndReason) -> None:
        """The connection is gone. Called once after ``opened`` or ``resumed``."""
