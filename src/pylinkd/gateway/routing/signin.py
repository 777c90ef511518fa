"""Who a session is, while it is open: asked for where a service wants to know, renewed, and over with its token."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

import msgspec
import structlog

from ...protocol.close import CloseCode
from ...protocol.control import Auth, Authenticated, AuthExpiring
from ...protocol.end import EndReason
from ...protocol.envelope import Message
from ...protocol.errors import (
    ConflictError,
    ForbiddenError,
    InternalError,
    LinkdError,
)
from ...protocol.identity import Identity
from ..core.expiry import Expiry, Stage
from ..core.registry import Registry
from ..core.session import Session
from ..guard.audit import Audit
from ..guard.unfinished import Unfinished
from .attachments import Attachments
from .connection_limit import ConnectionLimit
from .lifecycle import Lifecycle
from .services import Services

log = structlog.get_logger("linkd.sessions")


class SignInSettings(msgspec.Struct, frozen=True):
    """How long signing in may take, and how early its end is announced.

    Attributes:
        timeout: Seconds in which a client has to sign in, where its service wants that.
        expiring: Seconds before a token's end at which its client is asked for a new one.
    """

    timeout: float = 10.0
    expiring: float = 60.0


class SignIn:
    """Lets sessions in once it is known who they are, and looks after that until they end.

    Args:
        recognize: Says whom a token speaks of, shown by a client at this address.
        registry: The sessions.
        lifecycle: Opens those that may come in.
        connection_limit: Decides whether their user may have one more.
        services: Say whether they want to know.
        attachments: Announces it to them.
        expiry: Watches the tokens.
        unfinished: Counts those that have not signed in yet.
        audit: Records what happens.
        clock: Unix time in seconds, by which tokens end.
        monotonic: Seconds that never go back, by which clients are waited for.
        timeout: Seconds in which a client has to sign in.
    """

    def __init__(
        self,
        *,
        recognize: Callable[[str, str], Awaitable[Identity]],
        registry: Registry,
        lifecycle: Lifecycle,
        connection_limit: ConnectionLimit,
        services: Services,
        attachments: Attachments,
        expiry: Expiry,
        unfinished: Unfinished,
        audit: Audit,
        clock: Callable[[], float],
        monotonic: Callable[[], float],
        timeout: float,
    ) -> None:
        self._recognize = recognize
        self._registry = registry
        self._lifecycle = lifecycle
        self._connection_limit = connection_limit
        self._services = services
        self._attachments = attachments
        self._expiry = expiry
        self._unfinished = unfinished
        self._audit = audit
        self._clock = clock
        self._monotonic = monotonic
        self._timeout = timeout
        self._signing_in: dict[Session, asyncio.Task[None]] = {}
        # In the order of their deadlines, since all have the same time.
        self.waiting: dict[Session, float] = {}

    def opened(self, session: Session) -> None:
        """The session has its connection: let it in, or have its client sign in first."""
        if session.identity is not None or not self._services.wants_identity(session.path):
            self._let_in(session)
        elif self._unfinished.enter(session.remote_address):
            self.waiting[session] = self._monotonic() + self._timeout
        else:
            session.close(CloseCode.TRY_AGAIN_LATER, "too many sign in", EndReason.LIMIT)

    def _let_in(self, session: Session) -> None:
        self._connection_limit.admit(session, session.identity, partial(self._enter, session))

    def _enter(self, session: Session) -> None:
        self._lifecycle.open(session)
        if session.identity is not None:
            self._expiry.watch(session)

    def received(self, session: Session, message: Message) -> None:
        """The client shows a token."""
        try:
            if session in self._signing_in:
                raise ConflictError("The last token is being looked at.", type="SIGNING_IN")
            token = Auth.read(session.codec, bytes(message.data)).token
        except LinkdError as error:
            session.fail(message.id, error)
            return
        # Its key may have to be fetched; meanwhile the session's other messages go on.
        task = asyncio.get_running_loop().create_task(self._sign_in(session, message, token), name="linkd-signin")
        self._signing_in[session] = task

    async def _sign_in(self, session: Session, message: Message, token: str) -> None:
        try:
            identity = await self._recognize(token, session.remote_address)
            if session.connection is None:
                return
            self._identify(session, identity)
        except LinkdError as error:
            session.fail(message.id, error)
        except Exception:
            log.exception("signin_failed", session=session.id)
            session.fail(message.id, InternalError())
        else:
            if message.id is not None:
                ends = None if identity.expires_at is None else round(identity.expires_at * 1000)
                answer = Authenticated(user=identity.user, name=identity.name, expires_at=ends)
                session.answer(message.id, answer.encode(session.codec))
        finally:
            self._signing_in.pop(session, None)

    def _identify(self, session: Session, identity: Identity) -> None:
        """The session is whom the token speaks of.

        Raises:
            ForbiddenError: If it is somebody else already.
        """
        before = session.identity
        if before is not None and before.user != identity.user:
            self._audit.record("user_changed", session=session.id, user=before.user, address=session.remote_address)
            raise ForbiddenError("The token is another user's.", type="OTHER_USER")
        self._audit.record("signed_in", session=session.id, user=identity.user, address=session.remote_address)
        if session in self.waiting:
            self._stop_waiting(session)
            session.identity = identity
            self._let_in(session)
        elif before is not None:
            self._take_identity(session, identity)
        else:
            self._connection_limit.admit(session, identity, partial(self._take_identity, session, identity))
        if session.connection is not None:
            session.connection.authenticated()

    def _take_identity(self, session: Session, identity: Identity) -> None:
        """An open session has signed in, or renewed its token."""
        self._registry.identify(session, identity)
        self._lifecycle.identified(session)
        self._expiry.watch(session)
        self._attachments.identified(session)

    def resumed(self, session: Session, identity: Identity | None) -> None:
        """The session's client is back.

        Args:
            session: The session.
            identity: Whom the token in the handshake speaks of, who is the session's user; ``None``: there was none.
        """
        own = session.identity
        if own is None:
            return
        now, ends = self._clock(), own.expires_at or float("inf")
        if identity is not None and (identity.expires_at or float("inf")) >= ends:
            self._take_identity(session, identity)
        elif ends <= now:
            session.notify(AuthExpiring(expires_in_ms=0))
            self._expiry.grant(session, now + self._expiry.leeway)
        elif ends - self._expiry.lead <= now:
            session.notify(AuthExpiring(expires_in_ms=round((ends - now) * 1000)))  # the last one may be lost

    def disconnected(self, session: Session) -> None:
        """The connection is gone."""
        if session in self.waiting:
            self._stop_waiting(session)
        task = self._signing_in.pop(session, None)
        if task is not None:
            task.cancel()

    def _stop_waiting(self, session: Session) -> None:
        del self.waiting[session]
        self._unfinished.leave(session.remote_address)

    def paused(self, seconds: float) -> None:
        """The gateway itself did nothing for so long: nobody could sign in."""
        for session in self.waiting:
            self.waiting[session] += seconds

    def sweep(self) -> None:
        """Close who took too long to sign in, and whose token has ended; tell whose is about to."""
        waited_until = self._monotonic()
        while self.waiting:
            session, deadline = next(iter(self.waiting.items()))
            if deadline > waited_until:
                break
            self._stop_waiting(session)
            self._audit.record("not_signed_in", session=session.id, address=session.remote_address)
            session.close(CloseCode.UNAUTHORIZED, "sign in first", EndReason.TIMEOUT)
        now = self._clock()
        for session, stage in self._expiry.due(now):
            assert session.identity is not None
            if stage is Stage.EXPIRING:
                left = max(0.0, (session.identity.expires_at or 0) - now)
                session.notify(AuthExpiring(expires_in_ms=round(left * 1000)))
            elif session.connection is not None or self._expiry.granted(session):
                self._audit.record("token_expired", session=session.id, user=session.identity.user)
                session.close(CloseCode.UNAUTHORIZED, "the token has expired", EndReason.TOKEN_EXPIRED)
            # else its client is away, and is asked for a new one when it is back
