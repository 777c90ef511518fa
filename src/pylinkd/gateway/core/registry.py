"""Who is connected: sessions by id and by user."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator

from ...protocol.identity import Identity
from .format import Format
from .session import Session

_NONE: dict[Session, None] = {}


class Registry:
    """All sessions of this gateway. A session is in it from its opening until its end, exactly once."""

    def __init__(self) -> None:
        self._sessions: dict[str, Session] = {}
        self._users: dict[str, dict[Session, None]] = {}
        self._formats: Counter[Format] = Counter()

    def add(self, session: Session) -> None:
        """Take in a session whose id is new."""
        self._sessions[session.id] = session
        self._formats[session.format] += 1
        if session.identity is not None:
            self._users.setdefault(session.identity.user, {})[session] = None

    def identify(self, session: Session, identity: Identity) -> None:
        """The session signs in, or renews its token. A session's user never changes."""
        if session.identity is None:
            self._users.setdefault(identity.user, {})[session] = None
        session.identity = identity

    def reformat(self, session: Session, format: Format) -> None:
        """The session's messages look otherwise on the wire from now on."""
        self._formats[session.format] -= 1
        self._formats[format] += 1
        session.format = format

    def remove(self, session: Session) -> None:
        """Forget the session, and its user with the last of the user's sessions."""
        del self._sessions[session.id]
        self._formats[session.format] -= 1
        if session.identity is not None:
            user = session.identity.user
            sessions = self._users[user]
            del sessions[session]
            if not sessions:
                del self._users[user]

    def get(self, id: str) -> Session | None:
        """The session with this id."""
        return self._sessions.get(id)

    def of_user(self, user: str) -> Collection[Session]:
        """The user's sessions, in the order in which they signed in. Copy before doing anything that may end one."""
        return self._users.get(user, _NONE)

    @property
    def formats(self) -> Iterator[Format]:
        """Those of the sessions, all together."""
        return (format for format, sessions in self._formats.items() if sessions)

    @property
    def users(self) -> int:
        """How many users are signed in on at least one session."""
        return len(self._users)

    def __len__(self) -> int:
        return len(self._sessions)

    def __iter__(self) -> Iterator[Session]:
        return iter(self._sessions.values())

    def __contains__(self, session: Session) -> bool:
        return self._sessions.get(session.id) is session
