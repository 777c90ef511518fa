"""Clients that come back: which session a token means, whether that can go on, and how it does."""

from __future__ import annotations

from typing import NamedTuple

import structlog

from ...protocol.envelope import Codec
from ...protocol.identity import Identity
from ...protocol.resume import NotResumed, ResumeOffer
from ..core.connection import Connection
from ..core.delivery import Delivery
from ..core.format import Format
from ..core.outbox import Kind
from ..core.path_limits import PathLimits
from ..core.registry import Registry
from ..core.resume_tokens import ResumeTokens
from ..core.resumption import Resumption
from ..core.session import Session
from ..core.traffic import Traffic
from .lifecycle import Lifecycle
from .signin import SignIn
from .welcoming import Welcoming

log = structlog.get_logger("linkd.sessions")


class Claim(NamedTuple):
    """A session that a client may go on with.

    Attributes:
        session: The session.
        generation: Whose token the client showed.
        received: Counted messages of the session that the client has got, by its own account; ``None``: that is no
            number.
    """

    session: Session
    generation: int
    received: int | None


class Refusal(NamedTuple):
    """Why a client gets a new session.

    Attributes:
        reason: Why the one that it wanted does not go on.
        received: Counted messages of the client's that had come; ``None``: nobody knows any more.
    """

    reason: NotResumed
    received: int | None = None


class Return(NamedTuple):
    """A client that goes on with its session.

    Attributes:
        claim: The session.
        answer: To the opening handshake.
        format: How the session's messages look on the wire from now on.
        identity: Whom the token in the handshake speaks of; ``None``: there was none that is valid.
        address: Where the client comes from now.
        user_agent: As it says.
    """

    claim: Claim
    answer: bytes
    format: Format
    identity: Identity | None
    address: str
    user_agent: str


class Resuming:
    """Brings clients back to their sessions.

    Args:
        registry: The sessions.
        lifecycle: Has those whose clients are away.
        delivery: The door to clients.
        signin: Looks after their tokens.
        tokens: Makes and checks the tokens by which clients come back.
        welcoming: Says what they are told first.
        traffic: Counts the outcomes.
    """

    def __init__(
        self,
        *,
        registry: Registry,
        lifecycle: Lifecycle,
        delivery: Delivery,
        signin: SignIn,
        tokens: ResumeTokens,
        welcoming: Welcoming,
        traffic: Traffic,
    ) -> None:
        self._registry = registry
        self._lifecycle = lifecycle
        self._delivery = delivery
        self._signin = signin
        self._tokens = tokens
        self._welcoming = welcoming
        self._traffic = traffic

    def find(self, offer: ResumeOffer) -> Claim | Refusal:
        """The session that a client wants to go on with, by its token alone."""
        id = self._tokens.session(offer.token)
        if id is None:
            return Refusal(NotResumed.UNKNOWN)
        session = self._registry.get(id)
        kept = None if session is None else session.resumption
        remains = None if kept is not None else self._lifecycle.ended.get(id)
        known = kept or remains
        used = None
        if known is not None:
            for generation in known.good:
                if self._tokens.fits(offer.token, id, generation):
                    used = generation
        if used is None:
            return Refusal(NotResumed.UNKNOWN)
        if remains is not None:
            return Refusal(remains.reason, remains.received)
        assert session is not None
        assert kept is not None
        if kept.lost is not None:
            return Refusal(kept.lost, kept.received)
        if session.outbox.overflowed:
            return Refusal(NotResumed.OVERFLOW, kept.received)  # it ends with this turn of the loop
        if self._lifecycle.ends(session):
            return Refusal(NotResumed.CLOSED, kept.received)
        return Claim(session, used, offer.received)

    def check(self, claim: Claim, path: str, identity: Identity | None, codec: Codec) -> Refusal | None:
        """Why the client that came may not go on with the session; ``None``: it may. The session stays as it is."""
        session = claim.session
        if identity is not None and (session.identity is None or session.identity.user != identity.user):
            reason = NotResumed.USER
        elif session.path != path:
            reason = NotResumed.PATH
        elif session.format.codec is not codec:
            reason = NotResumed.FORMAT
        else:
            kept = session.resumption
            assert kept is not None
            if claim.received is None or not kept.reaches(claim.received):
                return Refusal(NotResumed.RANGE, kept.received)
            return None
        # Not how far it came: that is another's business.
        return Refusal(reason)

    def resume(self, back: Return, connection: Connection) -> Connection | None:
        """Go on with a session over another connection: what its client has not got is written once more, behind the
        answer to the opening handshake and a welcome.

        Returns:
            The connection that the session had until now, if that still lives.
        """
        claim, format = back.claim, back.format
        session, outbox, resumption = claim.session, claim.session.outbox, claim.session.resumption
        assert resumption is not None
        session.remote_address, session.user_agent = back.address, back.user_agent
        if format is not session.format:
            self._delivery.distribute()  # it has no frame in the new one
        superseded = self._lifecycle.resume(session, connection)
        assert claim.received is not None  # check() has looked, and nothing was written since
        outbox.prepend(resumption.rewind(claim.received))
        if format is not session.format:
            outbox.rewrite(session.format, format)
            self._registry.reformat(session, format)
        resumption.renew(claim.generation)
        outbox.reported = outbox.dropped
        welcome = session.encode(self._welcoming.back(session))
        outbox.prepend([back.answer, welcome], Kind.CONTROL)
        self._traffic.resumes["resumed"] += 1
        self._signin.resumed(session, back.identity)
        return superseded

    def welcome(self, session: Session, refusal: Refusal | None) -> None:
        """Welcome the client of a new session.

        Args:
            session: The session.
            refusal: Why the one does not go on that the client wanted; ``None``: it wanted none.
        """
        if refusal is None:
            session.notify(self._welcoming.new(session))
            return
        self._traffic.resumes[refusal.reason] += 1
        log.debug("session_not_resumed", session=session.id, reason=str(refusal.reason))
        session.notify(self._welcoming.new(session, refusal.reason, refusal.received))

    def begin(self, limits: PathLimits) -> Resumption | None:
        """What a new session needs so that its client can resume it; ``None``: sessions of its path are not kept."""
        return Resumption(self._lifecycle.retention) if limits.resume_window else None
