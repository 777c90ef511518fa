"""A service: a name, the processes that run it, and the sessions that it knows."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable

import structlog

from ...protocol.errors import NotFoundError
from ...protocol.link_pb2 import Frame
from ..core.path_limits import PathLimits
from ..core.registry import Registry
from ..core.session import Session
from .attachment import Attachment
from .instance import Instance

log = structlog.get_logger("linkd.services")

_MOST_OWED = 10_000  # ends of sessions, and as many changes of presence


class Service:
    """Everything known under one service name. It stays known when its last instance leaves."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.path = ""
        self.namespace = name
        self.failures: Counter[str] = Counter()
        self.instances: list[Instance] = []
        self.last: Instance | None = None
        self.attachments: dict[Session, Attachment] = {}
        self.owed: deque[Frame] = deque()
        self.owed_presence: deque[Frame] = deque()
        self.left_at: float | None = None
        self.limits: PathLimits | None = None  # of the sessions on its path; None: as the gateway has them
        self._admitted: tuple[Session, ...] | None = None

    @property
    def admitted(self) -> tuple[Session, ...]:
        """The sessions that may hear of others: those whose ``on_connect`` has succeeded.

        The same object for as long as nobody comes or goes, as with a room.
        """
        if self._admitted is None:
            self._admitted = tuple(session for session, attachment in self.attachments.items() if attachment.opened)
        return self._admitted

    def admits(self, session: Session) -> bool:
        """Whether the session is one of them."""
        attachment = self.attachments.get(session)
        return attachment is not None and attachment.opened

    def knows(self, session: Session) -> bool:
        """Whether the session was announced to it, let in or not."""
        return session in self.attachments

    def session(self, registry: Registry, id: str) -> Session:
        """The session with this id.

        Raises:
            NotFoundError: If it ended, or is another service's.
        """
        session = registry.get(id)
        if session is None or not self.knows(session):
            raise NotFoundError("The session has ended.", type="SESSION_GONE")
        return session

    def opened(self, attachment: Attachment) -> None:
        """A session's ``on_connect`` has succeeded."""
        attachment.opened = True
        self._admitted = None

    def forget(self, session: Session) -> Attachment | None:
        """Forget a session; ``None``: it was not attached."""
        attachment = self.attachments.pop(session, None)
        if attachment is not None and attachment.opened:
            self._admitted = None
        return attachment

    @property
    def offers(self) -> list[Instance]:
        """Those whose handlers and actions count: while no instance is there, the last one's, so that what it
        handled is answered with 503 (come back) and not with 404 (never)."""
        if self.instances:
            return self.instances
        return [] if self.last is None else [self.last]

    @property
    def auth(self) -> bool:
        """Whether it wants to know who a session is before anything else."""
        return any(instance.registration.auth for instance in self.offers)

    def available(self) -> Instance | None:
        """The instance with the fewest sessions that takes new ones; one that fails only where no other is there."""
        able = (instance for instance in self.instances if not instance.draining)
        return min(able, key=lambda instance: (instance.passed_over, instance.sessions), default=None)

    @property
    def ready(self) -> bool:
        """Whether an instance is there that takes messages and is healthy."""
        return any(not instance.draining and not instance.failing for instance in self.instances)

    def review(self) -> None:
        """Decide anew which instances are passed over: once for each change, and not with each message."""
        ready = self.ready
        for instance in self.instances:
            instance.passed_over = instance.draining or (ready and bool(instance.failing))

    def idlest(self, offers: Callable[[Instance], bool]) -> Instance | None:
        """Of the instances that offer something and take new questions, the one with the fewest unanswered.

        While a new version rolls out, not every instance offers the same.
        """
        able = (instance for instance in self.instances if not instance.draining and offers(instance))
        return min(able, key=lambda instance: (instance.passed_over, instance.link.questions), default=None)

    @property
    def presence_handler(self) -> Instance | None:
        """Who is told of those that come to rooms and leave them: always the same, while it is there, since another
        could handle the next changes before the last.
        """
        able = (one for one in self.instances if one.registration.presence and not one.draining)
        return next(able, None)

    def keep(self, frame: Frame) -> None:
        """Keep what it is owed for its next instance (owed.py)."""
        if frame.WhichOneof("body") == "presence_changed":
            if len(self.owed_presence) >= _MOST_OWED:
                lost = self.owed_presence.popleft()
                log.error("presence_lost", service=self.name, room=lost.presence_changed.room)
            self.owed_presence.append(frame)
            return
        if len(self.owed) >= _MOST_OWED:
            lost = self.owed.popleft()
            log.error("disconnect_lost", service=self.name, session=lost.session_closed.session.id)
        self.owed.append(frame)
