"""The guard put together: who may come in, from where, and how much they may do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from .addresses import Addresses, Network, Proxies
from .audit import Audit
from .credentials import Places
from .door import Door
from .doorstep import Doorstep
from .forwarded import X_FORWARDED_FOR
from .issuers import Issuer
from .jws import MAX_SIZE
from .limits import Limits, LimitSettings, Mode
from .logouts import Logouts
from .origins import Origins
from .revocations import Revocations
from .tokens import Tokens
from .unfinished import Unfinished

_NO_LIMITS = LimitSettings(mode=Mode.OFF)


class GuardSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Who may come in, from where, and how much they may do. What is left out is open to all.

    Attributes:
        secret: Of HS256 tokens, where there are no issuers.
        issuers: Who may sign tokens.
        max_token_size: Most bytes of a token.
        token_in_query: Whether a token may stand in the query.
        token_cookie: Name of the cookie that may hold one; empty: none may.
        origins: Whose pages may connect.
        allowed: Networks that may connect; empty: all.
        denied: Networks that may not.
        exempt: Networks that are neither limited nor banned by themselves.
        trusted_proxies: Networks of proxies that may say who is behind them.
        forwarded_header: The header in which they do, in lower case.
        proxy_protocol: Whether these proxies pass bytes on, and say first whose they are.
        limits: How much one may do.
        max_unfinished: Connections that have not come in yet, at once.
        max_unfinished_each: The same of one address.
        token_lifetime: Seconds that the longest-lived token is valid.
        audit_file: Where records of decisions go beside the log.
    """

    secret: str
    issuers: Sequence[Issuer] = ()
    max_token_size: int = MAX_SIZE
    token_in_query: bool = True
    token_cookie: str = ""
    origins: Sequence[str] = ()
    allowed: Sequence[Network] = ()
    denied: Sequence[Network] = ()
    exempt: Sequence[Network] = ()
    trusted_proxies: Sequence[Network] = ()
    forwarded_header: str = X_FORWARDED_FOR
    proxy_protocol: bool = False
    limits: LimitSettings = _NO_LIMITS
    max_unfinished: int = 10_000
    max_unfinished_each: int = 1_000
    token_lifetime: float = 86_400.0
    audit_file: Path | None = None


class Guard:
    """Every part of it.

    Args:
        settings: Who may do what.
        clock: Unix time in seconds.
        monotonic: Seconds that never go back.

    Raises:
        OSError: If the audit's file cannot be written.
        ValueError: If a key cannot be read.
    """

    def __init__(self, settings: GuardSettings, clock: Callable[[], float], monotonic: Callable[[], float]) -> None:
        self.origins = Origins(settings.origins)
        self.proxies = Proxies(settings.trusted_proxies, settings.forwarded_header)
        self.addresses = Addresses(
            allowed=settings.allowed, denied=settings.denied, exempt=settings.exempt, clock=clock, monotonic=monotonic
        )
        self.audit = Audit(clock, monotonic, settings.audit_file)
        self.limits = Limits(settings.limits, self.addresses, self.audit, monotonic)
        self.revocations = Revocations(clock, monotonic, settings.token_lifetime)
        self.tokens = Tokens(settings.secret, settings.issuers, clock, settings.max_token_size)
        self.logouts = Logouts(self.tokens, settings.issuers, clock)
        self.unfinished = Unfinished(settings.max_unfinished, settings.max_unfinished_each)
        self.doorstep = Doorstep(
            self.addresses, self.proxies, self.unfinished, self.audit, proxy_protocol=settings.proxy_protocol
        )
        self._places = Places(query=settings.token_in_query, cookie=settings.token_cookie)

    def door(
        self, *, knows: Callable[[str], bool], takes_sessions: Callable[[str], bool], open: Callable[[], bool]
    ) -> Door:
        """The door, for a gateway that answers these questions; see Door."""
        return Door(
            tokens=self.tokens,
            places=self._places,
            revocations=self.revocations,
            logouts=self.logouts,
            origins=self.origins,
            addresses=self.addresses,
            limits=self.limits,
            audit=self.audit,
            knows=knows,
            takes_sessions=takes_sessions,
            open=open,
        )
